"""Memory taken again and again.

What it sees
    ``harvest_answers`` leaking answers of one endpoint, with ``harvest_bytes`` of memory or more in them, to one source
    (1016300), to several addresses of one network, /24 or /64 (1016303), or to one behaviour, the same shape of
    exchange, from ``harvest_sources`` sources or more (1016301). Where one source's answers come more than
    ``harvest_slow_interval_ns`` apart on average, it is a slow harvest (1016302). An answer every
    ``harvest_slowest_interval_ns`` is the slowest there is.
Why it matters
    A scan asks once or twice and knows. Who asks on is reaping: each answer is another piece of memory, and what is
    asked for often enough comes by, private keys included. Slow ones stay below every limit that counts by the minute.
Evidence
    Leaking answers counted one by one, with their bytes, also over runs (``--state``).
Limits
    A checker that runs daily looks like a slow harvest. Who leaves ``quiet_ns`` between two answers is forgotten. Slow
    behaviours count only when their sources took three answers each on average: no checker takes more than two in a
    run, and different people use the same checkers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.detect.common import News, totals_of
from hbids.facts import Finding, Reach, Series, Verdict
from hbids.parties import words_text
from hbids.tallies import Standing

if TYPE_CHECKING:
    from hbids.config import Thresholds

__all__ = ["HarvestDetector"]

ONE_SOURCE, ONE_BEHAVIOUR, SLOW_SOURCE, ONE_NETWORK = 1016300, 1016301, 1016302, 1016303


class HarvestDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """Statistics draw the line."""

    def judge(self, news: News) -> list[Finding]:
        """Tell what a leaking answer makes a harvest; what reaches farthest first."""
        if not (news.is_answer and news.is_final):
            return []
        findings = []
        if news.behaviour["standing"]:
            findings.append(_finding(news, ONE_BEHAVIOUR, Reach.BEHAVIOUR, news.behaviour))
        if news.network["standing"]:
            findings.append(_finding(news, ONE_NETWORK, Reach.NETWORK, news.network, network=_network(news.network)))
        if news.source["standing"]:
            sid = SLOW_SOURCE if news.source["standing"] == Standing.SLOW_HARVEST else ONE_SOURCE
            findings.append(_finding(news, sid, Reach.SOURCE, news.source, requests=int(news.source["requests"])))
        return findings


def _finding(news: News, sid: int, reach: Reach, tally: np.void, **more: Any) -> Finding:
    series = Series(reach, "answers", tuple(tally["key"].tolist()))
    return news.finding(sid, Verdict.HARVESTED, series, **totals_of(tally), **more)


def _network(tally: np.void) -> str:
    address = words_text(int(tally["key"][0]), int(tally["key"][1]))
    return f"{address}/{64 if ':' in address else 24}"
