"""What a TCP segment is wrapped in on its way into a capture: IP, tags, link layers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, ETHERTYPE_QINQ = 0x0800, 0x86DD, 0x8100, 0x88A8
PROTOCOL_TCP = 6


class Link(NamedTuple):
    """A link type of the pcap registry, and how it wraps an IP packet."""

    link_type: int
    wrap: Callable[[bytes], bytes]


Network = Callable[[str, str, int, bytes], bytes]
"""Source, target, TTL and TCP segment to an IP packet."""


# --- TCP ------------------------------------------------------------------------------------------------------------


def tcp(
    source: int,
    target: int,
    seq: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    options: bytes = b"",
    *,
    urgent: int = 0,
) -> bytes:
    """Without a checksum, as a host leaves it to its network card."""
    offset = (20 + len(options)) // 4 << 4
    header = struct.pack(">HHIIBBHHH", source, target, seq, ack, offset, flags, 0xFFFF, 0, urgent)
    return header + options + payload


def checksum(data: bytes) -> bytes:
    """RFC 1071."""
    words = struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (0xFFFF - total).to_bytes(2, "big")


def with_checksum(source: str, target: str, segment: bytes, protocol: int = PROTOCOL_TCP) -> bytes:
    """A TCP segment or UDP datagram with a right checksum."""
    pseudo = ip_address(source).packed + ip_address(target).packed + struct.pack(">II", len(segment), protocol)
    at = 16 if protocol == PROTOCOL_TCP else 6
    return segment[:at] + checksum(pseudo + segment) + segment[at + 2 :]


# --- IP -------------------------------------------------------------------------------------------------------------


def ipv4(
    source: str,
    target: str,
    ttl: int,
    payload: bytes,
    *,
    options: bytes = b"",
    total_length: int | None = None,
    fragment: int = 0,
    protocol: int = PROTOCOL_TCP,
) -> bytes:
    header_bytes = 20 + len(options)
    total_length = header_bytes + len(payload) if total_length is None else total_length
    addresses = ip_address(source).packed + ip_address(target).packed
    first = 0x40 | header_bytes // 4
    header = struct.pack(">BBHHHBBH", first, 0, total_length, 0, fragment, ttl, protocol, 0) + addresses + options
    return header[:10] + checksum(header) + header[12:] + payload


def ipv6(
    source: str, target: str, ttl: int, payload: bytes, *, first: int = PROTOCOL_TCP, length: int | None = None
) -> bytes:
    """``first`` is the next-header number; extension headers stand at the front of ``payload``."""
    addresses = ip_address(source).packed + ip_address(target).packed
    length = len(payload) if length is None else length
    return struct.pack(">IHBB", 6 << 28, length, first, ttl) + addresses + payload


def either_ip(source: str, target: str, ttl: int, payload: bytes) -> bytes:
    """Whichever the addresses are of."""
    return (ipv6 if ":" in source else ipv4)(source, target, ttl, payload)


# --- links ----------------------------------------------------------------------------------------------------------


def ethertype(packet: bytes) -> int:
    return ETHERTYPE_IPV6 if packet[:1] and packet[0] >> 4 == 6 else ETHERTYPE_IPV4


def tagged(*tags: tuple[int, int]) -> Callable[[bytes], bytes]:
    """Ethernet with VLAN tags, outermost first: ethertype and tag control information of each."""

    def wrap(packet: bytes) -> bytes:
        layers = b"".join(struct.pack(">HH", *tag) for tag in tags)
        return bytes(12) + layers + ethertype(packet).to_bytes(2, "big") + packet

    return wrap


ETHERNET = Link(1, tagged())
RAW = Link(101, bytes)
LINUX_SLL = Link(113, lambda packet: bytes(14) + ethertype(packet).to_bytes(2, "big") + packet)
LINUX_SLL2 = Link(276, lambda packet: ethertype(packet).to_bytes(2, "big") + bytes(18) + packet)
NULL = Link(0, lambda packet: (30 if packet[0] >> 4 == 6 else 2).to_bytes(4, "little") + packet)
LOOP = Link(108, lambda packet: (24 if packet[0] >> 4 == 6 else 2).to_bytes(4, "big") + packet)


def vlan(*tags: tuple[int, int]) -> Link:
    return Link(1, tagged(*tags))
