"""Sealed requests that cannot be honest.

What it sees
    A sealed heartbeat in a record smaller than any legal heartbeat under the negotiated cipher suite (1016200): 3 bytes
    of header and 16 of padding must fit. So are caught, with no answer needed, titanous' heartbleeder and zgrab. A
    sealed heartbeat on a session that never agreed to the extension (1016011), as FiloSottile's checker sends. And
    requests that fill their records, sent while another such is unanswered (1016212).
Why it matters
    After the handshake neither type nor claim can be read; size and negotiation are what is left to see. Whoever pads
    his request to a full record, and sends others along for each record of the answer, makes the answer look like
    echoes; but no honest peer has two requests in flight (RFC 6520 section 4).
Evidence
    Record length, cipher suite and version of the session: AES-GCM 43, ChaCha20-Poly1305 35, AES-CBC-SHA 64 (48 under
    TLS 1.0), 3DES 48 (40), RC4-SHA 39, RC4-MD5 35, AES-CBC-SHA256 80, AES-CBC-SHA384 96 bytes at least.
Limits
    A lie in a record of honest size looks honest; its answer does not (see the leak detector). Nothing is said of sizes
    when the suite was not captured, nor of anything under TLS 1.3, which hides the content type.
"""

from __future__ import annotations

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import REQUESTS, News, Remembered, Step, describe, flow_context
from hbids.facts import Direction, Finding, Kind, Verdict
from hbids.suites import MAX_PLAINTEXT_BYTES

__all__ = ["CrowdDetector", "SealedDetector"]

TOO_SMALL, NOT_NEGOTIATED, IN_FLIGHT = 1016200, 1016011, 1016212
MOST_PER_FLOW = 64
"""Requests kept of one flow; as many as the decoder waits for."""


class SealedDetector:
    """See the module's docstring: requests, one by one."""

    def __init__(self, thresholds: Thresholds) -> None:
        """What is legal is not a matter of degree."""

    def judge(self, news: News) -> list[Finding]:
        """Judge a sealed request."""
        if not news.suspicious or not news.sealed:
            return []
        sid = TOO_SMALL if news.broken else NOT_NEGOTIATED
        return [news.finding(sid, Verdict.PROBED, REQUESTS, requests=int(news.endpoint["suspicious"]))]


class CrowdDetector:
    """See the module's docstring: full requests, several at once."""

    def __init__(self, thresholds: Thresholds) -> None:
        """RFC 6520 allows one."""
        self._waiting: Remembered[int, dict[int, int]] = Remembered()
        """By flow: times of requests that fill their records and wait for an answer, by message."""

    def update(self, step: Step) -> list[Finding]:
        """Judged at the answers, whose rows may come late: what was in flight is told by the times."""
        heartbeats = step.heartbeats
        counted = heartbeats.final & heartbeats.sealed
        if not counted.any():
            return []
        rows = heartbeats.rows
        asks = counted & (rows["kind"] == Kind.REQUEST) & (rows["record_length"] >= MAX_PLAINTEXT_BYTES)
        answers = counted & heartbeats.answers & (rows["request_record_length"] >= MAX_PLAINTEXT_BYTES)
        findings = []
        for index in np.flatnonzero(asks | answers):
            in_flight = self._in_flight(rows[index], asks=bool(asks[index]))
            if in_flight > 1:
                findings.append(_crowd(rows[index], in_flight))
        return findings

    def _in_flight(self, row: np.void, *, asks: bool) -> int:
        """How many there were when an answer came; 0 at a request."""
        flow, time_ns = int(row["flow_id"]), int(row["time_ns"])
        waiting = self._waiting.get(flow) or {}
        in_flight = 0
        if asks:
            waiting[int(row["message_id"])] = time_ns
            if len(waiting) > MOST_PER_FLOW:
                del waiting[next(iter(waiting))]
        elif waiting.pop(int(row["answers_message"]), None) is not None:
            in_flight = 1 + sum(asked_ns < time_ns for asked_ns in waiting.values())
        if waiting:
            self._waiting.put(flow, waiting)
        else:
            self._waiting.pop(flow)
        return in_flight


def _crowd(answer: np.void, in_flight: int) -> Finding:
    way = Direction(int(answer["direction"]))
    victim = Direction.TO_CLIENT if way == Direction.TO_SERVER else Direction.TO_SERVER
    context = describe(answer) | {"requests": in_flight}
    time_ns = int(answer["end_time_ns"])
    return Finding(IN_FLIGHT, time_ns, flow_context(answer), way, victim, Verdict.PROBED, context)
