"""Every limit and threshold of hbids, each with the reason for its number beside it.

:class:`Limits` bounds what decoding may hold; :mod:`hbids.config_file` reads what users set.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hbids.assets import Asset
    from hbids.user_signatures import UserSignatures

__all__ = [
    "Capture",
    "Config",
    "Eve",
    "Feedback",
    "Limits",
    "Memory",
    "Output",
    "Report",
    "Sinks",
    "Thresholds",
    "settings_of",
]

_SECOND_NS = 1_000_000_000

_STEP = 32_768
"""Rows that are counted in one go; each may be somebody new."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the decoder may hold at once, and where it looks. All times are packet time."""

    flows: int = 1_000_000
    """Live flows: about 500 MB at the measured bytes per flow, without what ``state_bytes_total`` bounds. The oldest of
    the least telling kind goes first."""

    opening_timeout_ns: int = 60 * _SECOND_NS
    """Idle time of a flow without payload, or of UDP without DTLS: Linux gives up a connection attempt after about this
    long."""

    plain_timeout_ns: int = 300 * _SECOND_NS
    """Idle time of a flow with payload but no TLS seen; its return would be noticed again at no loss."""

    tls_timeout_ns: int = 7_200 * _SECOND_NS
    """Idle time of a TLS flow: as long as TCP keep-alive waits by default; heartbeats exist to keep idle links."""

    closed_timeout_ns: int = 15 * _SECOND_NS
    """A closed flow stays this long so that stray retransmissions do not look like a new flow."""

    checkpoint_ns: int = 3_600 * _SECOND_NS
    """A flow that lives longer gives a row this often, so that nobody waits for its end."""

    out_of_order_bytes: int = 1 << 20
    """Held per direction behind a hole: a large TCP window. Beyond it the hole is given up."""

    out_of_order_bytes_total: int = 64 << 20
    """Held over all flows together."""

    state_bytes_total: int = field(default=512 << 20, metadata={"least": 1 << 20})
    """Held over all flows together beyond the flows themselves: hellos in the making, plain text, heartbeats that wait.
    Room for a million dialogues and half a million handshakes at once. Flows end early as when ``flows`` are too many;
    those that have held something for longest go first."""

    hole_acked_wait_ns: int = 100_000_000
    """A hole the receiver has acknowledged is a loss of the capture, not of the network; reordering is over by then."""

    hole_wait_ns: int = 10 * _SECOND_NS
    """A hole nobody acknowledged (one-way captures): longer than several retransmission timeouts."""

    hello_bytes: int = 65_536
    """Handshake bytes collected until a direction's hello is whole; real ones stay below 4 KB."""

    openvpn_sessions: int = 4
    """TLS sessions held side by side on one flow of OpenVPN: itself holds one in use and one that begins, each with the
    key before; the oldest goes first."""

    plain_turn_bytes: int = 4_096
    """Plain text of one side, until the other speaks, that may still lead to TLS: the longest greetings and lists of
    capabilities are half of it. What goes beyond is bulk, looked at only where segments are as short as a command."""

    pending_requests: int = 64
    """Unanswered requests remembered per direction. RFC 6520 section 4 allows one in flight."""

    pending_wait_ns: int = 60 * _SECOND_NS
    """A sealed record that comes later than this is no answer; RFC 6520's own retransmission gives up by then."""

    answer_wait_ns: int = 10 * _SECOND_NS
    """Between the records of a sealed answer that so far is no larger than its request: longer than several
    retransmission timeouts. What comes later is a heartbeat of its own."""

    held_heartbeats: int = 16
    """Messages kept back on a flow that has not said hello yet; without a hello it is not TLS."""

    search_bytes: int = 65_536
    """How far a lost direction is searched for the next record, four records' worth; after it only segment starts."""

    layers: int = field(default=32, metadata={"least": 8})
    """Headers read in one frame, tags and tunnels included: twice what Suricata allows; networks stay far below."""

    fragments: int = 32_768
    """IP packets of which fragments are held: as many as ``fragment_bytes`` has room for. The one that waited longest
    goes first; honest ones wait for milliseconds."""

    fragment_bytes: int = 32 << 20
    """Held over all of them together, overhead included: what Suricata holds, too."""

    fragment_timeout_ns: int = 60 * _SECOND_NS
    """From a packet's first fragment on: as long as any host waits (RFC 8200 section 4.5)."""

    vxlan_ports: tuple[int, ...] = (4789, 4790, 8472)
    """UDP ports of VXLAN: IANA's, that of its generic extension, and what Linux took before there was one."""

    geneve_ports: tuple[int, ...] = (6081,)
    """UDP ports of GENEVE (RFC 8926)."""

    gtp_ports: tuple[int, ...] = (2152,)
    """UDP ports of GTP-U (3GPP TS 29.281)."""

    teredo_ports: tuple[int, ...] = (3544,)
    """UDP ports of Teredo servers and relays (RFC 4380)."""

    radius_ports: tuple[int, ...] = (1812, 1645)
    """UDP ports of RADIUS servers, where EAP is looked for: IANA's (RFC 2865), and the one before it that many still
    have. Any packet that is no RADIUS with EAP to its last byte is a datagram like others."""

    eap_clues: int = 262_144
    """What tells which EAP conversation a packet continues (RADIUS states and identifiers, callers, stations), about 70
    MB: some twenty a conversation, so two hundred new ones a second. The one not seen for longest goes first."""

    eap_clue_timeout_ns: int = 60 * _SECOND_NS
    """How long a clue holds: FreeRADIUS gives up a conversation by then, other servers before."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where detectors draw their lines."""

    flood_messages: int = 60
    """Requests of one source to one endpoint within ``flood_window_ns``: three a second, where RFC 6520 section 4 and
    its retransmission timer of one second leave an honest peer at most one."""

    flood_window_ns: int = 20 * _SECOND_NS
    """Long enough that a burst of retransmissions alone does not fill it."""

    unanswered_messages: int = 3
    """Unanswered sealed requests of one source to one endpoint; a lost one or two happen, Zeek draws the same line."""

    unanswered_window_ns: int = 3_600 * _SECOND_NS
    """Within which they count together: peers that die leave one behind now and then, not several in an hour."""

    unanswered_wait_ns: int = 2 * _SECOND_NS
    """Silence of a living peer that tells: twice the retransmission timer of RFC 6520 section 4."""

    harvest_answers: int = 10
    """Leaking answers of one endpoint to one source, network or behaviour: one more than all public checkers together
    take, and 160 KB of memory lost by then, where a private key was once found in 16 MB (docs/harvest.md)."""

    harvest_bytes: int = 1_024
    """In them: less is no harvest. Checkers that read 22 bytes (FiloSottile's) or one (heartbleeder) may come often."""

    harvest_sources: int = 3
    """Sources that share a behaviour: two may be one person's."""

    harvest_slow_interval_ns: int = 360 * _SECOND_NS
    """Answers farther apart than this on average make a slow harvest: ten take an hour, where the longest limit of the
    known rules counts over two minutes."""

    harvest_slowest_interval_ns: int = 2 * 86_400 * _SECOND_NS
    """Farther apart they are no harvest: a checker that runs weekly takes one or two a week, and shall not be called a
    harvester."""

    anomaly_days: int = field(default=7, metadata={"most": 27})
    """How long a service must be known before its flows are compared with what is usual: a week has all weekdays."""

    anomaly_flows: int = 100
    """Flows of one shape in a day, without heartbeats that can be seen; fewer come of any client that loops."""

    anomaly_flows_per_source: int = 20
    """So many of them by each source on average: visitors of a new page are many, too, but do not come so often."""

    anomaly_deviations: int = 8
    """How far above the median, in (robust) standard deviations; simulated web sites stay silent for months."""

    alert_window_ns: int = 86_400 * _SECOND_NS
    """How long an alert counts as told; after it the same is told again, then ever more seldom. Shifts change daily."""

    alert_sources: int = field(default=6, metadata={"most": 8})
    """Sources told apart by alerts, for each signature and endpoint; the rest is in the numbers, and in the summary."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What statistics and detection remember of whom. Each number takes memory only as far as it is used."""

    quiet_ns: int = 30 * 86_400 * _SECOND_NS
    """Who was quiet for so long is somebody new: a month, as long as ten answers of the slowest harvest take."""

    sources: int = field(default=1_000_000, metadata={"least": _STEP})
    """Pairs of a source and an endpoint: about 190 MB. Those not heard of for longest go first."""

    networks: int = field(default=131_072, metadata={"least": _STEP})
    """Pairs of a source's network and an endpoint: about 20 MB."""

    behaviours: int = field(default=65_536, metadata={"least": _STEP})
    """Shapes of exchanges at an endpoint: about 10 MB, and up to 4 KB more each where many sources share one."""

    endpoints: int = field(default=262_144, metadata={"least": _STEP})
    """Endpoints that were asked: about 75 MB with their exposure; more than the internet is known to have left."""

    flows: int = field(default=1_000_000, metadata={"least": _STEP})
    """Flows with heartbeats that a state remembers (``--state``), so that none counts twice: about 50 MB."""

    save_interval_ns: int = 60 * _SECOND_NS
    """How often the state is saved meanwhile, by the clock on the wall: what a crash may lose."""

    services: int = field(default=65_536, metadata={"least": _STEP})
    """TLS services whose flows are counted by shape: about 5 MB."""

    shapes: int = field(default=262_144, metadata={"least": _STEP})
    """Shapes of flows of a service, and sources that have such flows today: about 60 MB. Those not seen for longest go
    first."""

    stories: int = field(default=65_536, metadata={"least": _STEP})
    """Endpoints with alerts whose telling goes on: about 1.5 KB each."""


