"""The sinks of a sensor's events, each behind an outbox, so that none of them makes it wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hbids.eve.sinks import sink_for
from hbids.eve.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hbids.config import Sinks
    from hbids.eve.sinks import Beginning
    from hbids.eve.sinks.outbox import OutboxCounts

__all__ = ["Outboxes"]

_LEAST_CLOSE_S = 0.25
"""Even when the end took long already: sinks that work need no more."""

_SETTLE_S = 0.2
"""A sink that needs longer is slow, and must not hold up the judging."""
_SETTLE_STEP_S = 0.001


class Outboxes:
    """An outbox for each destination of ``--eve``. ``tell`` gets a line of text when one fails, and when it works
    again.

    Raises UserInputError, or OSError with the name of what must open and cannot.
    """

    def __init__(
        self, destinations: Iterable[str], settings: Sinks, beginning: Beginning, tell: Callable[[str], None]
    ) -> None:
        sinks = [sink_for(destination, settings, beginning) for destination in destinations]
        self._outboxes = [Outbox(sink, settings, tell) for sink in sinks]
        self._close_s = settings.close_ns / 1e9

    def start(self) -> None:
        """Begin to write; until then lines wait."""
        for outbox in self._outboxes:
            outbox.start()

    def put(self, line: bytes) -> None:
        """Hand a line to each."""
        for outbox in self._outboxes:
            outbox.put(line)

    def reopen(self) -> None:
        """Follow files that were rotated."""
        for outbox in self._outboxes:
            outbox.reopen()

    def counts(self) -> dict[str, OutboxCounts]:
        """How they fare, by their names."""
        return {outbox.name: outbox.counts() for outbox in self._outboxes}

    def settled(self) -> bool:
        """Whether all sinks that work have what they were handed, after a moment's wait: a state may say that it was
        told."""
        deadline_s = time.monotonic() + _SETTLE_S
        while any(counts.queued and not counts.failure for counts in self.counts().values()):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_SETTLE_STEP_S)
        return True

    def close(self, began_s: float) -> None:
        """Write what waits, as far as time allows; the end began at ``began_s`` of the monotonic clock."""
        for outbox in self._outboxes:
            outbox.end()
        deadline_s = max(began_s + self._close_s, time.monotonic() + _LEAST_CLOSE_S)
        for outbox in self._outboxes:
            outbox.close(max(0.0, deadline_s - time.monotonic()))
