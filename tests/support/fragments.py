"""IP packets in fragments, honest or not."""

from __future__ import annotations

import struct

from tests.support import framing


def part(packet: bytes, start: int, end: int, *, identification: int = 7, more: bool | None = None) -> bytes:
    """The fragment of ``packet`` that carries the bytes ``start`` to ``end`` of its payload."""
    six = packet[0] >> 4 == 6
    header, payload = (packet[:40], packet[40:]) if six else (packet[:20], packet[20:])
    more = end < len(payload) if more is None else more
    piece = payload[start:end]
    if six:
        extension = struct.pack(">BBHI", header[6], 0, start | more, identification)
        return header[:4] + struct.pack(">HB", len(piece) + 8, 44) + header[7:] + extension + piece
    place = (0x2000 if more else 0) | start // 8
    header = (
        header[:2] + struct.pack(">HHH", 20 + len(piece), identification, place) + header[8:10] + bytes(2) + header[12:]
    )
    return header[:10] + framing.checksum(header) + header[12:] + piece


def parts(packet: bytes, size: int, *, identification: int = 7) -> list[bytes]:
    length = len(packet) - (40 if packet[0] >> 4 == 6 else 20)
    return [part(packet, at, min(at + size, length), identification=identification) for at in range(0, length, size)]