@dataclass(frozen=True, slots=True)
class Capture:
    """How live interfaces are listened to (``hbids sniff``)."""

    ring_bytes: int = field(default=64 << 20, metadata={"least": 1 << 21, "most": 1 << 32})
    """Frames of one interface that wait for one worker: 50 ms of 10 Gbit/s, far longer than a step of judging takes.
    Memory of the kernel, all of it taken at the start."""

    block_bytes: int = field(default=1 << 20, metadata={"least": 1 << 18, "most": 1 << 24})
    """Handed over at once, and the longest frame there can be. A mebibyte stays in the processor's cache until it is
    decoded."""

    block_timeout_ms: int = field(default=10, metadata={"most": 1_000})
    """A block is handed over after this time, full or not: most of what an alert takes from the wire to the file."""

    snap_bytes: int = field(default=262_144, metadata={"least": 128, "most": 262_144})
    """Of a frame: the most tools capture, so whole frames, those that were joined from several too."""

    pcap_ring_bytes: int = field(default=64 << 20, metadata={"least": 1 << 21, "most": 1 << 40})
    """Of ``--pcap-ring``: last frames kept in memory, and as much in files. Half a second of a busy gigabit; the
    exchange that an alert is about takes milliseconds."""

    pcap_ring_wait_ns: int = 2 * _SECOND_NS
    """After an alert, until its packets are written: those that follow it belong to it, too."""

    stats_interval_ns: int = 10 * _SECOND_NS
    """Between two events of statistics, and what a loss is measured over: Suricata's 8 s, rounded."""

    loss_per_million: int = field(default=1_000, metadata={"most": 1_000_000})
    """Frames lost of a million within ``stats_interval_ns``, above which the sensor is called blind: of an answer of 48
    segments, the largest leak there is, one is then missing every twentieth time."""

    loss_quiet_ns: int = 3_600 * _SECOND_NS
    """An interface that goes on losing frames is told of once in this time; the numbers are in the statistics."""

    memory_bytes: int = field(default=8 << 30, metadata={"least": 1 << 29})
    """What the process may take beside its rings: four times what all limits of this file come to. A sensor that grows
    beyond it has a bug, and shall end instead of the machine."""


