"""The verdict for people: what happened in one line, a table to look at, what to do, and what could not be seen.

Everything is made from the summary (docs/verdict.md tells how to read it). No payload is ever shown: leaked memory is
other people's data.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hbids.cli.advice import advice
from hbids.cli.exposure import exposure_text
from hbids.cli.naming import address, moment
from hbids.cli.naming import sources as sources_of
from hbids.facts import Verdict
from hbids.fingerprints import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "HARMLESS",
    "STYLES",
    "count",
    "gravity",
    "headline",
    "leaked",
    "name_of",
    "print_verdict",
    "tools_of",
    "unseen",
]

STYLES = {
    Verdict.CLEAR: "bold green",
    Verdict.EXPOSED: "cyan",
    Verdict.PROBED: "yellow",
    Verdict.ATTEMPTED: "bold yellow",
    Verdict.LEAKED: "bold red",
    Verdict.HARVESTED: "bold white on red",
}

_ENDPOINTS_SHOWN = 20
_SOURCES_SHOWN = 3
_DROPS_SHOWN = 6

HARMLESS = {
    "datagrams_foreign",
    "dtls_records_replayed",
    "eap_repeated",
    "eve_events_seen_twice",
    "eve_flow_ids_reused",
    "findings_disabled",
    "fragments",
    "fragments_repeated",
    "heartbeats_repeated",
    "heartbeats_without_tls",
    "not_ip",
    "not_tcp",
    "openvpn_packets_ahead",
    "openvpn_packets_repeated",
    "packets_reassembled",
    "segments_repeated",
    "syn_ignored",
}
"""Counters of what is none of our business or was there twice."""

_UNSEEN = {
    "chunk_panics": "chunks the native engine failed on (a bug: please report it); flows were joined anew after each",
    "datagrams_refused": "UDP datagrams with a wrong checksum (decoys, or damage)",
    "datagrams_cut": "DTLS datagrams cut short (capture with a larger snap length)",
    "detectors_forgot": "flows or endpoints that detectors no longer remember",
    "dtls13_records": "records of DTLS 1.3, whose type is sealed",
    "dtls_cid_records": "DTLS records with a connection id, whose type is sealed",
    "dtls_records_overrun": "DTLS records that claim more than their datagram holds",
    "eap_clues_evicted": "clues to EAP conversations forgotten because there were too many (limits.eap_clues)",
    "eap_malformed": "EAPOL packets whose EAP makes no sense",
    "eap_unasked": "EAP Responses that answer no Request that was seen",
    "eve_anomalies": "packets and records that Suricata made no sense of (eve.anomalies in --summary)",
    "endpoints_dropped": "endpoints beyond what a summary holds",
    "eve_away_s": "seconds in which nobody listened where Suricata wrote",
    "events_lost": "events that a sink did not take (sinks in --summary)",
    "flows_evicted": "flows given up because the table was full (limits.flows)",
    "clock_steps": "times the system's clock was set back so far that flows were begun anew",
    "flows_unfinished": "flows that there was no time to end",
    "fragments_malformed": "IP fragments that contradict the others of their packet",
    "fragments_refused": "IP fragments with a wrong checksum (decoys, or damage)",
    "fragments_overlapping": "IP fragments that overlap; the first copy was taken",
    "frames_cut": "frames of which only the beginning was kept (--snaplen)",
    "frames_joined": "frames that were joined before hbids saw them (ethtool -K IFACE gro off lro off)",
    "frames_late": "frames that came behind later ones",
    "frames_stamped_by_kernel": "frames that the network card did not stamp",
    "interface_downs": "times an interface went down",
    "kernel_drops": "frames that the kernel dropped (more --workers, or capture.ring_bytes)",
    "kernel_ifdrops": "frames that the interface itself lost",
    "ring_freezes": "times the ring was full",
    "frame_truncated": "frames cut short (capture with a larger snap length)",
    "hello_incomplete": "hellos that never came to their end",
    "hello_malformed": "hellos that make no sense",
    "hello_too_long": "hellos beyond the limit (limits.hello_bytes)",
    "held_heartbeats_dropped": "heartbeats before any hello beyond the limit (limits.held_heartbeats)",
    "ip_malformed": "broken IP headers",
    "layers_exceeded": "frames nested too deeply (limits.layers)",
    "link_type_unsupported": "frames of a link type hbids does not know",
    "openvpn_gaps": "holes in OpenVPN's control channel (packets missing from the capture)",
    "openvpn_packets_cut": "packets of OpenVPN's control channel cut short (capture with a larger snap length)",
    "openvpn_packets_malformed": "packets of OpenVPN's control channel that make no sense",
    "openvpn_packets_sealed": "packets of OpenVPN's control channel sealed by tls-crypt",
    "packets_evicted": "fragmented packets given up because there were too many (limits.fragments, .fragment_bytes)",
    "packets_incomplete": "fragmented packets of which a part never came",
    "pending_requests_dropped": "unanswered requests forgotten (limits.pending_requests)",
    "record_desync": "times a TLS stream was lost and searched for",
    "record_overlong": "TLS records longer than allowed",
    "segments_refused": "TCP segments their receiver refused (decoys, or damage)",
    "sources_dropped": "source addresses beyond what an endpoint's entry holds",
    "statistics_forgot": "sources, endpoints and others no longer counted (memory in the configuration)",
    "stream_gaps": "holes in TCP streams or EAP (packets missing from the capture)",
    "tcp_malformed": "broken TCP headers",
    "tls13_sessions": "sessions of TLS 1.3, whose record types are sealed",
    "tunnel_unreadable": "tunnel headers hbids cannot read",
    "urgent_bytes": "bytes out of band (TCP urgent data)",
    "udp_malformed": "broken UDP headers",
    "victims_outside_home": "findings about endpoints outside the home networks",
}
"""What the other counters mean to an operator; docs/counters.md has them all."""

_NUMBERS_WIDTH = 57
"""Of all columns behind the endpoint's name, with their gaps."""


