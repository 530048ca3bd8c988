"""Sealed requests that were left without an answer.

What it sees
    Sealed requests still unanswered when their connection ends (1016211): at once for one that could not be honest (see
    the sealed detector), otherwise from ``unanswered_messages`` of one source to one endpoint within
    ``unanswered_window_ns`` on.
Why it matters
    A patched peer discards a request that over-reads without a word, and answers every honest one. A series without
    answers is what an attack on a patched server looks like when the requests are sealed and of honest size
    (heartleech).
Evidence
    The request records, and the absence of heartbeat records the other way until the flow ended.
Limits
    An inference: a peer that died, or an answer lost by the capture, also leaves silence. Hence a series is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Remembered, describe, flow_context, request_key
from hbids.facts import ABSENT, NO_MESSAGE, Direction, EndReason, Facts, Finding, Kind, Verdict
from hbids.measures import is_sealed, is_short_sealed

__all__ = ["UnansweredDetector"]

UNANSWERED = 1016211
MOST_PER_FLOW = 64
"""Requests kept of one flow; as many as the decoder waits for."""


@dataclass(slots=True)
class OpenRequests:
    """Sealed requests of one flow without an answer so far: message id to (row, whether it could not be honest)."""

    requests: dict[int, tuple[np.void, bool]] = field(default_factory=dict)


class UnansweredDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._open: Remembered[int, OpenRequests] = Remembered()
        self._series: Remembered[tuple[bytes, bytes, int, int], list[int]] = Remembered()

    def update(self, facts: Facts) -> list[Finding]:
        """Match answers with requests; judge what is left when a flow ends."""
        heartbeats = facts.heartbeats
        self._note(heartbeats[is_sealed(heartbeats)])
        if not len(self._open):
            return []
        ended = facts.flows[facts.flows["end_reason"] != EndReason.CHECKPOINT]
        findings = []
        for flow_id, end_ns in zip(ended["flow_id"].tolist(), ended["end_time_ns"].tolist(), strict=True):
            left = self._open.pop(flow_id)
            if left is not None and left.requests:
                findings += self._judge(left, end_ns)
        return findings

    def _note(self, rows: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        dishonest = is_short_sealed(rows) | (rows["heartbeat_accepted"] == ABSENT)
        for index in range(len(rows)):
            row = rows[index]
            left = self._open.get(int(row["flow_id"])) or OpenRequests()
            if row["kind"] == Kind.REQUEST:
                left.requests[int(row["message_id"])] = row.copy(), bool(dishonest[index])
            elif row["answers_message"] != NO_MESSAGE:
                left.requests.pop(int(row["answers_message"]), None)
            while len(left.requests) > MOST_PER_FLOW:
                del left.requests[next(iter(left.requests))]
            self._open.put(int(row["flow_id"]), left)

    def _judge(self, left: OpenRequests, end_ns: int) -> list[Finding]:
        row, _ = next(reversed(left.requests.values()))
        dishonest = any(dishonest for _, dishonest in left.requests.values())
        key = request_key(row)
        times = [*(self._series.get(key) or []), *[end_ns] * len(left.requests)]
        times = [time for time in times if end_ns - time <= self._thresholds.unanswered_window_ns]
        self._series.put(key, times)
        if not dishonest and len(times) < self._thresholds.unanswered_messages:
            return []
        self._series.pop(key)
        direction = Direction(int(row["direction"]))
        context = describe(row) | {"requests": len(times), "answers": 0}
        return [Finding(UNANSWERED, end_ns, flow_context(row), direction, direction, Verdict.ATTEMPTED, context)]
