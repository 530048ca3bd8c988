"""TCP (RFC 9293) and UDP (RFC 768) headers."""

from __future__ import annotations

from struct import Struct

from hbids.decode.reference.layers import Datagram, Segment, Step, Walk, sum_mod_ffff

__all__ = ["ACK", "FIN", "RST", "SYN", "URG", "is_checksum_right", "read_tcp", "read_udp"]

FIN, SYN, RST, ACK, URG = 0x01, 0x02, 0x04, 0x10, 0x20
PROTOCOL_TCP, PROTOCOL_UDP = 6, 17

_TCP = Struct(">HHIIBBHHH")
_UDP = Struct(">HHH")
UDP_HEADER_BYTES = 8


def read_tcp(walk: Walk, data: bytes) -> Step:
    """A segment."""
    claimed = walk.claimed_bytes
    if claimed < 20:
        return "tcp_malformed"
    if len(data) < 20:
        return "frame_truncated"
    src_port, dst_port, seq, ack, offset, flags, _window, _checksum, urgent = _TCP.unpack_from(data)
    header_length = (offset >> 4) * 4
    if header_length < 20 or header_length > claimed:
        return "tcp_malformed"
    return Segment(
        walk.src_addr,
        walk.dst_addr,
        src_port,
        dst_port,
        walk.vlan,
        walk.ttl,
        seq,
        ack,
        flags,
        urgent,
        walk.header_right,
        claimed,
        data,
        data[header_length:],
        claimed - header_length,
    )


def is_checksum_right(packet: Segment | Datagram) -> bool | None:
    """Whether the receiver's arithmetic comes out (RFC 9293 section 3.1, RFC 768), in the IP header, too; None when the
    capture lacks some of the bytes, or UDP has no checksum. IPv4 addresses mapped into IPv6 do not change the sum."""
    if not packet.header_right:
        return False
    if len(packet.whole) < packet.claimed_bytes:
        return None
    protocol = PROTOCOL_TCP
    if isinstance(packet, Datagram):
        protocol = PROTOCOL_UDP
        if packet.whole[6:8] == b"\0\0":
            return None
    pseudo_header = packet.src_addr + packet.dst_addr
    total = sum_mod_ffff(pseudo_header) + protocol + packet.claimed_bytes + sum_mod_ffff(packet.whole)
    return total % 0xFFFF == 0


def read_udp(walk: Walk, data: bytes) -> Step:
    """What a tunnel carries, or the datagram itself."""
    if walk.claimed_bytes < UDP_HEADER_BYTES:
        return "udp_malformed"
    if len(data) < UDP_HEADER_BYTES:
        return "frame_truncated"
    src_port, dst_port, length = _UDP.unpack_from(data)
    if length == 0:  # longer than the field can say, or left to the network card
        length = walk.claimed_bytes
    if length < UDP_HEADER_BYTES or length > walk.claimed_bytes:
        return "udp_malformed"
    payload = data[UDP_HEADER_BYTES:length]
    for port in (dst_port, src_port):
        tunnel = walk.tunnels.get(port)
        inner = tunnel(payload) if tunnel else None
        if inner is not None:
            return inner
    return Datagram(
        walk.src_addr,
        walk.dst_addr,
        src_port,
        dst_port,
        walk.vlan,
        walk.ttl,
        walk.header_right,
        length,
        data[:length],
        payload,
        length - UDP_HEADER_BYTES,
    )
