"""The vocabulary of hbids: what crosses from one room to another.

Frames come in as a :class:`FrameBatch`; decoding turns them into three tables of facts (numpy structured arrays, one
row each); detectors turn facts into :class:`Finding` objects. Nothing here does I/O or reads a clock.

Units: times are ``int64`` nanoseconds since the Unix epoch (UTC), lengths are bytes, addresses are 16 bytes (IPv4 in
its v4-mapped IPv6 form). Absent is never zero: every column that can lack a value names its sentinel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "ABSENT",
    "CONTENT_TYPES",
    "FLOW_DTYPE",
    "FRAME_DTYPE",
    "HEARTBEAT_DTYPE",
    "NEVER_NS",
    "NOT_COUNTED",
    "NOT_SEEN",
    "NO_MESSAGE",
    "NO_SUITE",
    "NO_VERSION",
    "NO_VLAN",
    "PROTOCOL_EAPOL",
    "SESSION_DTYPE",
    "Answer",
    "Direction",
    "EndReason",
    "Facts",
    "Finding",
    "FlowContext",
    "FrameBatch",
    "Kind",
    "Phase",
    "Protection",
    "Reach",
    "Series",
    "TlsStart",
    "Transport",
    "Verdict",
]

Rows = npt.NDArray[np.void]
"""A structured array with one of the dtypes below, shape (rows,)."""


# --- sentinels ------------------------------------------------------------------------------------------------------

ABSENT = -1
"""A length or extension that is not there (the message or hello itself was seen)."""

NOT_SEEN = -2
"""An extension of a hello that was not captured: nothing can be said."""

NO_MESSAGE = 0
"""``answers_message`` of a message that answers none; message ids start at 1."""

NEVER_NS = -(1 << 63)
"""The time of what did not happen."""

NO_VERSION = 0
"""A protocol version that was not seen; no TLS version has this number."""

NO_SUITE = 0xFFFF
"""A cipher suite that was not seen; IANA keeps 0xFFFF unassigned (0x0000 is a real suite)."""

NOT_COUNTED = 0xFFFFFFFF
"""Holes of a direction of which only some records were told, by Suricata's ``frame`` events: what is not there may have
been."""

NO_VLAN = 0xFFFF
"""An unused VLAN layer; real identifiers have 12 bits."""

PROTOCOL_EAPOL = 255
"""Stands for the IP protocol number of flows over EAPOL, which has no IP: a number that IANA keeps reserved."""


# --- enums ----------------------------------------------------------------------------------------------------------


class Direction(IntEnum):
    """Which way a message went."""

    UNKNOWN = 0
    TO_SERVER = 1
    TO_CLIENT = 2


class Transport(IntEnum):
    """Which kind of records it was. Records of TLS come over UDP, too, in OpenVPN and EAP."""

    TLS = 1
    DTLS = 2


class Protection(IntEnum):
    """Whether a heartbeat's bytes can be read."""

    CLEAR = 1
    SEALED = 2


class Kind(IntEnum):
    """What a heartbeat message is: read from its type byte when clear, inferred from pairing when sealed."""

    REQUEST = 1
    RESPONSE = 2
    MALFORMED = 3
    """Clear, and either shorter than its own 3-byte header or of a type RFC 6520 does not know."""


class Phase(IntEnum):
    """Where in its session a heartbeat stood. RFC 6520 section 3 wants none before the handshake is over."""

    UNKNOWN = 0
    BEFORE_SERVER_HELLO = 1
    HANDSHAKE = 2
    AFTER = 3


class Answer(IntEnum):
    """A yes/no fact that may also be unknown."""

    UNKNOWN = 0
    NO = 1
    YES = 2