def print_verdict(summary: Mapping[str, Any], stream: IO[str]) -> None:
    """Print the verdict of a run; ``summary`` is what ``Result.summary()`` gives."""
    console = Console(file=stream, highlight=False)
    endpoints = sorted(summary["endpoints"], key=gravity)
    worst = _verdict(endpoints[0]) if endpoints else Verdict.CLEAR
    console.print(
        Text(headline(summary, endpoints), style=STYLES[worst] if endpoints or summary["tls_sessions"] else "")
    )
    console.print()
    if endpoints:
        _print_endpoints(console, endpoints)
        console.print()
    steps = advice(summary, endpoints)
    if steps:
        console.print(Text("What to do", style="bold"))
        for number, step in enumerate(steps, 1):
            console.print(_item(f" {number}.", step))
        console.print()
    suspicion = _suspicion(summary["alerts"])
    if suspicion:
        console.print(_item("Suspicion", suspicion))
    yours = _of_user(summary["alerts"])
    if yours:
        console.print(_item("Also     ", yours))
    if "feedback" in summary:
        console.print(_item("Feedback ", _feedback(summary["feedback"])))
    console.print(_item("Looked at", _looked_at(summary)))
    parts = unseen(summary["drops"])
    if parts:
        more = ["and more, see drops in --summary"] if len(parts) > _DROPS_SHOWN else []
        console.print(_item("Not seen ", "; ".join(parts[:_DROPS_SHOWN] + more)))


def headline(summary: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]]) -> str:
    """The worst in one sentence; ``endpoints`` gravest first."""
    return _worst(endpoints) if endpoints else _nothing_found(summary)


def _nothing_found(summary: Mapping[str, Any]) -> str:
    if not summary["packets"]:
        return "Nothing to judge: no packet was read."
    if elsewhere := summary["drops"].get("victims_outside_home"):
        return f"No sign of Heartbleed on home networks; {count(elsewhere, 'finding')} about endpoints elsewhere."
    if not summary["tls_sessions"] + summary["dtls_sessions"]:
        return "No sign of Heartbleed, but no TLS session was seen either."
    return "No sign of Heartbleed: no endpoint was asked for memory, none accepts heartbeats."


