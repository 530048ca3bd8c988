"""TCP on one flow (RFC 9293): where streams begin, which segments are doubted, what ends or replaces a connection."""

from __future__ import annotations

from typing import Protocol

from hbids.decode.reference.doubt import Doubtful, Reason
from hbids.decode.reference.layers import Segment
from hbids.decode.reference.openvpn_stream import PacketWalker
from hbids.decode.reference.record import RecordWalker
from hbids.decode.reference.run import Run
from hbids.decode.reference.stream import Stream
from hbids.decode.reference.transport import ACK, FIN, RST, SYN, URG
from hbids.facts import EndReason

__all__ = ["Connection"]

REUSE_IDLE_NS = 2_000_000_000
"""Where only one side was captured, a SYN with a new sequence number replaces a flow idle for this long."""
RST_WINDOW = 1 << 20
"""How far from the expected byte a reset may be and still be believed."""


class TcpFlow(Protocol):
    """What a connection needs of its flow."""

    midstream: bool
    has_payload: bool
    closed: EndReason | None
    end_ns: int
    """When it last had a packet."""
    packets: list[int]
    """Of each side, as the next."""
    ttls: list[tuple[int, int] | None]
    """The lowest and the highest."""

    def set_client(self, side: int) -> None:
        """This side is the client."""


class Connection:
    """The connection of one flow."""

    def __init__(
        self,
        run: Run,
        flow: TcpFlow,
        streams: list[Stream],
        walkers: list[RecordWalker],
        packet_walkers: list[PacketWalker],
    ) -> None:
        self._run = run
        self._flow = flow
        self._streams = streams
        self._walkers = walkers
        self._packet_walkers = packet_walkers
        self._fin_seen = [False, False]
        self.first_fin: int | None = None
        """Which side began the end."""

    def is_replaced_by(self, side: int, segment: Segment) -> bool:
        """Whether this SYN begins a new connection between the same endpoints: one that the other side agrees to, since
        it would ignore a decoy."""
        own, other = self._streams[side], self._streams[1 - side]
        if own.initial_seq == segment.seq or not own.started:
            return False
        if segment.flags & ACK:
            asked = other.initial_seq is not None and segment.ack == (other.initial_seq + 1) & 0xFFFF_FFFF
            in_use = own.initial_seq is not None or not self._walkers[side].at_first_byte
            return asked and in_use
        has_agreed = self._flow.packets[1 - side] > 0 and other.started
        idle = self._run.time_ns - self._flow.end_ns >= REUSE_IDLE_NS
        if self._flow.closed is EndReason.FIN or (
            not has_agreed and (self._flow.closed or not self._flow.has_payload or idle)
        ):
            return True
        own.initial_seq = segment.seq  # of the new connection, should the other side agree
        self._run.counters["syn_ignored"] += 1
        return False

    def segment(self, side: int, segment: Segment) -> None:
        """Read a segment."""
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
            if self.first_fin is None:
                self.first_fin = side
            self._fin_seen[side] = True
            if all(self._fin_seen) and self._flow.closed is None:
                self._flow.closed = EndReason.FIN
        if segment.flags & RST and (not own.started or own.is_near(segment.seq, RST_WINDOW)):
            self._flow.closed = EndReason.RST
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
        _, highest_ttl = self._flow.ttls[side] or (segment.ttl, segment.ttl)
        if own.credit.has_low_ttl(segment.ttl, highest_ttl):
            doubt |= Reason.TTL
        if self._flow.packets[1 - side] and other.is_unseen(segment.ack):
            doubt |= Reason.FUTURE_ACK
        return doubt

    def _synchronise(self, side: int, segment: Segment) -> None:
        self._flow.set_client(1 - side if segment.flags & ACK else side)
        stream, walker = self._streams[side], self._walkers[side]
        # An acknowledgement of the other side may have started the stream before; its SYN knows better.
        if not stream.started or (stream.initial_seq is None and walker.at_first_byte):
            walker.start()
            stream.start(segment.seq + 1)
            stream.initial_seq = segment.seq

    def _acknowledge(self, side: int, segment: Segment) -> None:
        stream, walker = self._streams[side], self._walkers[side]
        # Where the stream begins, the other side's SYN knows better than a SYN of its own, which may be a decoy.
        if not self._flow.midstream and (not stream.started or (segment.flags & SYN and walker.at_first_byte)):
            walker.start()
            stream.start(segment.ack)
        stream.acknowledge(segment.ack)

    def _payload(self, side: int, segment: Segment, doubt: Reason) -> None:
        self._flow.has_payload = True
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

    def _settle(self, side: int) -> None:
        if self._streams[side].settle(self._streams[1 - side]):
            self._reopen()

    def _reopen(self) -> None:
        """Whatever closed it was not believed by its endpoints."""
        if self._flow.closed:
            self._flow.closed = None
            self._fin_seen = [False, False]
            self.first_fin = None
