"""Sealed requests that were left without an answer.

What it sees
    Sealed requests still unanswered when their connection ends (1016211). One that could not be honest (see the sealed
    detector) counts as an attempt at once; so do, whatever their size, ``unanswered_messages`` of one source to one
    endpoint within ``unanswered_window_ns``. A single one of honest size is a probe, if the peer was alive and silent:
    it sent packets, but no heartbeat, for at least ``unanswered_wait_ns``.
Why it matters
    A patched peer discards a request that over-reads without a word, and answers every honest one. Silence is what an
    attack on a patched server looks like when the requests are sealed and of honest size (heartleech).
Evidence
    The request records, and the absence of heartbeat records the other way until the flow ended.
Limits
    An inference: a peer that died, or an answer lost by the capture, also leaves silence. A direction with missing
    bytes is therefore not judged by a single request, and one that was not captured at all, or of which only some
    records were told (Suricata's ``frame`` events), only by requests that could not be honest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Remembered, Step, describe, flow_context, request_key
from hbids.facts import NO_MESSAGE, NOT_COUNTED, Direction, EndReason, Finding, Kind, Series, Verdict

if TYPE_CHECKING:
    from hbids.measures import Measured

__all__ = ["UnansweredDetector"]

UNANSWERED = 1016211
MOST_PER_FLOW = 64
"""Requests kept of one flow; as many as the decoder waits for."""


class Asked(NamedTuple):
    """A sealed request without an answer so far."""

    row: np.void
    dishonest: bool


class AskedInVain(NamedTuple):
    """What one source has asked one endpoint in vain."""

    times_ns: list[int]
    """Of the last ones."""
    requests: int
    """All of them."""


class UnansweredDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        """May be replaced at any time."""
        self._open: Remembered[int, dict[int, Asked]] = Remembered()
        """By flow, then by message."""
        self._series: Remembered[tuple[bytes, bytes, int, int], AskedInVain] = Remembered()

    def update(self, step: Step) -> list[Finding]:
        """Match answers with requests; judge what is left when a flow ends."""
        self._note(step.heartbeats)
        if not len(self._open):
            return []
        findings = []
        for index in np.flatnonzero(step.flows["end_reason"] != EndReason.CHECKPOINT):
            left = self._open.pop(int(step.flows["flow_id"][index]))
            finding = self._judge(list(left.values()), step.flows[index]) if left else None
            if finding is not None:
                findings.append(finding)
        return findings

    def _note(self, heartbeats: Measured) -> None:
        if not heartbeats.sealed.any():
            return
        rows = heartbeats.rows
        requests = np.flatnonzero(heartbeats.sealed & (rows["kind"] == Kind.REQUEST))
        answers = np.flatnonzero(heartbeats.sealed & heartbeats.answers & (rows["answers_message"] != NO_MESSAGE))
        asked, answered = rows["message_id"][requests], rows["answers_message"][answers]
        for index in answers[~np.isin(answered, asked)]:  # of requests in an earlier step
            left = self._open.get(int(rows["flow_id"][index]))
            if left is not None:
                left.pop(int(rows["answers_message"][index]), None)
        for index in requests[~np.isin(asked, answered)]:
            flow = int(rows["flow_id"][index])
            left = self._open.get(flow) or {}
            left[int(rows["message_id"][index])] = Asked(rows[index].copy(), bool(heartbeats.suspicious[index]))
            if len(left) > MOST_PER_FLOW:
                del left[next(iter(left))]
            self._open.put(flow, left)

    def _judge(self, left: list[Asked], flow: np.void) -> Finding | None:
        row = left[-1].row
        if flow[f"packets_{_way_back(row)}"] == 0 or flow[f"gaps_{_way_back(row)}"] == NOT_COUNTED:
            left = [asked for asked in left if asked.dishonest]
            if not left:
                return None
        end_ns = int(flow["end_time_ns"])
        key = request_key(row)
        series = self._series.get(key) or AskedInVain([], 0)
        requests = series.requests + len(left)
        times_ns = [*series.times_ns, *[end_ns] * len(left)]
        times_ns = [time_ns for time_ns in times_ns if end_ns - time_ns <= self.thresholds.unanswered_window_ns]
        attempted = len(times_ns) >= self.thresholds.unanswered_messages or any(asked.dishonest for asked in left)
        self._series.put(key, AskedInVain([] if attempted else times_ns, requests))
        if not attempted and not any(self._silent_while_alive(asked.row, flow) for asked in left):
            return None
        direction, verdict = Direction(int(row["direction"])), Verdict.ATTEMPTED if attempted else Verdict.PROBED
        context = describe(row) | {"requests": requests, "answers": 0}
        grows = Series(growth="requests", tells_tool=not left[-1].dishonest)  # of that, the request told already
        return Finding(UNANSWERED, end_ns, flow_context(row), direction, direction, verdict, context, grows)

    def _silent_while_alive(self, row: np.void, flow: np.void) -> bool:
        way = _way_back(row)
        waited_ns = int(flow["end_time_ns"]) - int(row["end_time_ns"])
        return bool(
            waited_ns >= self.thresholds.unanswered_wait_ns
            and flow[f"packets_{way}"] > row[f"packets_{way}"]
            and flow[f"gaps_{way}"] == 0
        )


def _way_back(row: np.void) -> str:
    return "to_client" if row["direction"] == Direction.TO_SERVER else "to_server"