class TlsStart(IntEnum):
    """How TLS began on its flow."""

    UNKNOWN = 0
    DIRECT = 1
    UPGRADED = 2
    """After plain text of another kind than those below."""
    SMTP = 3
    IMAP = 4
    POP3 = 5
    FTP = 6
    LDAP = 7
    XMPP = 8
    POSTGRESQL = 9
    MYSQL = 10
    NNTP = 11
    MANAGESIEVE = 12
    IRC = 13
    HTTP_CONNECT = 14
    SOCKS = 15
    PROXY_PROTOCOL = 16
    OPENVPN = 17
    """In the control channel of OpenVPN, over UDP or TCP."""
    EAP = 18
    """In EAP-TLS, EAP-TTLS, PEAP, EAP-FAST or TEAP."""


class EndReason(IntEnum):
    """Why a row of ``flows`` was written."""

    CHECKPOINT = 1
    """The flow goes on; counters are totals so far."""
    FIN = 2
    RST = 3
    TIMEOUT = 4
    REUSED = 5
    """A new connection took the same addresses and ports."""
    EVICTED = 6
    """The flow table was full."""
    CAPTURE_END = 7


class Verdict(IntEnum):
    """What happened to an endpoint, in order of harm."""

    CLEAR = 0
    EXPOSED = 1
    """Negotiates the heartbeat extension."""
    PROBED = 2
    """Was sent a request that cannot leak."""
    ATTEMPTED = 3
    """Was asked for more than the request carried."""
    LEAKED = 4
    """Answered with more than the request carried."""
    HARVESTED = 5
    """Leaked repeatedly to one source, or to one behaviour from several."""

    @property
    def word(self) -> str:
        """The lower-case word used in every output."""
        return self.name.lower()


CONTENT_TYPES = (20, 21, 22, 23, 24)
"""TLS record content types, in the order of the per-type columns: change_cipher_spec, alert, handshake,
application_data, heartbeat (RFC 5246 section 6.2.1, RFC 6520 section 3)."""


# --- frames ---------------------------------------------------------------------------------------------------------

FRAME_DTYPE = np.dtype(
    [
        ("time_ns", "<i8"),
        ("offset", "<u4"),  # of the frame's first byte in FrameBatch.data
        ("captured_bytes", "<u4"),
        ("wire_bytes", "<u4"),  # original length; larger than captured_bytes when a snap length cut the frame
        ("link_type", "<u2"),  # LINKTYPE_ number of the pcap registry
        ("interface", "<u2"),
    ]
)
"""One row per captured frame."""


@dataclass(slots=True)
class FrameBatch:
    """Some frames in capture order.

    ``data`` holds the bytes, ``frames`` (shape (n,), :data:`FRAME_DTYPE`) says where each frame lies in them.
    """

    data: bytes
    frames: Rows


# --- facts ----------------------------------------------------------------------------------------------------------

_ENDPOINTS = [
    ("client_addr", "u1", (16,)),
    ("server_addr", "u1", (16,)),
    ("client_port", "<u2"),
    ("server_port", "<u2"),
    ("vlan", "<u2", (3,)),  # outermost first, NO_VLAN where unused; as first seen on the flow
    ("protocol", "u1"),  # IP protocol number, or PROTOCOL_EAPOL
]

_FLOW_SO_FAR = [
    ("packet_number", "<u8"),  # of the packet that completed the row, 1-based over the whole run
    ("flow_start_ns", "<i8"),
    ("packets_to_server", "<u8"),
    ("packets_to_client", "<u8"),
    ("bytes_to_server", "<u8"),  # whole frames, original lengths
    ("bytes_to_client", "<u8"),
]

