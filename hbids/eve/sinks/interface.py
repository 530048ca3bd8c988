"""What all sinks have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sink", "open_sink"]


class Sink(Protocol):
    """One destination of EVE lines. It knows no threads and no retries: one user at a time, and failures are raised."""

    name: str
    """As the user wrote it, without secrets."""

    must_open: bool
    """Whether failing to open at the start is a mistake of the user, not a peer that will be there later."""

    def open(self) -> None:
        """Get ready to write, anew after :meth:`close`. Raises OSError."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Write lines, each with its newline, and give how many of them were written whole, from the first on.

        Fewer than all when something failed behind them; raises OSError when it failed at the first. To write no lines
        is to look whether what was opened is still the right thing.
        """

    def close(self) -> None:
        """Let go; never raises, and does nothing when not open."""


def open_sink(sink: Sink) -> None:
    """Open it; the OSError has its name, which sockets do not tell."""
    try:
        sink.open()
    except OSError as error:
        error.filename = sink.name
        raise
