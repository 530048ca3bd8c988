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
from hbids.detect.common import Remembered, flow_context
from hbids.facts import Direction, Facts, Finding, Transport, Verdict

__all__ = ["EvasionDetector"]

CONFLICT = 1016030


class EvasionDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """One contradiction is enough."""
        self._told: Remembered[tuple[int, Direction], None] = Remembered()

    def update(self, facts: Facts) -> list[Finding]:
        """Look at the flows of this step."""
        flows = facts.flows
        findings = []
        for direction in (Direction.TO_SERVER, Direction.TO_CLIENT):
            conflicts = flows[f"conflicts_{direction.name.lower()}"]
            for index in np.flatnonzero((conflicts > 0) & (flows["transport"] != 0)):
                row = flows[index]
                key = int(row["flow_id"]), direction
                if key not in self._told:
                    self._told.put(key, None)
                    findings.append(_finding(row, direction, int(conflicts[index])))
        return findings


def _finding(row: np.void, direction: Direction, conflicts: int) -> Finding:
    verdict = Verdict.PROBED if row[f"heartbeats_{direction.name.lower()}"] else Verdict.CLEAR
    transport = Transport(int(row["transport"])).name.lower()
    context = {"transport": transport, "evidence": "wire", "conflicts": conflicts}
    return Finding(CONFLICT, int(row["end_time_ns"]), flow_context(row), direction, direction, verdict, context)
