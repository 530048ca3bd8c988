"""Segments that their receiver may have refused.

Who wants to hide from a sensor sends decoys: segments with a wrong checksum, with a TTL that ends behind the sensor, or
with an acknowledgement of bytes that were never sent (Ptacek and Newsham, "Insertion, Evasion, and Denial of Service",
1998). The host drops them; a sensor that takes them holds the real bytes that follow for a retransmission. Yet wrong
checksums are ordinary where the network card computes them behind the capture, paths change, and a span port may show
an answer before its question. So such a segment is neither believed nor dropped. It waits until its receiver
acknowledges it, until what it acknowledges turns up, or until other bytes take its place (it was a decoy).

What a receiver has acknowledged once, it is trusted to take again: one such segment is enough for the next to be
believed at once. Checksums are trusted to be right only of a side that has shown a right one.
"""

from __future__ import annotations

from enum import Enum, IntFlag, auto
from typing import NamedTuple

from hbids.decode.reference.layers import Datagram, Segment
from hbids.decode.reference.transport import is_checksum_right

__all__ = ["Credit", "Doubtful", "Reason"]

HIGHEST_TTL = 255


class Reason(IntFlag):
    """Why a receiver may refuse a segment."""

    NONE = 0
    CHECKSUM = 1
    TTL = 2
    FUTURE_ACK = 4


class Doubtful(NamedTuple):
    """A segment that waits for its judgement. ``data`` may be shorter than ``length`` (snap length)."""

    seq: int
    length: int
    data: bytes
    reason: Reason
    ttl: int
    ack: int


class Checksums(Enum):
    """What is known of a side's checksums."""

    UNKNOWN = auto()
    WRONG = auto()
    """All of them so far: the capture was taken before a network card filled them in."""
    RIGHT = auto()
    """Some were right: a wrong one is none of this host's."""
    IGNORED = auto()
    """The receiver has taken a wrong one."""


class Credit:
    """What is known of one side's packets, by which others of them are judged."""

    def __init__(self) -> None:
        self._checksums = Checksums.UNKNOWN
        self._taken_ttl = HIGHEST_TTL
        """The lowest that a receiver was seen to take."""

    def has_low_ttl(self, ttl: int, highest: int) -> bool:
        """Whether a packet comes from farther away than the side's others."""
        return ttl < min(highest, self._taken_ttl)

    def has_wrong_checksum(self, packet: Segment | Datagram, *, matters: bool) -> bool:
        """Whether a packet has a wrong checksum on a side that makes right ones. Looked at only where it ``matters``,
        or where nothing is known yet."""
        if self._checksums is Checksums.IGNORED or not (matters or self._checksums is Checksums.UNKNOWN):
            return False
        is_right = is_checksum_right(packet)
        if is_right is None:
            return False
        if is_right:
            self._checksums = Checksums.RIGHT
        elif self._checksums is Checksums.UNKNOWN:
            self._checksums = Checksums.WRONG
        return not is_right and self._checksums is Checksums.RIGHT

    def was_taken(self, doubtful: Doubtful) -> None:
        """The receiver took a segment in spite of all doubts."""
        if doubtful.reason & Reason.CHECKSUM:
            self._checksums = Checksums.IGNORED
        if doubtful.reason & Reason.TTL:
            self._taken_ttl = min(self._taken_ttl, doubtful.ttl)