@dataclass(frozen=True, slots=True)
class Output:
    """How alerts are written."""

    community_id_seed: int = field(default=0, metadata={"least": 0, "most": 65_535})
    """As in Suricata's ``community-id-seed``: 0 to 65535, the same on every sensor that shall be joined."""

    sensor_name: str = ""
    """Written as ``host`` into every event when set, as Suricata does."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report (``--report``) holds, and what is kept for it meanwhile."""

    windows: int = field(default=120, metadata={"most": 1_000})
    """Bars of a timeline: as many as stay apart on a sheet of paper."""

    cells: int = field(default=262_144, metadata={"least": 1_024})
    """Counts of one source at one endpoint in one window: about 30 MB. Beyond, those who took least become "others"."""

    flows: int = 1_500
    """Dots of a scatter of each kind: more would hide each other, and take 20 bytes of page each."""

    services: int = 65_536
    """Servers whose names are remembered: about 30 MB."""

    evidence: int = 5_000
    """Alerts kept, about 4 KB each: several times what a page shows. Of more, those about the graver harm."""

    endpoints_listed: int = 500
    """Rows of the table of endpoints: 20 printed pages. The summary has all."""

    endpoints_told: int = 50
    """Endpoints with a section of their own, gravest first: a page or two each, and 30 KB."""

    sources_listed: int = 25
    """Sources in the table of an endpoint, gravest first. The summary has all addresses."""

    alerts_listed: int = 15
    """Alerts in the table of an endpoint."""


