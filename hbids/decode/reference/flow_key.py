"""What tells flows apart: both endpoints, the protocol, and the number of an EAP conversation.

VLAN tags do not: the two directions may be tagged differently.
"""

from __future__ import annotations

from typing import NamedTuple

from hbids.decode.reference.conversations import EapPacket
from hbids.decode.reference.layers import Datagram, Segment
from hbids.decode.reference.transport import PROTOCOL_TCP, PROTOCOL_UDP

__all__ = ["Key", "Packet"]

Endpoint = tuple[bytes, int]
Packet = Segment | Datagram | EapPacket


class Key(NamedTuple):
    """Of one flow."""

    endpoints: tuple[Endpoint, Endpoint]
    """The smaller one (by address, then port) first: it is side 0."""
    protocol: int
    """IP protocol number."""
    conversation: int = 0
    """Of EAP over RADIUS, where the same endpoints have many."""

    @classmethod
    def of(cls, packet: Packet) -> tuple[Key, int]:
        """The key of a packet's flow, and which side sent it."""
        source, target = (packet.src_addr, packet.src_port), (packet.dst_addr, packet.dst_port)
        endpoints, side = ((source, target), 0) if source <= target else ((target, source), 1)
        if isinstance(packet, EapPacket):
            return cls(endpoints, packet.protocol, packet.conversation), side
        return cls(endpoints, PROTOCOL_TCP if isinstance(packet, Segment) else PROTOCOL_UDP), side