def _worst(endpoints: Sequence[Mapping[str, Any]]) -> str:
    worst = endpoints[0]
    name, sources = name_of(worst), count(len(worst["sources"]), "source")
    sentence = {
        Verdict.HARVESTED: f"{name} was HARVESTED: {leaked(worst)} bytes of its memory went to {sources}",
        Verdict.LEAKED: f"{name} LEAKED {leaked(worst)} bytes of its memory to {sources}",
        Verdict.ATTEMPTED: f"{name} was ASKED for its memory by {sources}; no leak was seen",
        Verdict.PROBED: f"{name} was PROBED by {sources}; nothing leaked",
        Verdict.EXPOSED: f"{name} accepts heartbeats; nobody was seen to abuse them",
    }[_verdict(worst)]
    others = len(endpoints) - 1
    return f"{sentence}. {count(others, 'more endpoint')} below." if others else f"{sentence}."


def _print_endpoints(console: Console, endpoints: Sequence[Mapping[str, Any]]) -> None:
    shown, hidden = endpoints[:_ENDPOINTS_SHOWN], len(endpoints) - _ENDPOINTS_SHOWN
    names = [name_of(endpoint) for endpoint in shown]
    width = min(max(map(len, names)), console.width - _NUMBERS_WIDTH)
    header = _row(width)
    header.add_row("Endpoint", "Verdict", "Requests", "Over-reads", "Sealed", "Leaked bytes", style="bold")
    console.print(header)
    for name, endpoint in zip(names, shown, strict=True):
        row, verdict = _row(width), _verdict(endpoint)
        clear, overread, sealed = (endpoint[f"{kind}_requests"] for kind in ("heartbeat", "overread", "sealed"))
        asked = (f"{number:,}" for number in (clear + sealed, overread, sealed))
        row.add_row(Text(name), Text(verdict.word, style=STYLES[verdict]), *asked, leaked(endpoint))
        console.print(row)
        for line in filter(None, (_circumstances(endpoint), exposure_text(endpoint["exposure"]))):
            console.print(_item("   ", line))
    if hidden > 0:
        console.print(f"... and {count(hidden, 'more endpoint')}, none graver: all are in the summary (--summary)")
    if any(endpoint["leaked_bytes_estimated"] for endpoint in shown):
        console.print("~ sealed answers cannot be read: their leak is estimated from sizes")


def _row(endpoint_width: int) -> Table:
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=endpoint_width, overflow="fold")
    row.add_column(width=9)
    for width in (8, 10, 6, 13):
        row.add_column(width=width, justify="right")
    return row


def leaked(endpoint: Mapping[str, Any]) -> str:
    """How many bytes; ``~`` before a sum with an estimate in it."""
    exact, estimated = endpoint["leaked_bytes"], endpoint["leaked_bytes_estimated"]
    return f"~{exact + estimated:,}" if estimated else f"{exact:,}"


def _circumstances(endpoint: Mapping[str, Any]) -> str:
    sources, first, last = sources_of(endpoint), moment(endpoint["first_seen"]), moment(endpoint["last_seen"])
    hidden = len(sources) - _SOURCES_SHOWN
    scanners = endpoint["authorized_scanners"]
    shown = [
        f"{name} (authorized scanner)" if source in scanners["sources"] else name
        for name, source in zip(sources[:_SOURCES_SHOWN], endpoint["sources"], strict=False)
    ]
    by = ", ".join(shown) + (f" and {hidden:,} more" if hidden > 0 else "")
    until = last[11:] if first[:10] == last[:10] else last
    parts = [
        f"asset: {', '.join(endpoint['assets'])}" if endpoint["assets"] else "",
        f"by {by}" if by else "",
        f"{leaked(scanners)} bytes of it to authorized scanners" if scanners["leaking_answers"] else "",
        f"with {tools_of(endpoint)}" if endpoint["tool_classes"] else "",
        f"{first} UTC" if first == last else f"{first} to {until} UTC",
    ]
    return "; ".join(part for part in parts if part)