@dataclass(frozen=True, slots=True)
class Eve:
    """What ``hbids sidecar`` holds of Suricata's events. All times are those of the events."""

    line_bytes: int = field(default=16 << 20, metadata={"least": 65_536})
    """A longer line is skipped and counted: as long as Arkime takes, and far beyond what Suricata writes (an alert with
    a payload of 64 KB has 90 KB)."""

    flows: int = field(default=65_536, metadata={"least": 64})
    """Flows that showed a heartbeat and have not ended, about 2 KB each without what they hold back. The one not heard
    of for longest goes first."""

    sessions: int = field(default=131_072, metadata={"least": 64})
    """``tls`` events that wait for a heartbeat of their flow, 1 to 3 KB each; the oldest is told of first."""

    session_bytes_total: int = 256 << 20
    """What they may have in all, since certificates can make them long; the oldest is told of first."""

    session_wait_ns: int = 10 * _SECOND_NS
    """How long they wait: attacks ask within a second of the hello, and what is exposed shall be told soon."""

    hold_ns: int = 2 * _SECOND_NS
    """How long the packets of a flow are held back until the streams with its hellos come, which Suricata writes when
    the other side has acknowledged them."""

    hold_events: int = 2_048
    """And how many events must have been read meanwhile: Suricata's threads write side by side, and one may be behind
    by as many packets as it lets wait (``max-pending-packets``, 1,024)."""

    rejoin_ns: int = 10 * _SECOND_NS
    """How long a flow may go on that ended with Suricata itself, or for one of several sensors, counted from the first
    event after that: the time of a restart, in which nobody speaks, is not counted. Until then its totals wait; where
    nobody speaks for a while, they wait no longer."""

    held_bytes: int = 1 << 20
    """Held back of one flow: more than all that comes within a round trip."""

    inbox_bytes: int = 64 << 20
    """Lines that were brought over a socket and wait to be read: some seconds of a busy Suricata. What comes beyond is
    dropped and counted; a pipe, and Redis, have to wait."""

    reread_bytes: int = 256 << 20
    """After a restart, flows that were going on are read again from their beginning, if no more than this was written
    since: some seconds' work. Of those that began before, the rest is judged without their hellos."""

    held_bytes_total: int = 64 << 20
    """Held back over all flows together; those that wait for longest are hurried."""


