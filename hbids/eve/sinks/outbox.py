"""Between a sensor that must not wait and a sink that may make it: a bounded queue and a thread that empties it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hbids.eve.sinks.interface import open_sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.config import Sinks
    from hbids.eve.sinks.interface import Sink

__all__ = ["Outbox", "OutboxCounts"]

_LINES_A_WRITE = 256
"""Few enough to be repeated without harm, enough that a distant sink is not asked for each."""

_FIRST_RETRY_S = 0.05
"""Doubled with each attempt."""


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How a sink fared so far, in lines."""

    written: int
    lost: int
    """Found the queue full, or were left when time was up at the end."""
    queued: int
    reconnects: int
    """Times that the sink worked again after it had failed."""
    failure: str
    """Why it does not work now; empty when it does."""

    def summary(self) -> dict[str, int]:
        """For the summary of a run that has ended."""
        return {"written": self.written, "lost": self.lost, "reconnects": self.reconnects}


class Outbox:
    """One sink of a sensor.

    :meth:`put` neither waits nor fails. What cannot be written waits, in order, and is tried again; only what finds the
    queue full is lost. ``tell`` gets a line of text when the sink fails and when it works again, from another thread.
    Raises OSError when the sink cannot be opened and must be.
    """

    def __init__(self, sink: Sink, settings: Sinks, tell: Callable[[str], None]) -> None:
        self.name = sink.name
        self._sink = sink
        self._most_lines, self._most_bytes = settings.queue_lines, settings.queue_bytes
        self._longest_retry_s = settings.retry_ns / 1e9
        self._tell = tell
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._written = self._lost = self._reconnects = 0
        self._failure = ""
        self._is_open = False
        self._must_look = True
        self._must_end = False
        self._changed = threading.Condition()
        if sink.must_open:
            open_sink(sink)
            self._is_open = True
        # A sink that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"outbox {sink.name}", daemon=True)

    def start(self) -> None:
        """Begin to write; until then lines wait."""
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Hand over a line with its newline."""
        with self._changed:
            if len(self._queue) >= self._most_lines or self._queued_bytes + len(line) > self._most_bytes:
                self._lost += 1
                return
            self._queue.append(line)
            self._queued_bytes += len(line)
            self._changed.notify()

    def reopen(self) -> None:
        """Follow a file that was rotated before the next line comes, and try a sink that failed at once."""
        with self._changed:
            self._must_look = True
            self._changed.notify()

    def end(self) -> None:
        """Begin to :meth:`close`, so that several outboxes do it at the same time."""
        with self._changed:
            self._must_end = True
            self._changed.notify()

    def close(self, deadline_s: float) -> None:
        """Write what waits, within ``deadline_s`` seconds; what does not get out is lost and counted."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(deadline_s)
        with self._changed:
            self._lost += len(self._queue)
            self._queue.clear()
            self._queued_bytes = 0

    def counts(self) -> OutboxCounts:
        """How it fared so far."""
        with self._changed:
            return OutboxCounts(self._written, self._lost, len(self._queue), self._reconnects, self._failure)

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                lines = list(islice(self._queue, _LINES_A_WRITE))
                self._must_look = False
                is_last = self._must_end
            try:
                self._deliver(lines)
                retry_s = _FIRST_RETRY_S
            except Exception as error:  # noqa: BLE001  whatever a library raises: a thread that died would tell nobody
                self._fail(error)
                if not is_last:
                    self._pause(retry_s)
                    retry_s = min(2 * retry_s, self._longest_retry_s)
            if is_last and (self._failure or not self._queue):
                break
        self._shut()

    def _has_work(self) -> bool:
        return bool(self._queue or self._failure or self._must_look or self._must_end)

    def _deliver(self, lines: list[bytes]) -> None:
        """Write ``lines`` or the first of them; raises OSError when none got out."""
        if not self._is_open:
            self._sink.open()
            self._is_open = True
        written = self._sink.write(lines)
        with self._changed:
            for _ in range(min(written, len(self._queue))):  # none are left if time was up meanwhile
                self._queued_bytes -= len(self._queue.popleft())
                self._written += 1
        if self._failure and (written or not lines):
            self._failure = ""
            self._reconnects += 1
            self._tell(f"{self.name}: written again; {self._lost:,} events lost there so far")

    def _fail(self, error: Exception) -> None:
        self._shut()
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if not self._failure:
            self._tell(f"{self.name}: cannot be written, {reason}: events wait, and it is tried again and again")
        self._failure = reason

    def _shut(self) -> None:
        self._sink.close()
        self._is_open = False

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._must_look or self._must_end, until - time.monotonic())
