"""Answers that gave memory away.

What it sees
    Answers with more than their request carried. Clear ones are measured exactly (1016100 a server's, 1016101 a
    client's memory); sealed ones are estimated from record lengths (1016201, 1016202). The alert is raised as soon as
    the answer exceeds the request; when the exchange ends with more, one line with the totals follows (1016102,
    1016103, 1016203, 1016204). An answer to a request that a patched peer must discard, though nothing leaked, proves
    that the peer is not patched (1016110): the checkers sslyze and zgrab look for just that.
Why it matters
    This is what no log knows: memory left the host, so much, to that address. Keys, passwords, sessions and mail that
    passed through the process must be taken as known to it.
Evidence
    Clear: ``max(0, min(claimed, answer bytes seen - 3) - (request record length - 3))``, continuation records counted,
    only bytes on the wire counted. Sealed: answer plaintext less request plaintext less 16, plaintext being record
    bytes less what the negotiated suite adds; marked an estimate.
Limits
    An answer whose request was not captured is the unasked detector's. Sealed estimates under CBC are off by up to a
    block; TLS compression would make them too small.
"""

from __future__ import annotations

from hbids.config import Thresholds
from hbids.detect.common import LEAKS_TOGETHER, News, totals_of
from hbids.facts import NO_MESSAGE, Direction, Finding, Verdict

__all__ = ["LeakDetector", "TotalDetector"]

# By whether the answer was sealed, then by who leaked.
CONFIRMED = {(False, Direction.TO_SERVER): 1016100, (False, Direction.TO_CLIENT): 1016101}
CONFIRMED |= {(True, Direction.TO_SERVER): 1016201, (True, Direction.TO_CLIENT): 1016202}
TOTAL = {(False, Direction.TO_SERVER): 1016102, (False, Direction.TO_CLIENT): 1016103}
TOTAL |= {(True, Direction.TO_SERVER): 1016203, (True, Direction.TO_CLIENT): 1016204}
ANSWERED_WITHOUT_LEAK = 1016110


class LeakDetector:
    """See the module's docstring: what leaks, as soon as it does."""

    def __init__(self, thresholds: Thresholds) -> None:
        """A leak needs no threshold."""

    def judge(self, news: News) -> list[Finding]:
        """Judge an answer."""
        return [_confirmed(news)] if _is_answer(news) else []


class TotalDetector:
    """See the module's docstring: what leaks have come to."""

    def __init__(self, thresholds: Thresholds) -> None:
        """A leak needs no threshold."""

    def judge(self, news: News) -> list[Finding]:
        """Sum up after a leaking answer that has ended."""
        if not (_is_answer(news) and news.is_final and news.leaked + news.leaked_estimated):
            return []
        sid = TOTAL[news.sealed, news.victim]
        return [news.finding(sid, Verdict.LEAKED, LEAKS_TOGETHER, **totals_of(news.endpoint))]


def _is_answer(news: News) -> bool:
    return news.is_answer and bool(news.row["answers_message"] != NO_MESSAGE)


def _confirmed(news: News) -> Finding:
    if not news.leaked + news.leaked_estimated:
        return news.finding(ANSWERED_WITHOUT_LEAK, Verdict.PROBED)
    sid = CONFIRMED[news.sealed, news.victim]
    if news.sealed:
        return news.finding(sid, Verdict.LEAKED, leaked_bytes_estimated=news.leaked_estimated)
    return news.finding(sid, Verdict.LEAKED, leaked_bytes=news.leaked)
