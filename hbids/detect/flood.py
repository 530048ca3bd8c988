"""More heartbeats than anybody needs.

What it sees
    ``flood_messages`` requests, clear or sealed, from one source to one endpoint within ``flood_window_ns`` (1016210).
    One finding a window.
Why it matters
    RFC 6520 section 4 allows one request in flight and expects pauses; who sends many is looking for something, even
    when every single one is legal in size.
Evidence
    Counted requests of packets seen. The defaults stand, with their reason, in ``hbids/config.py``.
Limits
    Says nothing of what was answered. A slow harvest stays below it.
"""

from __future__ import annotations

from collections import deque

from hbids.config import Thresholds
from hbids.detect.common import Remembered, describe, flow_context, request_key
from hbids.facts import Direction, Facts, Finding, Kind, Verdict

__all__ = ["FloodDetector"]

FLOOD = 1016210


class FloodDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._times: Remembered[tuple[bytes, bytes, int, int], deque[int]] = Remembered()

    def update(self, facts: Facts) -> list[Finding]:
        """Count the requests of this step."""
        heartbeats = facts.heartbeats
        most, window_ns = self._thresholds.flood_messages, self._thresholds.flood_window_ns
        findings = []
        for row in heartbeats[(heartbeats["is_final"] == 1) & (heartbeats["kind"] == Kind.REQUEST)]:
            key = request_key(row)
            times = self._times.get(key)
            if times is None:
                times = deque(maxlen=most)
            self._times.put(key, times)
            times.append(int(row["time_ns"]))
            if len(times) == most and times[-1] - times[0] <= window_ns:
                times.clear()
                direction = Direction(int(row["direction"]))
                context = describe(row) | {"requests": most, "window_s": window_ns / 1e9}
                findings.append(
                    Finding(
                        FLOOD, int(row["end_time_ns"]), flow_context(row), direction, direction, Verdict.PROBED, context
                    )
                )
        return findings