def tools_of(endpoint: Mapping[str, Any]) -> str:
    """Each by its class and name; of one that was not recognised there is nothing to name."""
    classes: Mapping[str, Sequence[str]] = endpoint["tool_classes"]
    named = [f"{tool_class} {name}" for tool_class, names in classes.items() for name in names]
    return ", ".join([*named, *["an unknown tool"] * (UNKNOWN in classes)])


def _suspicion(alerts: Mapping[str, int]) -> str:
    """What changes no verdict, but should be looked at."""
    times = sum(times for sid, times in alerts.items() if sid.startswith("10164"))
    return f"{count(times, 'alert')} of flows out of line, without heartbeats: see --eve" if times else ""


def _of_user(alerts: Mapping[str, int]) -> str:
    """Alerts of the user's own signatures, which rest no verdict."""
    counts = [f"{count:,} of {sid}" for sid, count in alerts.items() if not sid.startswith("1016")]
    return f"alerts of signatures of yours: {', '.join(counts)}" if counts else ""


def _feedback(feedback: Mapping[str, Any]) -> str:
    """Of whom Suricata was told, or would have been."""
    told = f"{count(feedback['set'], 'offender')} {'would have been' * feedback['dry_run'] or 'were'} told to Suricata"
    held_back = ", ".join(f"{times:,} {reason}" for reason, times in feedback["held_back"].items() if times)
    trouble = "" if feedback["works"] else "; it cannot be told now"
    return f"{told}{trouble}; findings held back: {held_back or 'none'}"


def _looked_at(summary: Mapping[str, Any]) -> str:
    heartbeats = summary["heartbeats"]
    parts = [
        count(summary["packets"], "packet"),
        count(summary["flows"], "flow"),
        count(summary["tls_sessions"], "TLS session"),
        count(summary["dtls_sessions"], "DTLS session") if summary["dtls_sessions"] else "",
        f"{count(sum(heartbeats[kind] for kind in ('requests', 'responses', 'malformed', 'sealed')), 'heartbeat')}",
    ]
    sources = summary["sources"]
    where = count(len(sources), "file") if len(sources) != 1 else "standard input" if sources == ["-"] else sources[0]
    return f"{', '.join(part for part in parts if part)} in {where} ({summary['engine']} engine)"


def unseen(drops: Mapping[str, int]) -> list[str]:
    """What could not be seen and how often, largest first."""
    grave = sorted(((times, name) for name, times in drops.items() if times and name not in HARMLESS), reverse=True)
    return [f"{times:,} {_UNSEEN.get(name, name)}" for times, name in grave]


def _item(label: str, text: str) -> Table:
    """A label with its text beside it, wrapped under itself."""
    item = Table.grid(padding=(0, 1, 0, 0))
    item.add_column(no_wrap=True)
    item.add_column(overflow="fold")
    item.add_row(Text(label, style="bold"), Text(text))
    return item


def gravity(endpoint: Mapping[str, Any]) -> tuple[int, int]:
    """To sort by, gravest first."""
    return -_verdict(endpoint), -(endpoint["leaked_bytes"] + endpoint["leaked_bytes_estimated"])


def _verdict(endpoint: Mapping[str, Any]) -> Verdict:
    return Verdict[endpoint["verdict"].upper()]


def name_of(endpoint: Mapping[str, Any]) -> str:
    """What an endpoint is called by."""
    name = address(endpoint)
    if endpoint["port"]:
        name = f"[{name}]:{endpoint['port']}" if ":" in name else f"{name}:{endpoint['port']}"
    over = endpoint["carrier"] or endpoint["transport"]
    notes = [note for note in (over, endpoint["role"]) if note not in ("tls", "server")]
    return f"{name} ({', '.join(notes)})" if notes else name


def count(number: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
