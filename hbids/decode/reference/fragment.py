"""IP fragments, put together (RFC 791 section 3.2, RFC 8200 section 4.5).

Of what overlaps, the copy that came first counts: hosts differ, and newer ones drop the packet; it is counted.
Fragments that contradict what is known of the packet's end are left out. Those with a wrong header checksum count only
where a packet has no others: no router passes them on, but a capture may show them before a network card fills it in.
A packet put together is remembered for a moment, so that the copies a two-way span port shows do not begin another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hbids.decode.reference.layers import Fragment, FragmentKey
    from hbids.decode.reference.run import Run

__all__ = ["Fragments", "Whole"]

PACKET_OVERHEAD_BYTES, PIECE_OVERHEAD_BYTES = 768, 64
"""What the native engine needs beside the bytes themselves, as measured."""
MOST_PAYLOAD_BYTES = 65_535
"""No IP packet without a jumbo option is longer."""
UNIT_BYTES = 8
"""All fragments but the last are multiples of this."""
REPEAT_NS = 1_000_000_000
"""How long a packet put together is remembered; copies of a span port come within milliseconds."""


class Whole(NamedTuple):
    """The payload of a packet put together: ``length`` bytes; of ``data``, what follows the first byte that a snap
    length cut off is missing."""

    protocol: int
    data: bytes
    length: int


class Piece(NamedTuple):
    start: int
    length: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + self.length


class Parts:
    """The fragments of one packet so far, without overlaps, in order."""

    def __init__(self) -> None:
        self.started_ns = 0
        self.header_right = False
        self.pieces: list[Piece] = []
        self.protocol = 0
        self.covered = 0
        self.total: int | None = None
        self.held_bytes = PACKET_OVERHEAD_BYTES

    def fits(self, end: int, *, more: bool) -> bool:
        """Whether a fragment agrees with what is known of the end."""
        if self.total is not None:
            return end <= self.total if more else end == self.total
        return more or not self.pieces or self.pieces[-1].end <= end

    def uncovered(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that nothing covers yet."""
        index = bisect_left(self.pieces, start, key=lambda piece: piece.end)
        while index < len(self.pieces) and self.pieces[index].start < end:
            piece = self.pieces[index]
            if start < piece.start:
                yield start, piece.start
            start = piece.end
            index += 1
        if start < end:
            yield start, end

    def add(self, fragment: Fragment, length: int) -> int:
        """Take what is new; gives how many bytes that are."""
        start = fragment.offset
        self.header_right = fragment.walk.header_right
        if start == 0 and not (self.pieces and self.pieces[0].start == 0):
            self.protocol = fragment.protocol
        if not fragment.more:
            self.total = start + length
        new = [
            Piece(at, until - at, fragment.payload[at - start : until - start])
            for at, until in self.uncovered(start, start + length)
        ]
        for piece in new:
            self.pieces.insert(bisect_left(self.pieces, piece.start, key=lambda other: other.start), piece)
            self.held_bytes += len(piece.data) + PIECE_OVERHEAD_BYTES
        added = sum(piece.length for piece in new)
        self.covered += added
        return added

    def whole(self) -> Whole | None:
        """The packet, once nothing is missing."""
        if self.covered != self.total:
            return None
        data = bytearray()
        for piece in self.pieces:
            data += piece.data
            if len(piece.data) < piece.length:
                break
        return Whole(self.protocol, bytes(data), self.total)


class Remembered:
    """A packet already put together, and those of its fragments that came again."""

    def __init__(self, ended_ns: int, whole: Whole) -> None:
        self.ended_ns = ended_ns
        self.whole = whole
        self.again = Parts()

    @property
    def held_bytes(self) -> int:
        return len(self.whole.data) + self.again.held_bytes

    def has(self, fragment: Fragment, length: int) -> bool:
        end = fragment.offset + length
        at_end = end == self.whole.length
        return at_end != fragment.more and self.whole.data[fragment.offset : end] == fragment.payload[:length]

    def repeat(self, fragment: Fragment, length: int) -> int:
        """Note a copy; gives by how much what is held grew."""
        held_bytes = self.held_bytes
        self.again.add(fragment, length)
        if self.again.whole():
            self.again = Parts()
        return self.held_bytes - held_bytes


