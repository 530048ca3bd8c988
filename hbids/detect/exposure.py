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
from hbids.detect.common import Remembered, flow_context
from hbids.facts import Direction, Facts, Finding, Transport, Verdict

__all__ = ["ExposureDetector"]

ACCEPTED = 1016500


class ExposureDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """The first time is enough."""
        self._known: Remembered[tuple[bytes, int, int], None] = Remembered()

    def update(self, facts: Facts) -> list[Finding]:
        """Look at the sessions of this step."""
        findings = []
        for row in facts.sessions[facts.sessions["heartbeat_accepted"] >= 0]:
            finding = self._judge(row)
            if finding is not None:
                findings.append(finding)
        return findings

    def _judge(self, row: np.void) -> Finding | None:
        endpoint = (row["server_addr"].tobytes(), int(row["server_port"]), int(row["protocol"]))
        if endpoint in self._known:
            return None
        self._known.put(endpoint, None)
        context = {"transport": Transport(int(row["transport"])).name.lower(), "evidence": "wire"}
        return Finding(
            ACCEPTED,
            int(row["time_ns"]),
            flow_context(row),
            Direction.TO_CLIENT,
            Direction.TO_SERVER,
            Verdict.EXPOSED,
            context,
        )
