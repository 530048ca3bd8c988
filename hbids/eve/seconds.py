"""What is learnt from events, second by second of theirs.

What was learnt in a second belongs together, and is judged before the next one begins, however many lines are read at
once: so what is told, and in which order, depends on the events alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.eve.pieces import Frame
from hbids.eve.segment import LINK_TYPE_ETHERNET
from hbids.eve.slice import Slice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Seconds"]

_SECOND_NS = 1_000_000_000
_MOST_LATE_S = 60
"""Threads of Suricata are behind each other; what is older than that is another log."""
_MOST_FRAME_BYTES = 1 << 22
"""Of one second; what is more is told in pieces."""
_TICK = bytes(12) + b"\x88\xb5"
"""A frame of an ethertype for experiments (IEEE 802), which only tells the engine the time."""


class Seconds:
    """The clock of the events, and what was learnt since it last struck."""

    def __init__(self) -> None:
        self.now_ns = 0
        """Of the latest event."""
        self.learnt = Slice()
        """In the second that goes on."""
        self.on_over: Callable[[], None] = lambda: None
        """Called when there are :meth:`slices`, before anything else is learnt."""
        self._over: list[Slice] = []
        self._second = self._frame_bytes = 0
        self._first_ns: int | None = None

    @property
    def span_s(self) -> float:
        """From the first to the last event."""
        return 0.0 if self._first_ns is None else (self.now_ns - self._first_ns) / 1e9

    def strikes(self, time_ns: int) -> bool:
        """An event of this time belongs to another second: what was learnt shall be closed before."""
        return not 0 <= self._second - time_ns // _SECOND_NS <= _MOST_LATE_S or self._frame_bytes > _MOST_FRAME_BYTES

    def see(self, time_ns: int) -> None:
        """An event has this time."""
        if self.strikes(time_ns):
            self._second = time_ns // _SECOND_NS
        self._first_ns = time_ns if self._first_ns is None else min(self._first_ns, time_ns)
        self.now_ns = max(self.now_ns, time_ns)

    def emit(self, frames: Iterable[Frame]) -> None:
        """Frames for the engine."""
        before = len(self.learnt.frames)
        self.learnt.frames.extend(frames)
        self._frame_bytes += sum(len(frame.data) for frame in self.learnt.frames[before:])

    def close(self, *, tick: bool, silent_ns: int = 0) -> None:
        """The second is over, and nothing came for so long after it. The engine is told the time if it has frames, or
        with ``tick``."""
        if self.learnt.frames or tick:
            self.learnt.frames.append(Frame(self.now_ns + silent_ns, LINK_TYPE_ETHERNET, len(_TICK), _TICK))
        if self.learnt:
            self._over.append(self.learnt)
            self.learnt = Slice()
        self._frame_bytes = 0
        if self._over:
            self.on_over()

    def slices(self) -> list[Slice]:
        """What there is by now, of seconds that are over."""
        slices, self._over = self._over, []
        return slices
