"""One flow: both directions of a TCP connection, of an exchange of UDP datagrams or of an EAP conversation."""

from __future__ import annotations

from enum import IntEnum
from struct import pack

from hbids.decode.reference.conversations import EapPacket
from hbids.decode.reference.datagram import DatagramWalker
from hbids.decode.reference.eap import CONVERSING_BYTES, FAILURE, SUCCESS, Conversing, Eap
from hbids.decode.reference.flow_key import Key, Packet
from hbids.decode.reference.flow_row import write_row
from hbids.decode.reference.layers import Datagram, Segment
from hbids.decode.reference.openvpn import OpenVpn
from hbids.decode.reference.openvpn_packet import is_data
from hbids.decode.reference.openvpn_stream import PacketWalker
from hbids.decode.reference.record import RecordWalker
from hbids.decode.reference.run import Run
from hbids.decode.reference.session import Session
from hbids.decode.reference.stream import Stream
from hbids.decode.reference.tcp import Connection
from hbids.decode.reference.transport import SYN
from hbids.facts import Direction, EndReason, TlsStart, Transport

__all__ = ["Flow", "Standing"]

MOST_CHECKPOINTS = 0xFFFF_FFFF
"""Of one flow: with one a second, 136 years of them."""


class Standing(IntEnum):
    """What is known of a flow, in the order in which flows are evicted."""

    CLOSED = 0
    OPENING = 1
    PLAIN = 2
    TLS = 3


