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

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import describe, flow_context, opposite
from hbids.facts import NO_MESSAGE, Direction, Facts, Finding, Kind, Protection, Verdict
from hbids.measures import unasked_bytes_estimated

__all__ = ["UnaskedDetector"]

LEAK = {Direction.TO_SERVER: 1016120, Direction.TO_CLIENT: 1016121}
"""By who leaked."""
ANSWER_ALONE, SEALED_LEAK = 1016122, 1016220


class UnaskedDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """What is honest is a matter of measures."""

    def update(self, facts: Facts) -> list[Finding]:
        """Judge every answer of this step that answers nothing."""
        heartbeats = facts.heartbeats
        unasked = (heartbeats["kind"] == Kind.RESPONSE) & (heartbeats["answers_message"] == NO_MESSAGE)
        rows = heartbeats[unasked & (heartbeats["is_final"] == 1)]
        leaked = unasked_bytes_estimated(rows)
        return [finding for row, bytes_ in zip(rows, leaked, strict=True) if (finding := _judge(row, int(bytes_)))]


def _judge(row: np.void, leaked: int) -> Finding | None:
    direction = Direction(int(row["direction"]))
    victim = opposite(direction)
    sid, verdict = LEAK[victim], Verdict.LEAKED
    if row["protection"] == Protection.SEALED:
        sid = SEALED_LEAK
        if leaked == 0:
            return None  # full-size by a small fragment size only
    elif leaked == 0:
        sid, verdict = ANSWER_ALONE, Verdict.PROBED
    context = describe(row)
    if leaked:
        context["leaked_bytes_estimated"] = leaked
    return Finding(sid, int(row["end_time_ns"]), flow_context(row), direction, victim, verdict, context)
