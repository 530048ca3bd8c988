"""The pieces in which EVE shows a flow, and where in it they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hbids.eve.segment import Segment
    from hbids.facts import Direction

__all__ = ["FIRST_SEQ", "SEQ_MASK", "Frame", "ShownPacket", "Stream", "ToldRecord", "distance"]

SEQ_MASK = 0xFFFFFFFF
FIRST_SEQ = 1
_HALF = 1 << 31


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


def distance(seq: int, later: int) -> int:
    """From one sequence number to another, negative if that lies before it."""
    return ((later - seq + _HALF) & SEQ_MASK) - _HALF
