"""Segments of TCP and datagrams of UDP: found in packets that Suricata logged, and made where only their bytes are
known."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import NamedTuple

__all__ = ["ACK", "LINK_TYPE_ETHERNET", "LINK_TYPE_RAW", "RST", "SYN", "Segment", "find_segment", "make_segment"]

LINK_TYPE_RAW = 101
"""IP without anything around it (LINKTYPE_RAW)."""
_LINK_TYPES_RAW = (12, 14, LINK_TYPE_RAW, 228, 229)
LINK_TYPE_ETHERNET, _LINK_TYPE_LOOP, _LINK_TYPE_LINUX_ANY = 1, 0, 113

_TCP = 6
SYN, RST, ACK = 0x02, 0x04, 0x10
_TAGS = (0x8100, 0x88A8, 0x9100)
_MOST_TAGS = 3
_HOPS = 64
_WINDOW = 0xFFFF


class Segment(NamedTuple):
    """What of a TCP segment places its bytes in the stream."""

    source_port: int
    target_port: int
    seq: int
    ack: int | None
    """None without the flag."""
    payload: bytes


def find_segment(link_type: int, frame: bytes) -> Segment | None:
    """The TCP segment of a frame; None where there is none, or one that is not laid out as Suricata logs them."""
    offset = _ip_offset(link_type, frame)
    if offset is None and _ip_length(frame) == len(frame):
        offset = 0  # a packet that Suricata made itself, to end a flow: it has no Ethernet, whatever is said of it
    if offset is None or len(frame) < offset + 20:
        return None
    if frame[offset] >> 4 == 4:
        length = int.from_bytes(frame[offset + 2 : offset + 4])
        protocol, start = frame[offset + 9], offset + (frame[offset] & 0x0F) * 4
    else:
        length = 40 + int.from_bytes(frame[offset + 4 : offset + 6])
        protocol, start = frame[offset + 6], offset + 40
    end = min(len(frame), offset + length) if length else len(frame)
    if protocol != _TCP or end < start + 20:
        return None
    source_port, target_port, seq, ack, header_words, flags = struct.unpack_from("!HHIIBB", frame, start)
    payload = frame[start + (header_words >> 4) * 4 : end]
    return Segment(source_port, target_port, seq, ack if flags & ACK else None, payload)


def _ip_length(frame: bytes) -> int:
    return int.from_bytes(frame[2:4]) if frame[:1] == b"\x45" else 40 + int.from_bytes(frame[4:6])


def _ip_offset(link_type: int, frame: bytes) -> int | None:
    if link_type in _LINK_TYPES_RAW:
        offset = 0
    elif link_type == LINK_TYPE_ETHERNET:
        offset = 14
        for _ in range(_MOST_TAGS):
            if int.from_bytes(frame[offset - 2 : offset]) not in _TAGS:
                break
            offset += 4
    elif link_type == _LINK_TYPE_LINUX_ANY:
        offset = 16
    elif link_type == _LINK_TYPE_LOOP:
        offset = 4
    else:
        return None
    return offset if len(frame) > offset and frame[offset] >> 4 in (4, 6) else None


def make_segment(
    source: tuple[str, int], target: tuple[str, int], seq: int, ack: int, flags: int, payload: bytes = b""
) -> bytes:
    """An IP packet with a TCP segment, of link type :data:`LINK_TYPE_RAW`; all checksums are right.

    ``payload`` may be 65,000 bytes long. Raises ValueError when an address is none.
    """
    (source_ip, source_port), (target_ip, target_port) = source, target
    source_bytes, target_bytes = ip_address(source_ip).packed, ip_address(target_ip).packed
    length = 20 + len(payload)
    header = struct.pack(
        "!HHIIBBHHH", source_port, target_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, _WINDOW, 0, 0
    )
    pseudo = source_bytes + target_bytes + struct.pack("!II", length, _TCP)
    checksum = _checksum(pseudo + header + payload)
    segment = header[:16] + checksum.to_bytes(2) + header[18:] + payload
    if len(source_bytes) == 16:
        return struct.pack("!IHBB", 6 << 28, length, _TCP, _HOPS) + source_bytes + target_bytes + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, _HOPS, _TCP, 0) + source_bytes + target_bytes
    return head[:10] + _checksum(head).to_bytes(2) + head[12:] + segment


def _checksum(data: bytes) -> int:
    """RFC 1071, by arithmetic: a sum of 16-bit digits is the number modulo 2**16 - 1."""
    number = int.from_bytes(data + b"\0" * (len(data) % 2))
    rest = number % 0xFFFF
    return 0xFFFF - (rest or 0xFFFF * bool(number))
