"""Rows of heartbeats, held back until the flow is known to be TLS."""

from __future__ import annotations

from hbids.decode.reference.heartbeat_message import HEADER_BYTES, Message
from hbids.decode.reference.run import Run
from hbids.facts import ABSENT

__all__ = ["HeartbeatRows", "message_fields"]

HELD_ROW_BYTES = 256
"""What the native engine needs for a row that is held back."""


class HeartbeatRows:
    """Of one session."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._held: list[bytes] = []

    def held_bytes(self) -> int:
        """What is held back."""
        return len(self._held) * HELD_ROW_BYTES

    def write(self, fields: dict[str, int | bytes], *, is_tls: bool) -> None:
        """Add a row, or hold it back."""
        writer = self._run.rows.heartbeats
        row = writer.pack(fields)
        if is_tls:
            writer.append(row)
        elif len(self._held) < self._run.limits.held_heartbeats:
            self._held.append(row)
        else:
            self._run.counters["held_heartbeats_dropped"] += 1

    def release(self) -> None:
        """It is TLS."""
        for row in self._held:
            self._run.rows.heartbeats.append(row)
        self._held = []

    def drop(self) -> None:
        """It is not, or nobody will know."""
        if self._held:
            self._run.counters["heartbeats_without_tls"] += len(self._held)
            self._held = []


def message_fields(message: Message) -> dict[str, int | bytes]:
    """Columns that say what the message is."""
    payload = padding = ABSENT
    if message.claimed_length != ABSENT:
        carried = max(0, message.bytes_seen - HEADER_BYTES)
        payload = min(message.claimed_length, carried)
        padding = carried - payload
    return {
        "time_ns": message.time_ns,
        "end_time_ns": message.end_time_ns,
        "message_id": message.message_id,
        "protection": message.protection,
        "kind": message.kind,
        "phase": message.phase,
        "gap": message.gap,
        "message_type": message.message_type,
        "record_version": message.record_version,
        "record_length": message.record_length,
        "bytes_seen": message.bytes_seen,
        "records": message.records,
        "claimed_length": message.claimed_length,
        "payload_present": payload,
        "padding_present": padding,
        "answers_message": message.request.message_id,
        "request_record_length": message.request.record_length,
        "request_claimed_length": message.request.claimed_length,
    }
