"""TCP (RFC 9293) and UDP (RFC 768) headers."""

from __future__ import annotations

from struct import Struct

from hbids.decode.reference.layers import Datagram, Segment, Step, Walk

__all__ = ["ACK", "FIN", "RST", "SYN", "read_tcp", "read_udp"]

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_TCP = Struct(">HHIIBB")
_UDP = Struct(">HHH")
UDP_HEADER_BYTES = 8


def read_tcp(walk: Walk, data: bytes) -> Step:
    """A segment."""
    claimed = walk.claimed_bytes
    if claimed < 20:
        return "tcp_malformed"
    if len(data) < 20:
        return "frame_truncated"
    src_port, dst_port, seq, ack, offset, flags = _TCP.unpack_from(data)
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
        data[header_length:],
        claimed - header_length,
    )


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
        payload,
        length - UDP_HEADER_BYTES,
    )
