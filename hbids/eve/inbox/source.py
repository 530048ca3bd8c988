"""Where lines come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from hbids.eve.values import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["WAIT_S", "Mark", "Source"]

WAIT_S = 0.2
"""How often threads look whether they shall end."""


class Mark(NamedTuple):
    """How far a source that keeps its lines was read."""

    source: str
    position: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Mark | None:
        """As :meth:`_asdict` gave it."""
        source, position = text_of(document, "source"), text_of(document, "position")
        return cls(source, position) if source and position else None


class Source(ABC):
    """A way in. Some keep their lines until they are let go of: they say where they stand, and can begin there."""

    waits: bool
    """Whoever writes may be made to wait."""
    keeps = False
    """Lines stay where they are until they are let go of."""
    position: str | None = None
    """Behind the piece that was given last, where lines are kept."""
    lost = 0
    """Lines that were gone before they were read."""

    @abstractmethod
    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        """Whole lines, until closed or over; empty when nothing came for a moment."""

    def let_go(self, position: str) -> None:
        """What came before this position is not needed any more. Never called while :meth:`pieces` is at work."""
        assert not self.keeps  # those that do have their own
