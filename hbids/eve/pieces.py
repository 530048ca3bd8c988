"""The pieces in which EVE shows a flow, and where in it they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hbids.eve.segment import Segment
    from hbids.facts import Direction

__all__ = ["FIRST_SEQ", "SEQ_MASK", "Frame", "ShownBytes", "ShownPacket", "Stream", "ToldRecord", "distance"]

SEQ_MASK = 0xFFFFFFFF
FIRST_SEQ = 1
_HALF = 1 << 31
_MOST_SPANS = 16
"""The holes between them are what a sensor lost."""
_MOST_SPAN_BYTES = 1 << 30
"""Farther back, sequence numbers come to mean what lies ahead."""


class Frame(NamedTuple):
    """One frame for the engine."""

    time_ns: int
    link_type: int
    wire_bytes: int
    data: bytes
    packet_number: int = 0
    """In the capture that Suricata read; 0 where there is none."""


class ToldRecord(NamedTuple):
    """A record of which the place in its stream and the size are known."""

    offset: int
    data: bytes
    way: Direction
    time_ns: int


class ShownPacket(NamedTuple):
    """A packet of a conversation; with its TCP segment, if it is one."""

    frame: Frame
    way: Direction
    segment: Segment | None


@dataclass(slots=True)
class Stream:
    """A stretch of one direction's bytes, and where it lies."""

    data: bytes = b""
    data_start: int = FIRST_SEQ
    """Sequence number of its first byte."""
    start: int = FIRST_SEQ
    """Sequence number with which the direction begins, as far as the engine is told."""
    played_to: int | None = None
    """Sequence number behind the last byte that was handed on."""
    next_offset: int = 0
    """In the real stream, behind the last record that was told without packets; what lies between records is left
    out."""
    last_record_bytes: int = 0
    """Of that record."""


class ShownBytes:
    """Where in a direction packets were shown, and by which teller, as spans of sequence numbers; of many spans the
    latest."""

    def __init__(self) -> None:
        self.last_seq: int | None = None
        """Of the packet that was shown last."""
        self._spans: list[tuple[int, int, int]] = []
        """Where each begins, its length, and who has shown it."""

    def has(self, seq: int, length: int, *, but: int) -> bool:
        """All of it was shown by another than this teller, who may well show it again: it was sent again."""
        return any(
            teller != but and (at := distance(start, seq)) >= 0 and at + length <= size
            for start, size, teller in self._spans
        )

    def add(self, seq: int, length: int, teller: int) -> None:
        """It is shown now."""
        self.last_seq, start, size = seq, seq, length
        apart = []
        for span in self._spans:
            other, other_size, other_teller = span
            ahead = distance(start, other)
            if other_teller != teller or ahead > size or ahead + other_size < 0:
                apart.append(span)
            else:
                back = min(0, ahead)
                start, size = (start + back) & SEQ_MASK, max(size, ahead + other_size) - back
        if size > _MOST_SPAN_BYTES:
            start, size = (start + size - _MOST_SPAN_BYTES) & SEQ_MASK, _MOST_SPAN_BYTES
        self._spans = [*apart, (start, size, teller)][-_MOST_SPANS:]


def distance(seq: int, later: int) -> int:
    """From one sequence number to another, negative if that lies before it."""
    return ((later - seq + _HALF) & SEQ_MASK) - _HALF