class Fragments:
    """Fragments that wait for others, over all hosts. The clock is that of the fragments; it never goes back."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: OrderedDict[FragmentKey, Parts] = OrderedDict()
        self._remembered: OrderedDict[FragmentKey, Remembered] = OrderedDict()
        self._held_bytes = 0
        self._clock_ns = 0

    def add(self, fragment: Fragment) -> Whole | None:
        """Put a fragment to its packet; gives the packet's payload when it was the last one missing."""
        counters = self._run.counters
        counters["fragments"] += 1
        self._tick()
        # A length that is no multiple of the unit is cut to one, as hosts do.
        length = fragment.length // UNIT_BYTES * UNIT_BYTES if fragment.more else fragment.length
        end = fragment.offset + length
        if length == 0 or end > MOST_PAYLOAD_BYTES:
            counters["fragments_malformed"] += 1
            return None
        key = fragment.key
        remembered = self._remembered.get(key)
        if remembered is not None:
            if remembered.has(fragment, length):
                counters["fragments_repeated"] += 1
                self._held_bytes += remembered.repeat(fragment, length)
                self._make_room()
                return None
            # Another packet of the same identification: what looked like copies of the old one belongs to it.
            self._forget(key)
            self._begin(key, remembered.again)
        parts = self._waiting.get(key) or self._begin(key, Parts())
        if fragment.walk.header_right and parts.pieces and not parts.header_right:
            counters["fragments_refused"] += len(parts.pieces)
            self._drop(key)
            parts = self._begin(key, Parts())
        elif parts.header_right and not fragment.walk.header_right:
            counters["fragments_refused"] += 1
            return None
        if not parts.fits(end, more=fragment.more):
            counters["fragments_malformed"] += 1
            return None
        held_bytes = parts.held_bytes
        added = parts.add(fragment, length)
        self._held_bytes += parts.held_bytes - held_bytes
        if added == 0:
            counters["fragments_repeated"] += 1
        elif added < length:
            counters["fragments_overlapping"] += 1
        whole = parts.whole()
        if whole is not None:
            self._remember(key, whole)
        self._make_room()
        return whole

    def finish(self) -> None:
        """Nothing more comes."""
        for key in list(self._waiting):
            self._give_up(key)
        self._remembered.clear()
        self._held_bytes = self._clock_ns = 0

    def _tick(self) -> None:
        self._clock_ns = max(self._clock_ns, self._run.time_ns)
        while self._waiting:
            key, parts = next(iter(self._waiting.items()))
            if parts.started_ns + self._run.limits.fragment_timeout_ns > self._clock_ns:
                break
            self._give_up(key)
        while self._remembered:
            key, remembered = next(iter(self._remembered.items()))
            if remembered.ended_ns + REPEAT_NS > self._clock_ns:
                break
            self._forget(key)

    def _begin(self, key: FragmentKey, parts: Parts) -> Parts:
        parts.started_ns = self._clock_ns
        self._waiting[key] = parts
        self._held_bytes += parts.held_bytes
        return parts

    def _give_up(self, key: FragmentKey) -> None:
        self._run.counters["packets_incomplete"] += 1
        self._drop(key)

    def _drop(self, key: FragmentKey) -> None:
        self._held_bytes -= self._waiting.pop(key).held_bytes

    def _remember(self, key: FragmentKey, whole: Whole) -> None:
        self._run.counters["packets_reassembled"] += 1
        self._drop(key)
        self._remembered[key] = Remembered(self._clock_ns, whole)
        self._held_bytes += self._remembered[key].held_bytes

    def _forget(self, key: FragmentKey) -> None:
        self._held_bytes -= self._remembered.pop(key).held_bytes

    def _make_room(self) -> None:
        """What is done goes before what waits, and what waited longest goes first."""
        limits = self._run.limits
        while len(self._waiting) + len(self._remembered) > limits.fragments or self._held_bytes > limits.fragment_bytes:
            if self._remembered:
                self._forget(next(iter(self._remembered)))
            else:
                self._run.counters["packets_evicted"] += 1
                self._drop(next(iter(self._waiting)))
