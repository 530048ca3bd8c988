"""What tshark sees of a capture: a decoder that shares nothing with hbids, asked through pyshark.

tshark is told two things it would not find out: that port 110 carries TLS (its POP3 does not follow STLS), and that
port 4434 does (one of the long harvest's connections comes from a port that it takes for EtherNet/IP).
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hbids.cli.patient import PatientCapture

__all__ = ["Seen", "Sender", "ask_tshark"]

CLIENT_HELLO, SERVER_HELLO, HEARTBEAT = "1", "2", "24"


class Sender(NamedTuple):
    """One direction of a connection: who sends to whom."""

    ip: str
    port: int
    to_ip: str
    to_port: int


@dataclass(slots=True)
class Seen:
    """Of one capture, by sender."""

    heartbeats: dict[Sender, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Lengths of the heartbeat records, in order. tshark tells of whole records only."""
    client_hellos: Counter[tuple[Sender, str]] = field(default_factory=Counter)
    """By JA3."""
    server_hellos: Counter[tuple[Sender, str, int]] = field(default_factory=Counter)
    """By JA3S and cipher suite."""


@cache
def ask_tshark(path: Path) -> Seen:
    """Dissect a capture; once, however many tests want to know."""
    seen = Seen()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # pyshark takes the current one, and would leave it open
    try:
        with PatientCapture(
            str(path),
            display_filter=" or ".join(
                f"{tls}.record.content_type == {HEARTBEAT} or "
                f"{tls}.handshake.type in {{{CLIENT_HELLO}, {SERVER_HELLO}}}"
                for tls in ("tls", "dtls")
            ),
            decode_as={"tcp.port==110": "tls", "tcp.port==4434": "tls"},
            use_json=True,  # with only these layers, four times faster than pyshark's usual XML
            custom_parameters=["-J", "frame ip ipv6 tcp tls udp dtls"],
            keep_packets=False,
        ) as capture:
            for packet in capture:
                ip = packet.ipv6 if "IPV6" in packet else packet.ip
                ports, tls = (packet.udp, "dtls") if "DTLS" in packet else (packet.tcp, "tls")
                sender = Sender(str(ip.src), int(ports.srcport), str(ip.dst), int(ports.dstport))
                for layer in packet.get_multiple_layers(tls):
                    for record in _inner([layer, *layer.duplicate_layers], "record"):
                        _note(seen, sender, record)
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return seen


def _note(seen: Seen, sender: Sender, record: Any) -> None:
    if _text(record, "content_type") == HEARTBEAT:
        seen.heartbeats[sender].append(int(_text(record, "length")))
    for message in _inner([record], "handshake"):
        if _text(message, "cookie_length") == "0":
            continue  # of DTLS: the client says it again with a cookie, and only that begins a session
        if _text(message, "type") == CLIENT_HELLO:
            seen.client_hellos[sender, _text(message, "ja3")] += 1
        elif _text(message, "type") == SERVER_HELLO:
            seen.server_hellos[sender, _text(message, "ja3s"), int(_text(message, "ciphersuite"), 16)] += 1


def _inner(layers: list[Any], name: str) -> list[Any]:
    """What lies under ``name`` in each layer; tshark writes one as itself and several as a list."""
    found = [layer.get_field(name) for layer in layers if layer.has_field(name)]
    return [each for one in found for each in (one if isinstance(one, list) else [one])]


def _text(layer: Any, name: str) -> str:
    return str(layer.get_field(name)) if layer.has_field(name) else ""
