"""Who still agrees to heartbeats.

What it sees
    A ServerHello that accepts extension 15, whatever the mode (1016500), once an endpoint.
Why it matters
    The inventory nobody has: a server that accepts may be vulnerable, and needs its OpenSSL looked at. One that does
    not accept may be vulnerable all the same (1.0.1 to 1.0.1f answer without negotiation): silence here proves nothing.
Evidence
    The extension in the ServerHello, readable in every version before TLS 1.3.
Limits
    A server accepts only what a client offers, and few clients of today offer it: exposure is seen when somebody asks.
"""

from __future__ import annotations

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Step, describe, flow_context
from hbids.facts import Direction, Finding, Series, Verdict
from hbids.parties import of_rows

__all__ = ["ExposureDetector"]

ACCEPTED = 1016500


class ExposureDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """The first time is enough."""

    def update(self, step: Step) -> list[Finding]:
        """Look at the sessions of this step."""
        accepting = step.sessions[step.sessions["heartbeat_accepted"] >= 0]
        if not len(accepting):
            return []
        _, first = np.unique(of_rows(accepting, np.ones(len(accepting), bool)).endpoints, return_index=True)
        return [_finding(row) for row in accepting[np.sort(first)]]


def _finding(row: np.void) -> Finding:
    return Finding(
        ACCEPTED,
        int(row["time_ns"]),
        flow_context(row),
        Direction.TO_CLIENT,
        Direction.TO_SERVER,
        Verdict.EXPOSED,
        describe(row),
        Series(together=True, once=True),
    )