@dataclass(frozen=True, slots=True)
class Sinks:
    """How sinks of alerts are treated by a sensor, which must not wait for them."""

    queue_lines: int = 16_384
    """Alerts that wait for a sink that is slow or away, for each sink of a sensor: an hour of four a second, where the
    discipline of alerts leaves a few a minute in bad times. What comes while the queue is full is lost there, and
    counted: the first alerts of a kind tell most, later ones repeat them with larger numbers."""

    queue_bytes: int = 32 << 20
    """The same in bytes: room for that many alerts of 2 KB, about as large as they are."""

    retry_ns: int = 5 * _SECOND_NS
    """The longest wait until a sink that failed is tried again; the first waits are shorter."""

    close_ns: int = 500_000_000
    """From the signal that ends a sensor until sinks must have written what waits: a quarter of the two seconds within
    which it shall be gone. A file takes a full queue in less."""

    redis_stream_entries: int = 100_000
    """About how many alerts a Redis stream keeps, read or not: Suricata's number. Lists are emptied by their reader."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Whom ``hbids sidecar --feedback`` tells Suricata of, and for how long."""

    hostbit: str = "hbids.offender"
    """The name that rules ask for."""

    verdict: str = field(default="leaked", metadata={"words": ("attempted", "leaked", "harvested")})
    """What somebody must have done, at least: who only asked may have been a survey; patched servers are asked every
    day."""

    expire_ns: int = field(default=3_600 * _SECOND_NS, metadata={"least": _SECOND_NS})
    """Until a bit is over, from when its offender was last seen to go on: time for people to look, and not so long that
    the next user of an address pays for the one before."""

    offenders_a_minute: int = 60
    """New ones; more wait for their turn. The largest harvest among the labelled captures has eight sources: so many at
    once are a large botnet, or a mistake of hbids that shall not cut everybody off before somebody looks."""

    offenders: int = field(default=1_024, metadata={"most": 65_536})
    """At a time, of whom rules ask with each packet; those beyond are counted. Suricata prepares room for a thousand
    hosts."""

    answer_wait_ns: int = 10 * _SECOND_NS
    """For each answer of Suricata's: it gives none while it loads rules, and hangs otherwise."""

    retry_ns: int = 30 * _SECOND_NS
    """The longest wait until a socket that failed is tried again; the first waits are shorter."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a user may set."""

    limits: Limits = field(default_factory=Limits)
    thresholds: Thresholds = field(default_factory=Thresholds)
    memory: Memory = field(default_factory=Memory)
    capture: Capture = field(default_factory=Capture)
    output: Output = field(default_factory=Output)
    eve: Eve = field(default_factory=Eve)
    report: Report = field(default_factory=Report)
    sinks: Sinks = field(default_factory=Sinks)
    feedback: Feedback = field(default_factory=Feedback)
    home_networks: tuple[str, ...] = ()
    """Networks (CIDR) whose endpoints are ours; empty means all."""
    assets: tuple[Asset, ...] = ()
    """What endpoints are for: a mapping of networks, addresses, ``address:port`` or host names to words. At some of
    these, such as ``mail`` or ``vpn``, people show who they are (:data:`~hbids.assets.AUTHENTICATING`)."""
    authorized_scanners: tuple[str, ...] = ()
    """Networks (CIDR) of scanners of our own: what they find counts, what they do is no attack."""
    disclosure_ns: int | None = None
    """When the bug became public, in the file ``disclosure``: what came before is marked."""

    signatures: UserSignatures | None = None
    """What users' signature files add, and change of hbids' own (docs/signatures.md)."""

    def reloaded(self, newer: Config) -> tuple[Config, list[str]]:
        """What of ``newer`` a run that began with this one can take, and the settings that wait for a start: what they
        size exists by now."""
        waiting = [
            f"{section}.{entry.name}"
            for section in _AT_START
            for entry in fields(getattr(self, section))
            if getattr(getattr(self, section), entry.name) != getattr(getattr(newer, section), entry.name)
        ]
        return replace(newer, **{section: getattr(self, section) for section in _AT_START}), waiting


_AT_START = ("limits", "memory", "capture", "eve", "report", "sinks", "feedback")


def settings_of(kind: type[Any]) -> dict[str, Field[Any]]:
    """The fields of a section by the names that users write: times are in seconds."""
    return {entry.name.replace("_ns", "_s"): entry for entry in fields(kind)}