HEARTBEAT_DTYPE = np.dtype(
    [
        ("time_ns", "<i8"),  # packet that carried the first byte of the message's first record
        ("end_time_ns", "<i8"),  # packet that carried the last byte counted here
        ("message_id", "<u8"),  # 1, 2, 3 ... in the order the messages began
        ("flow_id", "<u8"),
        *_ENDPOINTS,
        ("transport", "u1"),  # Transport
        ("direction", "u1"),  # Direction
        ("protection", "u1"),  # Protection
        ("kind", "u1"),  # Kind
        ("phase", "u1"),  # Phase
        ("is_final", "u1"),  # 0: an early row of a message that still grows; its final row follows
        ("gap", "u1"),  # 1: bytes of the message are missing from the capture
        ("midstream", "u1"),  # 1: the flow was joined after its start, so TLS itself is inferred
        ("message_type", "<i2"),  # byte as seen; ABSENT when sealed or not there
        ("record_version", "<u2"),  # as seen in the first record
        ("record_length", "<u4"),  # claimed by the first record's header
        ("bytes_seen", "<u8"),  # record bytes really captured, over all records of the message
        ("records", "<u4"),
        ("claimed_length", "<i4"),  # payload_length field; ABSENT when sealed or not there
        ("payload_present", "<i4"),  # payload bytes seen; ABSENT when sealed or not there
        ("padding_present", "<i4"),  # bytes seen after the payload; ABSENT when sealed or not there
        ("answers_message", "<u8"),  # message_id of the request, NO_MESSAGE when none was seen
        ("request_record_length", "<i4"),  # of that request; ABSENT when none
        ("request_claimed_length", "<i4"),  # of that request; ABSENT when none or sealed
        ("cipher_suite", "<u2"),  # negotiated; NO_SUITE when not seen
        ("tls_version", "<u2"),  # negotiated; NO_VERSION when not seen
        ("encrypt_then_mac", "u1"),  # Answer (RFC 7366)
        ("heartbeat_accepted", "<i2"),  # as in sessions, at the time of this row
        *_FLOW_SO_FAR,
    ]
)
"""One row per heartbeat **message**. A long answer is cut into several records of type 24 of which only the first has a
heartbeat header; the rest belong to the same message.

An answer that outgrows its request is reported early by a row with ``is_final`` 0; the final row comes when the message
ends. Every message has exactly one final row."""

SESSION_DTYPE = np.dtype(
    [
        ("time_ns", "<i8"),  # of the first hello seen
        ("flow_id", "<u8"),
        *_ENDPOINTS,
        ("transport", "u1"),  # Transport
        ("start", "u1"),  # TlsStart
        ("resumed", "u1"),  # Answer
        ("encrypt_then_mac", "u1"),  # Answer
        ("midstream", "u1"),
        ("client_record_version", "<u2"),  # record header of the ClientHello; NO_VERSION when not seen
        ("client_version", "<u2"),  # legacy version field; NO_VERSION when not seen
        ("server_version", "<u2"),  # legacy version field; NO_VERSION when not seen
        ("tls_version", "<u2"),  # negotiated, with supported_versions heeded; NO_VERSION when not seen
        ("cipher_suite", "<u2"),  # NO_SUITE when not seen
        ("client_hello_length", "<i4"),  # handshake message length field; NOT_SEEN without a ClientHello
        ("heartbeat_offered", "<i2"),  # extension 15 mode of the ClientHello; ABSENT, or NOT_SEEN without a hello
        ("heartbeat_accepted", "<i2"),  # the same of the ServerHello
        ("client_random", "u1", (32,)),  # zeros when client_version is NO_VERSION
        ("server_random", "u1", (32,)),  # zeros when server_version is NO_VERSION
        ("sni", "S255"),  # first host_name, cut at 255 bytes; empty when absent
        ("alpn_offered", "S64"),  # comma-joined, cut at 64 bytes
        ("alpn_selected", "S32"),
        ("ja3", "S32"),  # hex MD5; empty when not seen
        ("ja3s", "S32"),
        ("ja4", "S36"),
    ]
)
"""One row per TLS session, written when the ServerHello is read, or when the flow ends without one."""

_PER_TYPE = [
    (f"{what}_{way}", kind, (len(CONTENT_TYPES),))
    for way in ("to_server", "to_client")
    for what, kind in (("records", "<u4"), ("record_bytes", "<u8"))
]

