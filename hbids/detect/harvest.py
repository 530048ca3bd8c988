"""Memory taken again and again.

What it sees
    The ``harvest_answers``-th leaking answer of one endpoint to one source (1016300), or to one behaviour, the same
    claimed and record length, from ``harvest_sources`` sources or more (1016301); then again whenever the count has
    grown tenfold.
Why it matters
    A scan asks once and knows. Who asks on is reaping: each answer is another piece of memory, and what is asked for
    often enough comes by, private keys included.
Evidence
    Leaking answers counted one by one, with their bytes.
Limits
    Counts within one run, however far apart: a harvest spread over runs is not put together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hbids.detect.common import Remembered, describe, flow_context, opposite
from hbids.facts import Direction, Facts, Finding, Verdict
from hbids.measures import leaked_bytes, leaked_bytes_estimated

if TYPE_CHECKING:
    from hbids.config import Thresholds

__all__ = ["HarvestDetector"]

ONE_SOURCE, ONE_BEHAVIOUR = 1016300, 1016301
MOST_SOURCES = 1_000
"""Sources told apart for one behaviour; beyond that the number says "at least"."""


@dataclass(slots=True)
class Reaped:
    """What one source or behaviour has taken from one endpoint."""

    answers: int = 0
    leaked_bytes: int = 0
    leaked_bytes_estimated: int = 0
    sources: set[bytes] = field(default_factory=set)
    next_told: int = 0


class HarvestDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._by_source: Remembered[tuple[bytes, ...], Reaped] = Remembered()
        self._by_behaviour: Remembered[tuple[bytes, ...], Reaped] = Remembered()

    def update(self, facts: Facts) -> list[Finding]:
        """Count the leaking answers of this step."""
        rows = facts.heartbeats[facts.heartbeats["is_final"] == 1]
        exact, estimated = leaked_bytes(rows), leaked_bytes_estimated(rows)
        findings = []
        for index in np.flatnonzero((exact > 0) | (estimated > 0)):
            findings += self._count(rows[index], int(exact[index]), int(estimated[index]))
        return findings

    def _count(self, row: np.void, exact: int, estimated: int) -> list[Finding]:
        to_client = row["direction"] == Direction.TO_CLIENT
        victim = row["client_addr"].tobytes()
        if to_client:
            victim = row["server_addr"].tobytes() + row["server_port"].tobytes()
        source = row["client_addr" if to_client else "server_addr"].tobytes()
        shape = row["request_record_length"].tobytes() + row["request_claimed_length"].tobytes()
        findings = []
        for sid, known, key, least_sources in (
            (ONE_SOURCE, self._by_source, (victim, source), 1),
            (ONE_BEHAVIOUR, self._by_behaviour, (victim, shape), self._thresholds.harvest_sources),
        ):
            reaped = known.get(key) or Reaped(next_told=self._thresholds.harvest_answers)
            known.put(key, reaped)
            reaped.answers += 1
            reaped.leaked_bytes += exact
            reaped.leaked_bytes_estimated += estimated
            if len(reaped.sources) < MOST_SOURCES:
                reaped.sources.add(source)
            if reaped.answers >= reaped.next_told and len(reaped.sources) >= least_sources:
                reaped.next_told = 10 * reaped.answers
                findings.append(_finding(sid, row, reaped))
        return findings


def _finding(sid: int, row: np.void, reaped: Reaped) -> Finding:
    direction = Direction(int(row["direction"]))
    context = describe(row) | {
        "answers": reaped.answers,
        "sources": len(reaped.sources),
        "leaked_bytes": reaped.leaked_bytes,
        "leaked_bytes_estimated": reaped.leaked_bytes_estimated,
    }
    return Finding(
        sid, int(row["end_time_ns"]), flow_context(row), direction, opposite(direction), Verdict.HARVESTED, context
    )
