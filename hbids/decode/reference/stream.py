"""One direction of a TCP connection, back in order.

Bytes already delivered are never replaced (the first copy seen wins); bytes ahead of a hole wait, within limits, until
the hole is filled or given up. A hole is given up when what waits behind it exceeds its limit, when the receiver has
acknowledged it a while ago (then only the capture lost it), or, where no acknowledgements are seen, when it is old.
Everything given up is counted.

Hosts differ in which of two copies they take. When a copy contradicts the one that counts here, that is noted: no
honest host sends other bytes the second time.

Segments that their receiver may have refused (see ``doubt``) wait apart, until they are acknowledged or others take
their place.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hbids.decode.reference.doubt import Credit, Doubtful, Reason
from hbids.decode.reference.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stream", "StreamReader", "distance"]

PIECE_OVERHEAD_BYTES = 512
"""Charged for each waiting segment, so that one-byte segments cannot make the list long."""
TAIL_BYTES = 16
"""Of what was delivered last, kept to compare copies with: twice the shortest heartbeat request."""


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
        self.credit = Credit()
        self.started = False
        self.next_seq = 0
        self.initial_seq: int | None = None
        """Of the SYN, when it was seen."""
        self.acked: int | None = None
        """Highest acknowledgement of the other side."""
        self.lost_until: int | None = None
        """The capture lost the bytes before this one: a segment that was no decoy acknowledged them."""
        self.urgent_seq: int | None = None
        """The byte that its receiver takes out of the stream (RFC 6093 section 3)."""
        self.gaps = 0
        self.gap_bytes = 0
        self.conflicts = 0
        """Segments that bring other bytes for a place than those that count."""
        self._tail = b""
        self._doubtful: list[Doubtful] = []
        self._waiting: list[Piece] = []
        self._waiting_bytes = 0
        self._hole_since_ns = 0

    def start(self, seq: int) -> None:
        """The next byte expected is ``seq``, whatever was expected before: what waits is judged anew."""
        self.started = True
        self.next_seq = seq & 0xFFFF_FFFF
        self._tail = b""
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

    def is_unseen(self, ack: int) -> bool:
        """Whether an acknowledgement speaks of bytes that were not captured (yet). Of more than a FIN, which counts as
        one."""
        is_lost = self.lost_until is not None and distance(ack, self.lost_until) <= 0
        return self.started and distance(ack, self.next_seq) > 1 and not is_lost

    def lose_before(self, ack: int) -> None:
        """The other side has taken bytes that were not captured."""
        if self.is_unseen(ack):
            self.lost_until = ack

    def segment(self, seq: int, data: bytes, length: int) -> bool:
        """Take a segment. True when it brought anything new in order."""
        ahead = distance(seq, self.next_seq)
        if ahead > 0:
            self._wait(seq, data, length)
            return False
        if self._contradicts_tail(ahead, data, length):
            self.conflicts += 1
        if ahead + length <= 0:
            self._run.counters["segments_repeated"] += 1
            return False
        self._deliver(data[-ahead:], length + ahead)
        self._drain()
        return True

    def append(self, data: bytes, length: int) -> None:
        """The next bytes, put in order by another protocol than TCP; ``data`` is shorter when a snap length cut it."""
        self._deliver(data, length)

    def skip(self, length: int) -> None:
        """The next ``length`` bytes are missing for good."""
        self._lose(length)

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

    def end(self, other: Stream) -> None:
        """Nothing will come any more: give up every hole. A doubtful segment that the receiver could have acknowledged
        and did not is a decoy."""
        for doubtful in self._take_doubtful(lambda _: True):
            is_credible = self.acked is None or doubtful.reason is Reason.FUTURE_ACK
            if is_credible and not self._is_replaced(doubtful):
                other.lose_before(doubtful.ack)
                self.segment(doubtful.seq, doubtful.data, doubtful.length)
            else:
                self._run.counters["segments_refused"] += 1
        while self._waiting:
            self._skip_hole()

    # --- doubtful segments ---

    def doubt(self, doubtful: Doubtful) -> None:
        """Keep a segment until it is known whether its receiver took it."""
        if self._is_replaced(doubtful):
            ahead = distance(doubtful.seq, self.next_seq)
            if self._contradicts_tail(ahead, doubtful.data, doubtful.length):
                self._run.counters["segments_refused"] += 1
            else:  # a span port shows packets before and behind a router, with another TTL
                self._run.counters["segments_repeated"] += 1
            return
        self._doubtful.append(doubtful)
        self._charge(len(doubtful.data) + PIECE_OVERHEAD_BYTES)
        self._make_room()

    def settle(self, other: Stream) -> bool:
        """Judge doubtful segments by what is known now; ``other`` is the other direction. True when any was taken and
        brought something new."""
        if not self._doubtful:
            return False
        acked = self.acked
        taken = self._take_doubtful(
            lambda doubtful: (
                (acked is not None and distance(acked, doubtful.seq) >= doubtful.length)
                or (doubtful.reason is Reason.FUTURE_ACK and not other.is_unseen(doubtful.ack))
            )
        )
        is_new = False
        for doubtful in taken:
            if self._is_replaced(doubtful):
                self._run.counters["segments_refused"] += 1
                continue
            self.credit.was_taken(doubtful)
            other.lose_before(doubtful.ack)
            is_new |= self.segment(doubtful.seq, doubtful.data, doubtful.length)
        return is_new

    def _is_replaced(self, doubtful: Doubtful) -> bool:
        """Whether other bytes have taken its place."""
        return distance(doubtful.seq, self.next_seq) + doubtful.length <= 0

    def _take_doubtful(self, is_wanted: Callable[[Doubtful], bool]) -> list[Doubtful]:
        taken = [doubtful for doubtful in self._doubtful if is_wanted(doubtful)]
        if taken:
            self._doubtful = [doubtful for doubtful in self._doubtful if not is_wanted(doubtful)]
            for doubtful in taken:
                self._charge(-(len(doubtful.data) + PIECE_OVERHEAD_BYTES))
        return taken

    # --- bytes in order ---

    def _deliver(self, data: bytes, length: int) -> None:
        begin = self.next_seq
        self.next_seq = (begin + length) & 0xFFFF_FFFF
        missing = length - len(data)
        self._tail = b"" if missing else (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        if self.urgent_seq is not None and 0 <= (at := distance(self.urgent_seq, begin)) < length:
            self.urgent_seq = None
            self._run.counters["urgent_bytes"] += 1
            self._feed(data[:at])
            missing -= at >= len(data)
            data = data[at + 1 :]
        self._feed(data)
        if missing:
            self._lose(missing)

    def _feed(self, data: bytes) -> None:
        if data:
            self._reader.feed(data)

    def _lose(self, length: int) -> None:
        self.gaps += 1
        self.gap_bytes += length
        self._run.counters["stream_gaps"] += 1
        self._reader.gap(length)

    def _contradicts_tail(self, ahead: int, data: bytes, length: int) -> bool:
        """Whether a segment that begins ``-ahead`` bytes back has other bytes than those delivered there, where kept.
        Keep-alives may bring any byte (RFC 9293 section 3.8.4)."""
        if ahead == 0 or (ahead == -1 and length == 1):
            return False
        begin = max(ahead, -len(self._tail))
        end = min(0, ahead + len(data))
        return begin < end and data[begin - ahead : end - ahead] != self._tail[len(self._tail) + begin :][: end - begin]

    def _wait(self, seq: int, data: bytes, length: int) -> None:
        if not self._waiting:
            self._hole_since_ns = self._run.time_ns
        # Only the parts that no earlier piece covers are kept.
        ahead = at = distance(seq, self.next_seq)
        end = at + length
        index = bisect_left(self._waiting, at, key=self._ahead)
        contradicts = False
        if index > 0:
            before = self._waiting[index - 1]
            contradicts = self._contradicts_piece(ahead, data, before)
            at = max(at, self._ahead(before) + before.length)
        while at < end:
            following = self._ahead(self._waiting[index]) if index < len(self._waiting) else end
            until = min(end, following)
            if at < until:
                piece = Piece((self.next_seq + at) & 0xFFFF_FFFF, until - at, data[at - ahead : until - ahead])
                self._waiting.insert(index, piece)
                self._charge(len(piece.data) + PIECE_OVERHEAD_BYTES)
                index += 1
            if index < len(self._waiting):
                contradicts |= self._contradicts_piece(ahead, data, self._waiting[index])
                at = max(at, self._ahead(self._waiting[index]) + self._waiting[index].length)
                index += 1
            else:
                at = end
        self.conflicts += contradicts
        self._make_room()

    def _contradicts_piece(self, ahead: int, data: bytes, piece: Piece) -> bool:
        """Whether a segment has other bytes than a piece, where both have some."""
        begin = self._ahead(piece) - ahead
        mine, its = data[max(0, begin) :], piece.data[max(0, -begin) :]
        both = min(len(mine), len(its))
        return mine[:both] != its[:both]

    def _make_room(self) -> None:
        while self._waits_too_much():
            if self._doubtful:
                self._charge(-(len(self._doubtful.pop(0).data) + PIECE_OVERHEAD_BYTES))
                self._run.counters["segments_refused"] += 1
            elif self._waiting:
                self._skip_hole()
            else:
                return  # others wait for more than their share

    def _waits_too_much(self) -> bool:
        limits = self._run.limits
        return (
            self._waiting_bytes > limits.out_of_order_bytes
            or self._run.out_of_order_bytes > limits.out_of_order_bytes_total
        )

    def _ahead(self, piece: Piece) -> int:
        return distance(piece.seq, self.next_seq)

    def _charge(self, amount: int) -> None:
        self._waiting_bytes += amount
        self._run.out_of_order_bytes += amount

    def _skip_hole(self) -> None:
        """Give up the first hole, unless a doubtful segment fills some of it."""
        self._hole_since_ns = self._run.time_ns
        hole = self._ahead(self._waiting[0])
        begin = self.next_seq
        for doubtful in self._take_doubtful(lambda doubtful: distance(doubtful.seq, begin) < hole):
            self.segment(doubtful.seq, doubtful.data, doubtful.length)
        if self.next_seq != begin or self._ahead(self._waiting[0]) != hole:
            return
        self.next_seq = self._waiting[0].seq
        self._tail = b""
        self._lose(hole)
        self._drain()

    def _drain(self) -> None:
        """Deliver what is in order now."""
        drained = False
        while self._waiting and self._ahead(self._waiting[0]) <= 0:
            piece = self._waiting.pop(0)
            self._charge(-(len(piece.data) + PIECE_OVERHEAD_BYTES))
            drained = True
            ahead = self._ahead(piece)
            if self._contradicts_tail(ahead, piece.data, piece.length):
                self.conflicts += 1
            if ahead + piece.length > 0:
                self._deliver(piece.data[-ahead:], piece.length + ahead)
        if drained:
            self._hole_since_ns = self._run.time_ns
