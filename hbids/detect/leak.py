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

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Remembered, describe, flow_context, opposite
from hbids.facts import ABSENT, NO_MESSAGE, Direction, Facts, Finding, Kind, Protection, Verdict
from hbids.measures import answers_what_must_be_discarded, leaked_bytes, leaked_bytes_estimated

__all__ = ["LeakDetector"]

# By whether the answer was sealed, then by who leaked.
CONFIRMED = {(False, Direction.TO_SERVER): 1016100, (False, Direction.TO_CLIENT): 1016101}
CONFIRMED |= {(True, Direction.TO_SERVER): 1016201, (True, Direction.TO_CLIENT): 1016202}
TOTAL = {(False, Direction.TO_SERVER): 1016102, (False, Direction.TO_CLIENT): 1016103}
TOTAL |= {(True, Direction.TO_SERVER): 1016203, (True, Direction.TO_CLIENT): 1016204}
ANSWERED_WITHOUT_LEAK = 1016110


class LeakDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """A leak needs no threshold."""
        self._told: Remembered[int, int] = Remembered()
        """Bytes already alerted, by message, until its final row comes."""

    def update(self, facts: Facts) -> list[Finding]:
        """Judge every answer of this step."""
        heartbeats = facts.heartbeats
        rows = heartbeats[(heartbeats["kind"] == Kind.RESPONSE) & (heartbeats["answers_message"] != NO_MESSAGE)]
        leaked = leaked_bytes(rows) + leaked_bytes_estimated(rows)  # a row has one or the other
        unpatched = answers_what_must_be_discarded(rows)
        findings = []
        for index in np.flatnonzero((leaked > 0) | (unpatched & (rows["is_final"] == 1))):
            finding = self._judge(rows[index], int(leaked[index]))
            if finding is not None:
                findings.append(finding)
        return findings

    def _judge(self, row: np.void, leaked: int) -> Finding | None:
        direction = Direction(int(row["direction"]))
        victim = opposite(direction)
        sealed = bool(row["protection"] == Protection.SEALED)
        message = int(row["message_id"])
        told = self._told.pop(message)
        sid, verdict = CONFIRMED[sealed, victim], Verdict.LEAKED
        if leaked == 0:
            sid, verdict = ANSWERED_WITHOUT_LEAK, Verdict.PROBED
        elif told is not None:
            sid = TOTAL[sealed, victim]
        if not row["is_final"]:
            self._told.put(message, leaked)
        elif told == leaked:
            return None
        context = describe(row) | {"leaked_bytes_estimated" if sealed else "leaked_bytes": leaked}
        if row["request_claimed_length"] != ABSENT:
            context["claimed_length"] = int(row["request_claimed_length"])
        return Finding(sid, int(row["end_time_ns"]), flow_context(row), direction, victim, verdict, context)
