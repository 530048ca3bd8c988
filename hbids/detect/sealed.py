"""Sealed requests that cannot be honest.

What it sees
    A sealed heartbeat in a record smaller than any legal heartbeat under the negotiated cipher suite (1016200): 3 bytes
    of header and 16 of padding must fit. So are caught, with no answer needed, titanous' heartbleeder and zgrab. A
    sealed heartbeat on a session that never agreed to the extension (1016011), as FiloSottile's checker sends. And
    requests that fill their records, sent while another such is unanswered (1016212), once a connection.
Why it matters
    After the handshake neither type nor claim can be read; size and negotiation are what is left to see. Whoever pads
    his request to a full record, and sends others along for each record of the answer, makes the answer look like
    echoes; but no honest peer has two requests in flight (RFC 6520 section 4).
Evidence
    Record length, cipher suite and version of the session: AES-GCM 43, ChaCha20-Poly1305 35, AES-CBC-SHA 64 (48 under
    TLS 1.0), 3DES 48 (40), RC4-SHA 39, RC4-MD5 35, AES-CBC-SHA256 80, AES-CBC-SHA384 96 bytes at least.
Limits
    A lie in a record of honest size looks honest; its answer does not (see the leak detector). Nothing is said of sizes
    when the suite was not captured, nor of anything under TLS 1.3, which hides the content type.
"""

from __future__ import annotations

import numpy as np

from hbids.config import Thresholds
from hbids.detect.common import Remembered, describe, flow_context, opposite
from hbids.facts import ABSENT, Direction, Facts, Finding, Kind, Rows, Verdict
from hbids.measures import is_sealed, is_short_sealed
from hbids.suites import MAX_PLAINTEXT_BYTES

__all__ = ["SealedDetector"]

TOO_SMALL, NOT_NEGOTIATED, IN_FLIGHT = 1016200, 1016011, 1016212
MOST_PER_FLOW = 64
"""Requests kept of one flow; as many as the decoder waits for."""


class SealedDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """What is legal is not a matter of degree."""
        self._full: Remembered[int, dict[int, int]] = Remembered()
        """By flow: times of requests that fill their records and wait for an answer, by message."""
        self._told: Remembered[int, None] = Remembered()

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
        return findings + self._crowded(heartbeats[(heartbeats["is_final"] == 1) & is_sealed(heartbeats)])

    def _crowded(self, rows: Rows) -> list[Finding]:
        """Judged at the answers, whose rows may come late: what was in flight is told by the times."""
        findings = []
        asks = (rows["kind"] == Kind.REQUEST) & (rows["record_length"] >= MAX_PLAINTEXT_BYTES)
        answers = (rows["kind"] == Kind.RESPONSE) & (rows["request_record_length"] >= MAX_PLAINTEXT_BYTES)
        for index in np.flatnonzero(asks | answers):
            row = rows[index]
            flow, time_ns = int(row["flow_id"]), int(row["time_ns"])
            waiting = self._full.get(flow) or {}
            if asks[index]:
                waiting[int(row["message_id"])] = time_ns
                if len(waiting) > MOST_PER_FLOW:
                    del waiting[next(iter(waiting))]
            elif waiting.pop(int(row["answers_message"]), None) is not None:
                in_flight = 1 + sum(asked_ns < time_ns for asked_ns in waiting.values())
                if in_flight > 1 and flow not in self._told:
                    self._told.put(flow, None)
                    findings.append(_crowd(row, in_flight))
            if waiting:
                self._full.put(flow, waiting)
            else:
                self._full.pop(flow)
        return findings


def _crowd(answer: np.void, in_flight: int) -> Finding:
    way = Direction(int(answer["direction"]))
    context = describe(answer) | {"requests": in_flight}
    return Finding(
        IN_FLIGHT, int(answer["end_time_ns"]), flow_context(answer), way, opposite(way), Verdict.PROBED, context
    )