FLOW_DTYPE = np.dtype(
    [
        ("flow_id", "<u8"),
        ("time_ns", "<i8"),  # first packet
        ("end_time_ns", "<i8"),  # last packet
        *_ENDPOINTS,
        ("transport", "u1"),  # Transport, 0 when no TLS was seen
        ("midstream", "u1"),
        ("end_reason", "u1"),  # EndReason
        ("min_ttl_to_server", "<i2"),  # hop limit in IPv6; ABSENT without packets that way
        ("max_ttl_to_server", "<i2"),
        ("min_ttl_to_client", "<i2"),
        ("max_ttl_to_client", "<i2"),
        ("packets_to_server", "<u8"),
        ("packets_to_client", "<u8"),
        ("bytes_to_server", "<u8"),
        ("bytes_to_client", "<u8"),
        *_PER_TYPE,  # record headers seen and body bytes seen, indexed as CONTENT_TYPES
        ("heartbeats_to_server", "<u4"),  # messages
        ("heartbeats_to_client", "<u4"),
        ("gaps_to_server", "<u4"),  # holes given up on; or NOT_COUNTED
        ("gaps_to_client", "<u4"),
        ("gap_bytes_to_server", "<u8"),  # of TCP; how long lost packets of OpenVPN were nobody knows
        ("gap_bytes_to_client", "<u8"),
        ("conflicts_to_server", "<u4"),  # segments that bring other bytes for a place than those that count
        ("conflicts_to_client", "<u4"),
        # The last record of another type after the flow's first heartbeat: when it began, NEVER_NS without any ...
        ("last_record_ns_to_server", "<i8"),
        ("last_record_ns_to_client", "<i8"),
        ("last_record_type_to_server", "u1"),  # ... and its content type; 0 without any
        ("last_record_type_to_client", "u1"),
        ("first_fin", "u1"),  # Direction of the FIN that began the end of a TCP connection; UNKNOWN without any
    ]
)
"""One row per flow when it ends, and at checkpoints of long flows (``end_reason`` CHECKPOINT, counters cumulative)."""


@dataclass(slots=True)
class Facts:
    """What one step of decoding learnt; rows of each table in the order the events happened."""

    heartbeats: Rows
    sessions: Rows
    flows: Rows

    @property
    def row_count(self) -> int:
        """In all tables."""
        return len(self.heartbeats) + len(self.sessions) + len(self.flows)

    @classmethod
    def empty(cls) -> Facts:
        """No rows."""
        return cls(np.zeros(0, HEARTBEAT_DTYPE), np.zeros(0, SESSION_DTYPE), np.zeros(0, FLOW_DTYPE))


# --- findings -------------------------------------------------------------------------------------------------------


class FlowContext(NamedTuple):
    """The flow a finding speaks of, as it stood at that moment. Addresses are in text form."""

    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    vlan: tuple[int, ...]
    protocol: int
    start_ns: int
    packets_to_server: int
    packets_to_client: int
    bytes_to_server: int
    bytes_to_client: int
    packet_number: int


class Reach(IntEnum):
    """What a series is counted of, at one endpoint."""

    ENDPOINT = 0
    SOURCE = 1
    NETWORK = 2
    BEHAVIOUR = 3


@dataclass(slots=True)
class Series:
    """What a finding is one of: the rules by which alerts of it are told.

    A finding without a series is told once of each source at each endpoint, and again in each new window.
    """

    reach: Reach = Reach.SOURCE
    """What it is counted of; of two findings of one verdict, that which reaches farther is the graver."""
    growth: str | None = None
    """The number in the context whose growth is told: a power of ten, and the total at the end."""
    key: tuple[int | str, ...] = ()
    """Of whom or what, where that is not the source."""
    together: bool = False
    """Told once of all sources together."""
    once: bool = False
    """Never told again, whatever the window."""
    tells_tool: bool = True
    """A tool that it gives away is told of, too."""


@dataclass(slots=True)
class Finding:
    """One thing a detector saw.

    ``context`` holds the numbers of ``alert.context.hbids``: an absent key means unknown.
    ``victim`` is whose memory is (or may be) read; the other side is the source.
    """

    sid: int
    time_ns: int
    flow: FlowContext
    packet_direction: Direction
    victim: Direction
    """TO_SERVER: the server is the victim; TO_CLIENT: the client is."""
    verdict: Verdict
    context: dict[str, Any] = field(default_factory=dict)
    series: Series | None = None
    """What the finding is one of."""
