"""One direction of a TCP connection, back in order.

Bytes already delivered are never replaced (the first copy seen wins); bytes ahead of a hole wait, within limits, until
the hole is filled or given up. A hole is given up when what waits behind it exceeds its limit, when the receiver has
acknowledged it a while ago (then only the capture lost it), or, where no acknowledgements are seen, when it is old.
Everything given up is counted.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple, Protocol

from hbids.decode.reference.run import Run

__all__ = ["Stream", "StreamReader", "distance"]

PIECE_OVERHEAD_BYTES = 512
"""Charged for each waiting segment, so that one-byte segments cannot make the list long."""


def distance(later: int, earlier: int) -> int:
    """``later - earlier`` in 32-bit sequence space, from -2^31 to 2^31 - 1 (RFC 9293 section 3.4)."""
    return ((later - earlier + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class StreamReader(Protocol):
    """Who reads the bytes."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""

    def gap(self, length: int) -> None:
        """The next ``length`` bytes of the stream are missing."""


class Piece(NamedTuple):
    """A segment that waits behind a hole. ``data`` may be shorter than ``length`` (snap length)."""

    seq: int
    length: int
    data: bytes


class Stream:
    """Puts segments in order and hands the bytes to a reader."""

    def __init__(self, run: Run, reader: StreamReader) -> None:
        self._run = run
        self._reader = reader
        self.started = False
        self.next_seq = 0
        self.initial_seq: int | None = None
        """Of the SYN, when it was seen."""
        self.acked: int | None = None
        """Highest acknowledgement of the other side."""
        self.gaps = 0
        self.gap_bytes = 0
        self._waiting: list[Piece] = []
        self._waiting_bytes = 0
        self._hole_since_ns = 0

    def start(self, seq: int) -> None:
        """The next byte expected is ``seq``, whatever was expected before: what waits is judged anew."""
        self.started = True
        self.next_seq = seq & 0xFFFF_FFFF
        waiting, self._waiting = self._waiting, []
        for piece in waiting:
            self._charge(-(len(piece.data) + PIECE_OVERHEAD_BYTES))
        for piece in waiting:
            self.segment(piece.seq, piece.data, piece.length)

    def is_near(self, seq: int, window: int) -> bool:
        """Whether ``seq`` lies within ``window`` bytes of the next one expected."""
        return abs(distance(seq, self.next_seq)) <= window

    def acknowledge(self, ack: int) -> None:
        """The other side has everything before ``ack``."""
        if self.acked is None or distance(ack, self.acked) > 0:
            self.acked = ack

    def segment(self, seq: int, data: bytes, length: int) -> bool:
        """Take a segment. True when it brought anything new in order."""
        ahead = distance(seq, self.next_seq)
        if ahead > 0:
            self._wait(seq, data, length)
            return False
        if ahead + length <= 0:
            self._run.counters["segments_repeated"] += 1
            return False
        self._deliver(data[-ahead:], length + ahead)
        self._drain()
        return True

    def check_hole(self) -> None:
        """Give up the first hole if it has been open for too long."""
        if not self._waiting:
            return
        limits = self._run.limits
        if self.acked is None:
            wait_ns = limits.hole_wait_ns
        elif distance(self.acked, self._waiting[0].seq) >= 0:
            wait_ns = limits.hole_acked_wait_ns
        else:
            return  # the receiver waits too; what lies behind may be a decoy that it never took
        if self._run.time_ns - self._hole_since_ns >= wait_ns:
            self._skip_hole()

    def end(self) -> None:
        """Nothing will come any more: give up every hole."""
        while self._waiting:
            self._skip_hole()

    def _deliver(self, data: bytes, length: int) -> None:
        self.next_seq = (self.next_seq + length) & 0xFFFF_FFFF
        if data:
            self._reader.feed(data)
        if length > len(data):
            self._lose(length - len(data))

    def _lose(self, length: int) -> None:
        self.gaps += 1
        self.gap_bytes += length
        self._run.counters["stream_gaps"] += 1
        self._reader.gap(length)

    def _wait(self, seq: int, data: bytes, length: int) -> None:
        if not self._waiting:
            self._hole_since_ns = self._run.time_ns
        # Only the parts that no earlier piece covers are kept.
        at = distance(seq, self.next_seq)
        end = at + length
        index = bisect_left(self._waiting, at, key=self._ahead)
        if index > 0:
            before = self._waiting[index - 1]
            at = max(at, self._ahead(before) + before.length)
        while at < end:
            following = self._ahead(self._waiting[index]) if index < len(self._waiting) else end
            until = min(end, following)
            if at < until:
                skip = at - distance(seq, self.next_seq)
                piece = Piece((self.next_seq + at) & 0xFFFF_FFFF, until - at, data[skip : skip + until - at])
                self._waiting.insert(index, piece)
                self._charge(len(piece.data) + PIECE_OVERHEAD_BYTES)
                index += 1
            if index < len(self._waiting):
                at = max(at, self._ahead(self._waiting[index]) + self._waiting[index].length)
                index += 1
            else:
                at = end
        limits = self._run.limits
        while self._waiting and (
            self._waiting_bytes > limits.out_of_order_bytes
            or self._run.out_of_order_bytes > limits.out_of_order_bytes_total
        ):
            self._skip_hole()

    def _ahead(self, piece: Piece) -> int:
        return distance(piece.seq, self.next_seq)

    def _charge(self, amount: int) -> None:
        self._waiting_bytes += amount
        self._run.out_of_order_bytes += amount

    def _skip_hole(self) -> None:
        self._hole_since_ns = self._run.time_ns
        hole = self._ahead(self._waiting[0])
        self.next_seq = self._waiting[0].seq
        self._lose(hole)
        self._drain()

    def _drain(self) -> None:
        """Deliver what is in order now."""
        drained = False
        while self._waiting and self._ahead(self._waiting[0]) <= 0:
            piece = self._waiting.pop(0)
            self._charge(-(len(piece.data) + PIECE_OVERHEAD_BYTES))
            drained = True
            late = -self._ahead(piece)
            if late < piece.length:
                self._deliver(piece.data[late:], piece.length - late)
        if drained:
            self._hole_since_ns = self._run.time_ns
