"""One flow: both directions of a TCP connection, of an exchange of UDP datagrams or of an EAP conversation."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from struct import pack

from hbids.decode.reference.conversations import EapPacket
from hbids.decode.reference.datagram import DatagramWalker
from hbids.decode.reference.doubt import Doubtful, Reason
from hbids.decode.reference.eap import CONVERSING_BYTES, FAILURE, SUCCESS, Conversing, Eap
from hbids.decode.reference.flow_key import Key, Packet
from hbids.decode.reference.layers import Datagram, Segment
from hbids.decode.reference.openvpn import OpenVpn
from hbids.decode.reference.openvpn_packet import is_data
from hbids.decode.reference.openvpn_stream import PacketWalker
from hbids.decode.reference.record import RecordWalker
from hbids.decode.reference.run import Run
from hbids.decode.reference.session import Session
from hbids.decode.reference.stream import Stream
from hbids.decode.reference.transport import ACK, FIN, RST, SYN, URG
from hbids.facts import ABSENT, Direction, EndReason, TlsStart, Transport

__all__ = ["Flow", "Standing"]

REUSE_IDLE_NS = 2_000_000_000
"""Where only one side was captured, a SYN with a new sequence number replaces a flow idle for this long."""
MOST_CHECKPOINTS = 0xFFFF_FFFF
"""Of one flow: with one a second, 136 years of them."""
RST_WINDOW = 1 << 20
"""How far from the expected byte a reset may be and still be believed."""


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
        self._fin_seen = [False, False]
        self._first_fin: int | None = None
        """Which side began the end."""
        transport = Transport.DTLS if isinstance(packet, Datagram) else Transport.TLS
        start = TlsStart.UNKNOWN if self.midstream else TlsStart.DIRECT
        if isinstance(packet, EapPacket):
            start = TlsStart.EAP
        self.session = Session(run, self, transport, midstream=self.midstream, start=start)
        self._walkers = [RecordWalker(run, self.session, side) for side in (0, 1)]
        self._vpn = OpenVpn(run, self)
        self._packet_walkers = [PacketWalker(run, self, self._vpn, self._walkers[side], side) for side in (0, 1)]
        readers = self._walkers if isinstance(packet, EapPacket) else self._packet_walkers
        self._streams = [Stream(run, reader) for reader in readers]
        self._datagrams = DatagramWalker(run, self.session)
        self._conversing = Conversing(run, self._streams)
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
        return self._streams[side].lost_until is not None

    # --- packets ---

    def is_replaced_by(self, side: int, packet: Packet) -> bool:
        """Whether this packet begins a new connection, or conversation, between the same endpoints."""
        if isinstance(packet, EapPacket):
            return self._conversing.is_begun_anew_by(packet.eap)
        return isinstance(packet, Segment) and packet.flags & SYN != 0 and self._is_replaced_by_syn(side, packet)

    def _is_replaced_by_syn(self, side: int, segment: Segment) -> bool:
        """Only by one that the other side agrees to, since it would ignore a decoy."""
        own, other = self._streams[side], self._streams[1 - side]
        if own.initial_seq == segment.seq or not own.started:
            return False
        if segment.flags & ACK:
            asked = other.initial_seq is not None and segment.ack == (other.initial_seq + 1) & 0xFFFF_FFFF
            in_use = own.initial_seq is not None or not self._walkers[side].at_first_byte
            return asked and in_use
        has_agreed = self.packets[1 - side] > 0 and other.started
        idle = self._run.time_ns - self.end_ns >= REUSE_IDLE_NS
        if self.closed is EndReason.FIN or (not has_agreed and (self.closed or not self.has_payload or idle)):
            return True
        own.initial_seq = segment.seq  # of the new connection, should the other side agree
        self._run.counters["syn_ignored"] += 1
        return False

    def packet(self, side: int, packet: Packet, wire_bytes: int) -> None:
        """Count a packet and read what it carries."""
        self.packets[side] += 1
        self.bytes[side] += wire_bytes
        self.end_ns = max(self.end_ns, self._run.time_ns)
        if packet.ttl is not None:
            low, high = self.ttls[side] or (packet.ttl, packet.ttl)
            self.ttls[side] = min(low, packet.ttl), max(high, packet.ttl)
        if isinstance(packet, Segment):
            self._segment(side, packet)
        elif isinstance(packet, EapPacket):
            self._eap(side, packet.eap)
        else:
            self._datagram(side, packet)
        due = (self._run.time_ns - self.start_ns) // max(1, self._run.limits.checkpoint_ns)
        due = min(due, MOST_CHECKPOINTS)
        if due > self._checkpoints:
            self._checkpoints = due
            self._write(EndReason.CHECKPOINT)

    def _datagram(self, side: int, datagram: Datagram) -> None:
        matters = self.has_payload and not is_data(datagram.payload)
        if self._streams[side].credit.has_wrong_checksum(datagram, matters=matters):
            self._run.counters["datagrams_refused"] += 1
            return
        if not self._vpn.datagram(side, datagram.payload, datagram.length):
            self._datagrams.feed(side, datagram.payload, datagram.length)
        self.has_payload = self._datagrams.seems_dtls or any(self._vpn.speaks)

    def _segment(self, side: int, segment: Segment) -> None:
        own = self._streams[side]
        if segment.flags & SYN:
            self._synchronise(side, segment)
        has_payload = segment.length > 0 and segment.flags & (ACK | SYN | RST) == ACK
        doubt = self._doubt(side, segment, has_payload=has_payload)
        if segment.flags & ACK:
            self._acknowledge(1 - side, segment)
            self._settle(1 - side)  # what is acknowledged was there before
        if has_payload:
            self._payload(side, segment, doubt)
        elif segment.length:
            self._run.counters["payloads_ignored"] += 1
        if segment.flags & FIN:
            if self._first_fin is None:
                self._first_fin = side
            self._fin_seen[side] = True
            if all(self._fin_seen) and self.closed is None:
                self.closed = EndReason.FIN
        if segment.flags & RST and (not own.started or own.is_near(segment.seq, RST_WINDOW)):
            self.closed = EndReason.RST
        for each in (side, 1 - side):
            self._streams[each].check_hole()
            self._settle(each)

    def _doubt(self, side: int, segment: Segment, *, has_payload: bool) -> Reason:
        """Why its receiver may refuse a segment. Only payload is doubted; checksums of what is skipped anyway are not
        looked at."""
        own, other = self._streams[side], self._streams[1 - side]
        in_order = segment.seq == own.next_seq
        matters = has_payload and not (in_order and self._packet_walkers[side].skips(segment.length))
        has_wrong_checksum = own.credit.has_wrong_checksum(segment, matters=matters)
        if not has_payload:
            return Reason.NONE
        doubt = Reason.CHECKSUM if has_wrong_checksum else Reason.NONE
        _, highest_ttl = self.ttls[side] or (segment.ttl, segment.ttl)
        if own.credit.has_low_ttl(segment.ttl, highest_ttl):
            doubt |= Reason.TTL
        if self.packets[1 - side] and other.is_unseen(segment.ack):
            doubt |= Reason.FUTURE_ACK
        return doubt

    def _synchronise(self, side: int, segment: Segment) -> None:
        self.set_client(1 - side if segment.flags & ACK else side)
        stream, walker = self._streams[side], self._walkers[side]
        # An acknowledgement of the other side may have started the stream before; its SYN knows better.
        if not stream.started or (stream.initial_seq is None and walker.at_first_byte):
            walker.start()
            stream.start(segment.seq + 1)
            stream.initial_seq = segment.seq

    def _acknowledge(self, side: int, segment: Segment) -> None:
        stream, walker = self._streams[side], self._walkers[side]
        # Where the stream begins, the other side's SYN knows better than a SYN of its own, which may be a decoy.
        if not self.midstream and (not stream.started or (segment.flags & SYN and walker.at_first_byte)):
            walker.start()
            stream.start(segment.ack)
        stream.acknowledge(segment.ack)

    def _payload(self, side: int, segment: Segment, doubt: Reason) -> None:
        self.has_payload = True
        stream = self._streams[side]
        if not stream.started:
            stream.start(segment.seq)
        if doubt:
            stream.doubt(Doubtful(segment.seq, segment.length, segment.payload, doubt, segment.ttl, segment.ack))
            return
        if segment.flags & URG:
            stream.urgent_seq = (segment.seq + max(segment.urgent - 1, 0)) & 0xFFFF_FFFF
        if stream.segment(segment.seq, segment.payload, segment.length):
            self._reopen()

    def _eap(self, side: int, eap: Eap) -> None:
        self.set_client(side if eap.is_from_client else 1 - side)
        if self._conversing.takes(side, eap):
            if eap.length:
                self._reopen()
            elif eap.code in (SUCCESS, FAILURE):
                self.closed = EndReason.FIN
        self.has_payload = self._conversing.has_tls

    def _settle(self, side: int) -> None:
        if self._streams[side].settle(self._streams[1 - side]):
            self._reopen()

    def _reopen(self) -> None:
        """Whatever closed it was not believed by its endpoints."""
        if self.closed:
            self.closed = None
            self._fin_seen = [False, False]
            self._first_fin = None

    def state_bytes(self) -> int:
        """What it holds beyond what every flow takes, out-of-order bytes left out."""
        has_openvpn = any(self._vpn.speaks) or any(walker.has_begun for walker in self._packet_walkers)
        openvpn_bytes = self._vpn.held_bytes() if has_openvpn else 0
        eap_bytes = CONVERSING_BYTES if self._is_eap else 0
        return self.session.held_bytes() + self._datagrams.held_bytes() + openvpn_bytes + eap_bytes

    # --- the end ---

    def current_standing(self) -> Standing:
        """Which list it belongs in."""
        if self.closed:
            return Standing.CLOSED
        if self.session.is_tls or self._vpn.is_tls:
            return Standing.TLS
        return Standing.PLAIN if self.has_payload else Standing.OPENING

    def end(self, reason: EndReason) -> None:
        """Read what waits, and write the rows."""
        for side in (0, 1):
            self._streams[side].end(self._streams[1 - side])
        for walker in self._packet_walkers:
            walker.end()
        self._vpn.end()
        self._datagrams.end()
        self.session.end()
        self._write(self.closed or reason)

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

    def _transport(self) -> int:
        if self._vpn.is_tls:
            return Transport.TLS
        return self.session.transport if self.session.is_tls else 0

    def _write(self, reason: EndReason) -> None:
        fields = {
            **self.endpoint_fields(),
            **self.so_far_fields(),
            "time_ns": self.start_ns,
            "end_time_ns": self.end_ns,
            "transport": self._transport(),
            "midstream": self.midstream,
            "end_reason": reason,
            "first_fin": Direction.UNKNOWN if self._first_fin is None else self.direction(self._first_fin),
        }
        for side in (0, 1):
            way = "to_server" if self.is_client(side) else "to_client"
            ttls, stream = self.ttls[side] or (ABSENT, ABSENT), self._streams[side]
            sessions = [self.session, *self._vpn.sessions()]
            last_record = max(session.heartbeats.last_records[side] for session in sessions)
            fields |= {
                f"min_ttl_{way}": ttls[0],
                f"max_ttl_{way}": ttls[1],
                f"records_{way}": pack("<5I", *sums(session.records[side] for session in sessions)),
                f"record_bytes_{way}": pack("<5Q", *sums(session.record_bytes[side] for session in sessions)),
                f"heartbeats_{way}": sum(session.heartbeats.counts[side] for session in sessions),
                f"gaps_{way}": stream.gaps + self._vpn.gaps(side),
                f"gap_bytes_{way}": stream.gap_bytes,
                f"conflicts_{way}": stream.conflicts,
                f"last_record_ns_{way}": last_record.began_ns,
                f"last_record_type_{way}": last_record.content_type,
            }
        writer = self._run.rows.flows
        writer.append(writer.pack(fields))


def sums(rows: Iterable[list[int]]) -> list[int]:
    """Place by place."""
    return [sum(numbers) for numbers in zip(*rows, strict=True)]


def is_midstream(packet: Packet) -> bool:
    """Whether a flow that begins with this packet was joined after its beginning. Datagrams do not tell."""
    if isinstance(packet, EapPacket):
        return packet.eap.carries_tls and not packet.eap.may_begin_tls
    return isinstance(packet, Segment) and not packet.flags & SYN
