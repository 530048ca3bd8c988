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

from hbids.config import Thresholds
from hbids.detect.common import News
from hbids.facts import Finding, Verdict

__all__ = ["FloodDetector"]

FLOOD = 1016210


class FloodDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds

    def judge(self, news: News) -> list[Finding]:
        """Look how many requests came close together."""
        if news.burst != self._thresholds.flood_messages:
            return []
        window_s = self._thresholds.flood_window_ns / 1e9
        return [news.finding(FLOOD, Verdict.PROBED, requests=news.burst, window_s=window_s)]
