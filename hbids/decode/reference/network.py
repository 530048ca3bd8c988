"""IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200)."""

from __future__ import annotations

from hbids.decode.reference.layers import BE16, Fragment, FragmentKey, Layer, Next, Step, Walk, sum_mod_ffff
from hbids.decode.reference.transport import PROTOCOL_TCP, PROTOCOL_UDP

__all__ = ["V4_MAPPED", "read_ip", "read_ip_payload"]

V4_MAPPED = bytes(10) + b"\xff\xff"

LAYER_OF_PROTOCOL = {
    PROTOCOL_TCP: Layer.TCP,
    PROTOCOL_UDP: Layer.UDP,
    4: Layer.IP,
    41: Layer.IP,
    47: Layer.GRE,
    137: Layer.MPLS,
}
# IPv6 extension headers that carry a length in units of 8 bytes (RFC 8200 section 4, IANA registry).
SKIPPED_HEADERS = (0, 43, 60, 135, 139, 140)
HEADER_FRAGMENT, HEADER_AH = 44, 51
MAX_EXTENSION_HEADERS = 16


def read_ip(walk: Walk, packet: bytes) -> Step:
    """A packet of either version; its first bits tell."""
    if not packet:
        return "frame_truncated"
    version = packet[0] >> 4
    if version == 4:
        return _read_ipv4(walk, packet)
    if version == 6:
        return _read_ipv6(walk, packet)
    return "ip_malformed"


def read_ip_payload(walk: Walk, version: int, protocol: int, data: bytes) -> Step:
    """What an IP header says follows it."""
    if version == 6:
        return _read_extensions(walk, protocol, data)
    layer = LAYER_OF_PROTOCOL.get(protocol)
    return "not_tcp" if layer is None else Next(layer, data)


def _read_ipv4(walk: Walk, packet: bytes) -> Step:
    if len(packet) < 20:
        return "frame_truncated"
    header_length = (packet[0] & 0x0F) * 4
    total_length = BE16.unpack_from(packet, 2)[0]
    if total_length == 0:  # left to the network card (segmentation offload): the frame is all there is
        total_length = len(packet)
    if header_length < 20 or total_length < header_length:
        return "ip_malformed"
    walk.src_addr, walk.dst_addr = V4_MAPPED + packet[12:16], V4_MAPPED + packet[16:20]
    walk.ttl = packet[8]
    walk.header_right = len(packet) < header_length or sum_mod_ffff(packet[:header_length]) == 0
    walk.claimed_bytes = total_length - header_length
    protocol, data = packet[9], packet[header_length:total_length]
    place = BE16.unpack_from(packet, 6)[0]
    if place & 0x3FFF and protocol in LAYER_OF_PROTOCOL:  # more fragments, or an offset
        key = FragmentKey(4, walk.src_addr, walk.dst_addr, protocol, BE16.unpack_from(packet, 4)[0])
        more = bool(place & 0x2000)
        return Fragment(key, protocol, (place & 0x1FFF) * 8, more, data, walk.claimed_bytes, walk)
    return read_ip_payload(walk, 4, protocol, data)


def _read_ipv6(walk: Walk, packet: bytes) -> Step:
    if len(packet) < 40:
        return "frame_truncated"
    end = 40 + BE16.unpack_from(packet, 4)[0]
    if end == 40:  # jumbogram or offload
        end = len(packet)
    walk.src_addr, walk.dst_addr = packet[8:24], packet[24:40]
    walk.ttl = packet[7]
    walk.header_right = True  # it has none
    walk.claimed_bytes = end - 40
    return _read_extensions(walk, packet[6], packet[40:end])


def _read_extensions(walk: Walk, header: int, data: bytes) -> Step:
    for _ in range(MAX_EXTENSION_HEADERS):
        layer = LAYER_OF_PROTOCOL.get(header)
        if layer is not None:
            return Next(layer, data)
        if header not in SKIPPED_HEADERS and header not in (HEADER_FRAGMENT, HEADER_AH):
            return "not_tcp"
        if walk.claimed_bytes < 8:
            return "ip_malformed"
        if len(data) < 8:
            return "frame_truncated"
        if header == HEADER_FRAGMENT:
            length = 8
            place = BE16.unpack_from(data, 2)[0]
            if place & 0xFFF9:  # an offset, or more fragments
                key = FragmentKey(6, walk.src_addr, walk.dst_addr, 0, int.from_bytes(data[4:8], "big"))
                rest = walk.claimed_bytes - length
                return Fragment(key, data[0], place & 0xFFF8, bool(place & 1), data[length:], rest, walk)
        elif header == HEADER_AH:
            length = (data[1] + 2) * 4
        else:
            length = (data[1] + 1) * 8
        if length > walk.claimed_bytes:
            return "ip_malformed"
        walk.claimed_bytes -= length
        header, data = data[0], data[length:]
    return "ip_malformed"
