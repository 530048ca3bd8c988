"""The door to the native engine: chunks of frames in, fact tables out, the interpreter released meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbids import _native
from hbids.config import Limits
from hbids.decode.engine import FINISH_STEP_FLOWS
from hbids.facts import FLOW_DTYPE, HEARTBEAT_DTYPE, SESSION_DTYPE, Facts, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NativeEngine"]

_ALWAYS = ("packets", "bytes", "flows")


class NativeEngine:
    """See :class:`hbids.decode.engine.Engine`. A panic inside costs the rest of the chunk and all flow state; it is
    counted as ``chunk_panics`` and the run goes on."""

    name = "native"

    def __init__(self, limits: Limits, number: int = 0) -> None:
        """``number``: of several engines whose facts come together, each numbers flows and messages on its own."""
        self._engine = _native.Engine(limits, number)

    def feed(self, batch: FrameBatch, at_least_rows: int = 0) -> Facts:
        """Decode a batch."""
        return _facts(self._engine.feed(batch.data, batch.frames.tobytes(), at_least_rows))

    def watch(self, taps: _native.Taps, longest_wait_ms: int, most_ms: int) -> Facts:
        """Decode what live interfaces bring, where it lies: wait for it at most ``longest_wait_ms``, and take at most
        ``most_ms`` while it does not end. Raises OSError when an interface can no longer be heard."""
        return _facts(self._engine.watch(taps, longest_wait_ms, most_ms))

    def tick(self, time_ns: int) -> Facts:
        """Let time go on."""
        return _facts(self._engine.tick(time_ns))

    def finish(self) -> Iterator[Facts]:
        """End every flow that is still open."""
        more = True  # even without flows there is the clock to set back
        while more:
            yield _facts(self._engine.finish(FINISH_STEP_FLOWS))
            more = self._engine.has_flows()

    def counters(self) -> dict[str, int]:
        """Totals so far; see docs/counters.md."""
        return {name: total for name, total in self._engine.counters() if total or name in _ALWAYS}

    def panic_in_next_chunk(self) -> None:
        """For tests of the recovery."""
        self._engine.panic_in_next_chunk()


def _facts(tables: tuple[bytes, bytes, bytes]) -> Facts:
    heartbeats, sessions, flows = tables
    return Facts(
        np.frombuffer(heartbeats, HEARTBEAT_DTYPE),
        np.frombuffer(sessions, SESSION_DTYPE),
        np.frombuffer(flows, FLOW_DTYPE),
    )
