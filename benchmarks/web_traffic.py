"""Captures of what offices do all day: TLS, HTTP and names, for Suricata to write about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks import packets
from benchmarks.conversation import ACK, FIN, PSH, SYN, Packet, Side, short
from benchmarks.frames import PCAP_HEADER, Connections
from benchmarks.template import letters, literal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_captures"]

_SEED = 20140407
_TLS, _HTTP, _NAMES = 1_900, 800, 1_500
"""Conversations of each kind: as many lines are about TLS as about names."""
_BODY = b"<html>" + b"x" * 900


def write_captures(folder: Path) -> list[Path]:
    """Write one of each kind; where they are."""
    dice = np.random.default_rng(_SEED)
    contents = {
        "tls.pcap": _connections(Connections(_TLS, dice), _TLS, short()),
        "http.pcap": _connections(Connections(_HTTP, dice, server_port=80), _HTTP, _page()),
        "names.pcap": _names(dice),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(PCAP_HEADER + content)
    return [folder / name for name in contents]


def _connections(connections: Connections, count: int, conversation: list[Packet]) -> bytes:
    return b"".join(connections.exchange(packet, range(count)).tobytes() for packet in conversation)


def _page() -> list[Packet]:
    request = literal(b"GET /") + letters(12) + literal(b" HTTP/1.1\r\nHost: www.") + letters(8)
    request += literal(b".example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\n\r\n")
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
    return [
        Packet(Side.CLIENT, SYN),
        Packet(Side.SERVER, SYN | ACK),
        Packet(Side.CLIENT),
        Packet(Side.CLIENT, PSH | ACK, request),
        Packet(Side.SERVER, PSH | ACK, literal(answer + _BODY)),
        Packet(Side.CLIENT),
        Packet(Side.CLIENT, FIN | ACK),
        Packet(Side.SERVER, FIN | ACK),
        Packet(Side.CLIENT),
    ]


def _names(dice: np.random.Generator) -> bytes:
    """Questions for addresses, and the answers (RFC 1035 section 4)."""
    flows = packets.Flows(range(_NAMES), 53)
    name = literal(b"\x03www\x08") + letters(8) + literal(b"\x07example\x00\x00\x01\x00\x01")
    asked = name.fill(_NAMES, dice)
    number = dice.integers(0, 256, (_NAMES, 2), np.uint8)
    question = np.hstack([number, _each(b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"), asked])
    address = _each(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x07")
    answer = np.hstack([number, _each(b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"), asked, address])
    asking = packets.stamp(packets.udp(flows, Side.CLIENT, question), 0)
    return asking.tobytes() + packets.stamp(packets.udp(flows, Side.SERVER, answer), _NAMES).tobytes()


def _each(data: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.tile(np.frombuffer(data, np.uint8), (_NAMES, 1))