class Flow:
    """One connection. Side 0 is the endpoint with the smaller address and port."""

    def __init__(self, run: Run, flow_id: int, key: Key, packet: Packet) -> None:
        self._run = run
        self.flow_id = flow_id
        self.key = key
        self.vlan = packet.vlan
        self.start_ns = self.end_ns = run.time_ns
        self._checkpoints = 0
        self.touched_ns = self.listed_ns = 0
        self.charged_bytes = 0
        """For what it holds."""
        self.midstream = is_midstream(packet)
        self.standing = Standing.OPENING
        self.closed: EndReason | None = None
        self.has_payload = False
        """Of UDP: payload that looks like DTLS or OpenVPN."""
        self._client_side: int | None = None
        self.packets = [0, 0]
        self.bytes = [0, 0]
        self.ttls: list[tuple[int, int] | None] = [None, None]
        transport = Transport.DTLS if isinstance(packet, Datagram) else Transport.TLS
        start = TlsStart.UNKNOWN if self.midstream else TlsStart.DIRECT
        if isinstance(packet, EapPacket):
            start = TlsStart.EAP
        self.session = Session(run, self, transport, midstream=self.midstream, start=start)
        self._walkers = [RecordWalker(run, self.session, side) for side in (0, 1)]
        self.vpn = OpenVpn(run, self)
        self._packet_walkers = [PacketWalker(run, self, self.vpn, self._walkers[side], side) for side in (0, 1)]
        readers = self._walkers if isinstance(packet, EapPacket) else self._packet_walkers
        self.streams = [Stream(run, reader) for reader in readers]
        self.connection = Connection(run, self, self.streams, self._walkers, self._packet_walkers)
        self._datagrams = DatagramWalker(run, self.session, self.session.handshake)
        self._conversing = Conversing(run, self.streams)
        self._is_eap = isinstance(packet, EapPacket)
        if self._is_eap and not self.midstream:
            for walker in self._walkers:
                walker.start(may_be_plain=False)

    # --- roles ---

    def set_client(self, side: int) -> None:
        """The first evidence counts."""
        if self._client_side is None:
            self._client_side = side

    def is_client(self, side: int) -> bool:
        """Known, or guessed: the higher port is the client's."""
        if self._client_side is not None:
            return side == self._client_side
        return side == (0 if self.key.endpoints[0][1] > self.key.endpoints[1][1] else 1)

    def direction(self, side: int) -> Direction:
        """Which way this side's packets go."""
        return Direction.TO_SERVER if self.is_client(side) else Direction.TO_CLIENT

    def has_lost(self, side: int) -> bool:
        """Whether bytes of this side were acknowledged that the capture lacks."""
        return self.streams[side].lost_until is not None

    # --- packets ---

    def is_replaced_by(self, side: int, packet: Packet) -> bool:
        """Whether this packet begins a new connection, or conversation, between the same endpoints."""
        if isinstance(packet, EapPacket):
            return self._conversing.is_begun_anew_by(packet.eap)
        return isinstance(packet, Segment) and packet.flags & SYN != 0 and self.connection.is_replaced_by(side, packet)

    def packet(self, side: int, packet: Packet, wire_bytes: int) -> None:
        """Count a packet and read what it carries."""
        self.packets[side] += 1
        self.bytes[side] += wire_bytes
        self.end_ns = max(self.end_ns, self._run.time_ns)
        if packet.ttl is not None:
            low, high = self.ttls[side] or (packet.ttl, packet.ttl)
            self.ttls[side] = min(low, packet.ttl), max(high, packet.ttl)
        if isinstance(packet, Segment):
            self.connection.segment(side, packet)
        elif isinstance(packet, EapPacket):
            self._eap(side, packet.eap)
        else:
            self._datagram(side, packet)
        due = (self._run.time_ns - self.start_ns) // max(1, self._run.limits.checkpoint_ns)
        due = min(due, MOST_CHECKPOINTS)
        if due > self._checkpoints:
            self._checkpoints = due
            write_row(self._run, self, EndReason.CHECKPOINT)

    def _datagram(self, side: int, datagram: Datagram) -> None:
        matters = self.has_payload and not is_data(datagram.payload)
        if self.streams[side].credit.has_wrong_checksum(datagram, matters=matters):
            self._run.counters["datagrams_refused"] += 1
            return
        if not self.vpn.datagram(side, datagram.payload, datagram.length):
            self._datagrams.feed(side, datagram.payload, datagram.length)
        self.has_payload = self._datagrams.seems_dtls or any(self.vpn.speaks)

    def _eap(self, side: int, eap: Eap) -> None:
        self.set_client(side if eap.is_from_client else 1 - side)
        if self._conversing.takes(side, eap):
            if eap.length:
                self.closed = None
            elif eap.code in (SUCCESS, FAILURE):
                self.closed = EndReason.FIN
        self.has_payload = self._conversing.has_tls

    def state_bytes(self) -> int:
        """What it holds beyond what every flow takes, out-of-order bytes left out."""
        has_openvpn = any(self.vpn.speaks) or any(walker.has_begun for walker in self._packet_walkers)
        openvpn_bytes = self.vpn.held_bytes() if has_openvpn else 0
        eap_bytes = CONVERSING_BYTES if self._is_eap else 0
        return self.session.held_bytes() + self._datagrams.held_bytes() + openvpn_bytes + eap_bytes

    # --- the end ---

    def current_standing(self) -> Standing:
        """Which list it belongs in."""
        if self.closed:
            return Standing.CLOSED
        if self.session.is_tls or self.vpn.is_tls:
            return Standing.TLS
        return Standing.PLAIN if self.has_payload else Standing.OPENING

    def end(self, reason: EndReason) -> None:
        """Read what waits, and write the rows."""
        for side in (0, 1):
            self.streams[side].end(self.streams[1 - side])
        for walker in self._packet_walkers:
            walker.end()
        self.vpn.end()
        self._datagrams.end()
        self.session.end()
        write_row(self._run, self, self.closed or reason)

    # --- rows ---

    def endpoint_fields(self) -> dict[str, int | bytes]:
        """Columns that name the flow."""
        client = 0 if self.is_client(0) else 1
        return {
            "flow_id": self.flow_id,
            "client_addr": self.key.endpoints[client][0],
            "server_addr": self.key.endpoints[1 - client][0],
            "client_port": self.key.endpoints[client][1],
            "server_port": self.key.endpoints[1 - client][1],
            "vlan": pack("<3H", *self.vlan),
            "protocol": self.key.protocol,
        }

    def so_far_fields(self) -> dict[str, int | bytes]:
        """Columns that say how far it has come."""
        client = 0 if self.is_client(0) else 1
        return {
            "packet_number": self._run.packet_number,
            "flow_start_ns": self.start_ns,
            "packets_to_server": self.packets[client],
            "packets_to_client": self.packets[1 - client],
            "bytes_to_server": self.bytes[client],
            "bytes_to_client": self.bytes[1 - client],
        }


def is_midstream(packet: Packet) -> bool:
    """Whether a flow that begins with this packet was joined after its beginning. Datagrams do not tell."""
    if isinstance(packet, EapPacket):
        return packet.eap.carries_tls and not packet.eap.may_begin_tls
    return isinstance(packet, Segment) and not packet.flags & SYN
