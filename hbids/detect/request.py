"""Requests for memory, readable on the wire.

What it sees
    Every clear heartbeat request that claims more payload than its record carries (over-read: sids 1016000 to 1016003
    by phase, 1016004 when a server asks its client), that breaks RFC 6520 without over-reading (1016010: less than
    16 bytes of padding, as the checkers sslyze, masstest and zgrab send), and every malformed one (1016020: a record
    shorter than the 3-byte header; 1016021: a type RFC 6520 does not know). Legal requests raise nothing, except that
    a heartbeat on a session that never agreed to the extension is itself against RFC 6520 section 2 (1016011).
Why it matters
    An over-read request is the attack itself, whatever comes back. A probe cannot leak but tells the prober whether the
    server is patched.
Evidence
    Claimed and present lengths as two facts of the same record: exact. One finding a request, the gravest that fits.
Limits
    Whether the peer would have answered is not known from the request. Where the ServerHello may be missing from the
    capture, nobody knows the phase (1016003); on a flow joined in mid-stream TLS itself is inferred: lower confidence.
"""

from __future__ import annotations

from hbids.config import Thresholds
from hbids.detect.common import REQUESTS, News
from hbids.facts import Direction, Finding, Kind, Phase, Verdict
from hbids.measures import HEADER_BYTES

__all__ = ["RequestDetector"]

OVERREAD_BY_PHASE = {
    Phase.BEFORE_SERVER_HELLO: 1016000,
    Phase.HANDSHAKE: 1016001,
    Phase.AFTER: 1016002,
    Phase.UNKNOWN: 1016003,
}
OVERREAD_OF_CLIENT = 1016004
SHORT_PADDING, NOT_NEGOTIATED, TOO_SHORT, UNKNOWN_TYPE = 1016010, 1016011, 1016020, 1016021


class RequestDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """Over-reading needs no threshold."""

    def judge(self, news: News) -> list[Finding]:
        """Judge a clear request."""
        if not news.suspicious or news.sealed:
            return []
        sid, verdict = _judge(news)
        return [news.finding(sid, verdict, REQUESTS, requests=int(news.endpoint["suspicious"]))]


def _judge(news: News) -> tuple[int, Verdict]:
    row = news.row
    if row["kind"] == Kind.MALFORMED:
        return (TOO_SHORT if row["record_length"] < HEADER_BYTES else UNKNOWN_TYPE), Verdict.PROBED
    if news.overread > 0:
        by_phase = OVERREAD_BY_PHASE[Phase(int(row["phase"]))]
        return (OVERREAD_OF_CLIENT if news.direction == Direction.TO_CLIENT else by_phase), Verdict.ATTEMPTED
    return (SHORT_PADDING if news.broken else NOT_NEGOTIATED), Verdict.PROBED
