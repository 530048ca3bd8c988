"""Connections on which TCP says two different things.

What it sees
    Segments of a TLS connection that bring other bytes for a place in the stream than those that came first (1016030),
    once a connection.
Why it matters
    Retransmissions repeat. Who sends other bytes the second time wants a sensor to read one copy and the host to take
    the other: hosts differ in which they take (Novak, "Target-based TCP stream reassembly", 2007).
Evidence
    Both copies, compared where the first is still at hand: all of what waits behind a hole, and the last 16 bytes that
    were read. The first copy is the one that was read.
Limits
    A contradiction farther back goes unseen, and a broken middlebox can cause one. So it raises the verdict to probed
    only where heartbeats were sent the same way.
"""

from __future__ import annotations

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Step, describe, flow_context
from hbids.facts import Direction, Finding, Series, Verdict

__all__ = ["EvasionDetector"]

CONFLICT = 1016030


class EvasionDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """One contradiction is enough."""

    def update(self, step: Step) -> list[Finding]:
        """Look at the flows of this step."""
        flows = step.flows
        return [
            _finding(flows[index], direction)
            for direction in (Direction.TO_SERVER, Direction.TO_CLIENT)
            for index in np.flatnonzero((flows[_conflicts(direction)] > 0) & (flows["transport"] != 0))
        ]


def _conflicts(direction: Direction) -> str:
    return f"conflicts_{direction.name.lower()}"


def _finding(row: np.void, direction: Direction) -> Finding:
    verdict = Verdict.PROBED if row[f"heartbeats_{direction.name.lower()}"] else Verdict.CLEAR
    context = describe(row) | {"conflicts": int(row[_conflicts(direction)])}
    time_ns = int(row["end_time_ns"])
    return Finding(CONFLICT, time_ns, flow_context(row), direction, direction, verdict, context, Series())
