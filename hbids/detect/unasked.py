"""Answers whose request was not seen.

What it sees
    An answer that no captured request explains: in a capture of one direction, behind a loss, or on a connection joined
    too late. A clear one of more payload than honest heartbeats have is a leak (1016120 a server's, 1016121 a client's
    memory), a smaller one shows only that somebody asked (1016122). Of sealed ones only a server's full-size records
    are known for answers (1016220).
Why it matters
    Many taps show one direction only, and what came back is the half that counts.
Evidence
    The answer's own bytes; what its request carried is unknown, so the leak is an estimate: the whole payload.
Limits
    The true leak is smaller by what the request carried, which with the known tools is at most 34 bytes. A sealed
    answer of less than a full record cannot be told from a request and is taken for one.
"""

from __future__ import annotations

from hbids.config import Thresholds
from hbids.detect.common import LEAKS, News, totals_of
from hbids.facts import NO_MESSAGE, Direction, Finding, Verdict

__all__ = ["UnaskedDetector"]

LEAK = {Direction.TO_SERVER: 1016120, Direction.TO_CLIENT: 1016121}
"""By who leaked."""
ANSWER_ALONE, SEALED_LEAK = 1016122, 1016220


class UnaskedDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """What is honest is a matter of measures."""

    def judge(self, news: News) -> list[Finding]:
        """Judge an answer that answers nothing."""
        if not (news.is_answer and news.is_final) or news.row["answers_message"] != NO_MESSAGE:
            return []
        if not news.leaked_estimated:
            return [news.finding(ANSWER_ALONE, Verdict.PROBED)]
        sid = SEALED_LEAK if news.sealed else LEAK[news.victim]
        return [news.finding(sid, Verdict.LEAKED, LEAKS, **totals_of(news.endpoint))]
