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
    bytes is therefore not judged by a single request, and one that was not captured at all only by requests that could
    not be honest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Remembered, describe, flow_context, request_key
from hbids.facts import ABSENT, NO_MESSAGE, Direction, EndReason, Facts, Finding, Kind, Rows, Verdict
from hbids.measures import is_sealed, is_short_sealed

__all__ = ["UnansweredDetector"]

UNANSWERED = 1016211
MOST_PER_FLOW = 64
"""Requests kept of one flow; as many as the decoder waits for."""


class Asked(NamedTuple):
    """A sealed request without an answer so far."""

    row: np.void
    dishonest: bool


@dataclass(slots=True)
class OpenRequests:
    """Those of one flow, by message id."""

    requests: dict[int, Asked] = field(default_factory=dict)


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
        findings = []
        for index in np.flatnonzero(facts.flows["end_reason"] != EndReason.CHECKPOINT):
            left = self._open.pop(int(facts.flows["flow_id"][index]))
            if left is not None and left.requests:
                findings += self._judge(list(left.requests.values()), facts.flows[index])
        return findings

    def _note(self, rows: Rows) -> None:
        dishonest = is_short_sealed(rows) | (rows["heartbeat_accepted"] == ABSENT)
        for index in range(len(rows)):
            row = rows[index]
            left = self._open.get(int(row["flow_id"])) or OpenRequests()
            if row["kind"] == Kind.REQUEST:
                left.requests[int(row["message_id"])] = Asked(row.copy(), bool(dishonest[index]))
            elif row["answers_message"] != NO_MESSAGE:
                left.requests.pop(int(row["answers_message"]), None)
            while len(left.requests) > MOST_PER_FLOW:
                del left.requests[next(iter(left.requests))]
            self._open.put(int(row["flow_id"]), left)

    def _judge(self, left: list[Asked], flow: np.void) -> list[Finding]:
        row = left[-1].row
        if flow[f"packets_{_way_back(row)}"] == 0:
            left = [asked for asked in left if asked.dishonest]
            if not left:
                return []
        end_ns = int(flow["end_time_ns"])
        key = request_key(row)
        times = [*(self._series.get(key) or []), *[end_ns] * len(left)]
        times = [time for time in times if end_ns - time <= self._thresholds.unanswered_window_ns]
        if len(times) >= self._thresholds.unanswered_messages or any(asked.dishonest for asked in left):
            self._series.pop(key)
            verdict = Verdict.ATTEMPTED
        else:
            self._series.put(key, times)
            if not any(self._silent_while_alive(asked.row, flow) for asked in left):
                return []
            verdict = Verdict.PROBED
        direction = Direction(int(row["direction"]))
        context = describe(row) | {"requests": len(times), "answers": 0}
        return [Finding(UNANSWERED, end_ns, flow_context(row), direction, direction, verdict, context)]

    def _silent_while_alive(self, row: np.void, flow: np.void) -> bool:
        way = _way_back(row)
        waited_ns = int(flow["end_time_ns"]) - int(row["end_time_ns"])
        return bool(
            waited_ns >= self._thresholds.unanswered_wait_ns
            and flow[f"packets_{way}"] > row[f"packets_{way}"]
            and flow[f"gaps_{way}"] == 0
        )


def _way_back(row: np.void) -> str:
    return "to_client" if row["direction"] == Direction.TO_SERVER else "to_server"
