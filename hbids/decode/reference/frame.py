"""One captured frame, down to its TCP segment. Layers are read by hand: an IDS must keep going where a parser library
raises, and must count exactly what it could not read."""

from __future__ import annotations

from struct import Struct
from typing import Literal, NamedTuple

from hbids.facts import NO_VLAN

__all__ = ["ACK", "FIN", "RST", "SYN", "Segment", "parse_frame"]

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
VLAN_ETHERTYPES = (0x8100, 0x88A8, 0x9100)
MAX_VLANS = 3
PROTOCOL_TCP = 6
# IPv6 extension headers that carry a length in units of 8 bytes (RFC 8200 section 4, IANA registry).
SKIPPED_HEADERS = (0, 43, 60, 135, 139, 140)
HEADER_FRAGMENT, HEADER_AH = 44, 51
MAX_EXTENSION_HEADERS = 16
V4_MAPPED = bytes(10) + b"\xff\xff"
# Address families that BSD systems and Linux write for IPv4 and IPv6 on loopback captures.
NULL_FAMILIES = (2, 10, 24, 28, 30)
BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")

LINK_NULL, LINK_ETHERNET, LINK_LOOP, LINK_SLL, LINK_SLL2 = 0, 1, 108, 113, 276
LINKS_RAW_IP = (12, 14, 101, 228, 229)

_BE16 = Struct(">H")
_TCP = Struct(">HHIIBB")


class Segment(NamedTuple):
    """A TCP segment as captured. ``length`` is the payload length the headers claim; ``payload`` may be shorter when a
    snap length cut the frame."""

    src_addr: bytes
    dst_addr: bytes
    src_port: int
    dst_port: int
    vlan: tuple[int, int, int]
    ttl: int
    seq: int
    ack: int
    flags: int
    payload: bytes
    length: int


def parse_frame(link_type: int, frame: bytes) -> Segment | str:
    """The segment in ``frame``, or the name of the drop counter that says why there is none."""
    vlan: list[int] = []
    if link_type == LINK_ETHERNET:
        start, ethertype_at = 14, 12
    elif link_type == LINK_SLL:
        start, ethertype_at = 16, 14
    elif link_type == LINK_SLL2:
        start, ethertype_at = 20, 0
    elif link_type in LINKS_RAW_IP:
        return _parse_ip(frame, vlan)
    elif link_type in (LINK_NULL, LINK_LOOP):
        if len(frame) < 4:
            return "frame_truncated"
        if not any(int.from_bytes(frame[:4], order) in NULL_FAMILIES for order in BYTE_ORDERS):
            return "not_ip"
        return _parse_ip(frame[4:], vlan)
    else:
        return "link_type_unsupported"

    if len(frame) < start:
        return "frame_truncated"
    (ethertype,) = _BE16.unpack_from(frame, ethertype_at)
    while ethertype in VLAN_ETHERTYPES and len(vlan) < MAX_VLANS:
        if len(frame) < start + 4:
            return "frame_truncated"
        tag, ethertype = _BE16.unpack_from(frame, start)[0], _BE16.unpack_from(frame, start + 2)[0]
        vlan.append(tag & 0x0FFF)
        start += 4
    if ethertype not in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
        return "not_ip"
    return _parse_ip(frame[start:], vlan)


def _parse_ip(packet: bytes, vlan: list[int]) -> Segment | str:
    if not packet:
        return "frame_truncated"
    version = packet[0] >> 4
    if version == 4:
        return _parse_ipv4(packet, vlan)
    if version == 6:
        return _parse_ipv6(packet, vlan)
    return "ip_malformed"


def _parse_ipv4(packet: bytes, vlan: list[int]) -> Segment | str:
    if len(packet) < 20:
        return "frame_truncated"
    header_length = (packet[0] & 0x0F) * 4
    total_length = _BE16.unpack_from(packet, 2)[0]
    if total_length == 0:  # left to the network card (segmentation offload): the frame is all there is
        total_length = len(packet)
    if header_length < 20 or total_length < header_length:
        return "ip_malformed"
    if _BE16.unpack_from(packet, 6)[0] & 0x3FFF:  # more fragments, or an offset
        return "ip_fragment"
    if packet[9] != PROTOCOL_TCP:
        return "not_tcp"
    return _parse_tcp(
        packet[header_length:total_length],
        total_length - header_length,
        V4_MAPPED + packet[12:16],
        V4_MAPPED + packet[16:20],
        packet[8],
        vlan,
    )


def _parse_ipv6(packet: bytes, vlan: list[int]) -> Segment | str:
    if len(packet) < 40:
        return "frame_truncated"
    end = 40 + _BE16.unpack_from(packet, 4)[0]
    if end == 40:  # jumbogram or offload
        end = max(40, len(packet))
    header, at = packet[6], 40
    for _ in range(MAX_EXTENSION_HEADERS):
        if header == PROTOCOL_TCP:
            if at > end:
                return "ip_malformed"
            return _parse_tcp(packet[at:end], end - at, packet[8:24], packet[24:40], packet[7], vlan)
        if header not in SKIPPED_HEADERS and header not in (HEADER_FRAGMENT, HEADER_AH):
            return "not_tcp"
        if len(packet) < at + 8:
            return "frame_truncated"
        if header == HEADER_FRAGMENT:
            if _BE16.unpack_from(packet, at + 2)[0] & 0xFFF9:  # an offset, or more fragments
                return "ip_fragment"
            length = 8
        elif header == HEADER_AH:
            length = (packet[at + 1] + 2) * 4
        else:
            length = (packet[at + 1] + 1) * 8
        header, at = packet[at], at + length
    return "ip_malformed"


def _parse_tcp(data: bytes, claimed: int, src_addr: bytes, dst_addr: bytes, ttl: int, vlan: list[int]) -> Segment | str:
    if claimed < 20:
        return "tcp_malformed"
    if len(data) < 20:
        return "frame_truncated"
    src_port, dst_port, seq, ack, offset, flags = _TCP.unpack_from(data)
    header_length = (offset >> 4) * 4
    if header_length < 20 or header_length > claimed:
        return "tcp_malformed"
    layers = (vlan + [NO_VLAN] * MAX_VLANS)[:MAX_VLANS]
    return Segment(
        src_addr,
        dst_addr,
        src_port,
        dst_port,
        (layers[0], layers[1], layers[2]),
        ttl,
        seq,
        ack,
        flags,
        data[header_length:],
        claimed - header_length,
    )
