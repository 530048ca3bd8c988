"""Sealed requests that cannot be honest.

What it sees
    A sealed heartbeat in a record smaller than any legal heartbeat under the negotiated cipher suite (1016200): 3 bytes
    of header and 16 of padding must fit. So are caught, with no answer needed, titanous' heartbleeder and zgrab. And a
    sealed heartbeat on a session that never agreed to the extension (1016011), as FiloSottile's checker sends.
Why it matters
    After the handshake neither type nor claim can be read; size and negotiation are what is left to see.
Evidence
    Record length, cipher suite and version of the session: AES-GCM 43, ChaCha20-Poly1305 35, AES-CBC-SHA 64 (48 under
    TLS 1.0), 3DES 48 (40), RC4-SHA 39, RC4-MD5 35, AES-CBC-SHA256 80, AES-CBC-SHA384 96 bytes at least.
Limits
    A lie in a record of honest size looks honest; its answer does not (see the leak detector). Nothing is said when the
    suite was not captured, or under TLS 1.3, which hides the content type.
"""

from __future__ import annotations

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import describe, flow_context
from hbids.facts import ABSENT, Direction, Facts, Finding, Kind, Verdict
from hbids.measures import is_sealed, is_short_sealed

__all__ = ["SealedDetector"]

TOO_SMALL, NOT_NEGOTIATED = 1016200, 1016011


class SealedDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """What is legal is not a matter of degree."""

    def update(self, facts: Facts) -> list[Finding]:
        """Judge every sealed request of this step."""
        heartbeats = facts.heartbeats
        asked = (heartbeats["is_final"] == 1) & (heartbeats["kind"] == Kind.REQUEST) & is_sealed(heartbeats)
        rows = heartbeats[asked]
        short = is_short_sealed(rows)
        findings = []
        for index in np.flatnonzero(short | (rows["heartbeat_accepted"] == ABSENT)):
            row = rows[index]
            direction = Direction(int(row["direction"]))
            sid = TOO_SMALL if short[index] else NOT_NEGOTIATED
            findings.append(
                Finding(
                    sid, int(row["end_time_ns"]), flow_context(row), direction, direction, Verdict.PROBED, describe(row)
                )
            )
        return findings
