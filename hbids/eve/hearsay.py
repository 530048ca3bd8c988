"""Heartbeats of which EVE shows no byte: an alert says that one was asked for, and counters what went out after it.

So it is with Suricata as it comes, without the rules and settings of hbids. The rows say the least that must have been:
a request that claims one byte more than it carries (or as much, where only its padding is too short), and an answer as
large as what the server sent from the alert on, less the headers of its packets. Whoever tells of them leaves out the
lengths that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbids.eve.flows import TCP, FlowCounts
from hbids.eve.rows import place
from hbids.facts import (
    ABSENT,
    HEARTBEAT_DTYPE,
    NO_SUITE,
    NOT_SEEN,
    Direction,
    Kind,
    Protection,
    Transport,
)
from hbids.measures import unasked_bytes_estimated

if TYPE_CHECKING:
    from hbids.eve.flows import FlowKey
    from hbids.eve.hello import TlsSession
    from hbids.eve.told import ToldFlow
    from hbids.facts import Rows

__all__ = ["ASKED", "EVENTS", "INVALID", "LEAKED", "UNKNOWN_LENGTHS", "rows_of", "sent_bytes"]

ASKED = (2230012, 2018372, 2018375, 2018376, 2018388, 2018389, 2021023)
"""Alerts of requests that claim too much: of Suricata itself, and of the Emerging Threats rules."""
LEAKED = (2230014, 2018373, 2018374, 2018377, 2018378, 2018382, 2018383, 2021024)
"""Alerts of answers that are too large."""
INVALID = (2230013,)
"""Alerts of requests without the padding that belongs to them, or beside another that waits for its answer."""
EVENTS = frozenset((*ASKED, *LEAKED, *INVALID, 2230011))
UNKNOWN_LENGTHS = (
    "claimed_length",
    "present_length",
    "overread",
    "record_length",
    "request_bytes",
    "answer_records",
    "sealed",
)
"""What rows made here do not know, though they have to say something."""

_HEADER_BYTES = {4: 14 + 20 + 32, 6: 14 + 40 + 32}
"""Of Ethernet, IP, and TCP with timestamps."""
_FULL_RECORD_BYTES = 16_384


def sent_bytes(key: FlowKey, before: FlowCounts, after: FlowCounts) -> int:
    """What the server sent between two counts, retransmissions included, without headers."""
    packets = max(0, after.packets_to_client - before.packets_to_client)
    header_bytes = _HEADER_BYTES[6 if ":" in key.client[0] else 4]
    return max(0, after.bytes_to_client - before.bytes_to_client - packets * header_bytes)


def rows_of(told: ToldFlow, flow_id: int, end_ns: int) -> list[Rows]:
    """What must have been on a flow over TCP that is over, of which nothing was shown; numbered from ``flow_id``. Where
    Suricata did not say what had gone out before, only its own word that an answer was too large makes one."""
    conversation = told.conversation
    key, tls = conversation.key, conversation.tls
    if key.protocol != TCP:
        return []
    rows = []
    before = conversation.counts_then or FlowCounts(told.first.start_ns)
    asked_ns = max(told.first.start_ns, min(conversation.start_ns, end_ns))
    if conversation.said_overflow or conversation.said_invalid:
        request = _request_row(key, told.vlan, flow_id, before, tls, asked_ns)
        request["claimed_length"] = int(conversation.said_overflow)
        rows.append(request)
    if conversation.said_leak or (conversation.said_overflow and conversation.counts_then):
        counts, times_ns = (before, told.latest), (asked_ns, max(asked_ns, end_ns))
        answer = _answer_row(key, told.vlan, flow_id, counts, tls, times_ns)
        if unasked_bytes_estimated(answer)[0]:
            rows.append(answer)
    return rows


def _request_row(
    key: FlowKey, vlan: tuple[int, ...], flow_id: int, counts: FlowCounts, session: TlsSession | None, time_ns: int
) -> Rows:
    """A request that no honest client sends, as a row of :data:`~hbids.facts.HEARTBEAT_DTYPE`, shape (1,)."""
    row = _row(key, vlan, flow_id, counts, session)
    row["message_id"] = flow_id
    row["direction"], row["kind"], row["protection"] = Direction.TO_SERVER, Kind.REQUEST, Protection.CLEAR
    row["time_ns"] = row["end_time_ns"] = time_ns
    row["message_type"], row["record_length"], row["bytes_seen"] = 1, 3, 3
    row["payload_present"] = row["padding_present"] = 0
    row["records"] = 1
    return row


def _answer_row(
    key: FlowKey,
    vlan: tuple[int, ...],
    flow_id: int,
    counts: tuple[FlowCounts, FlowCounts],
    session: TlsSession | None,
    times_ns: tuple[int, int],
) -> Rows:
    """What the server sent between two counts, as an answer of which only the size is known; shape (1,)."""
    row = _row(key, vlan, flow_id, counts[0], session)
    sent = sent_bytes(key, *counts)
    row["message_id"] = flow_id + 1
    row["direction"], row["kind"], row["protection"] = Direction.TO_CLIENT, Kind.RESPONSE, Protection.SEALED
    row["time_ns"], row["end_time_ns"] = times_ns
    row["message_type"] = row["claimed_length"] = row["payload_present"] = row["padding_present"] = ABSENT
    row["record_length"], row["bytes_seen"] = min(sent, _FULL_RECORD_BYTES), sent
    row["records"] = max(1, -(-sent // _FULL_RECORD_BYTES))
    return row


def _row(key: FlowKey, vlan: tuple[int, ...], flow_id: int, counts: FlowCounts, session: TlsSession | None) -> Rows:
    row = np.zeros(1, HEARTBEAT_DTYPE)
    place(row, key, vlan, flow_id)
    row["is_final"], row["transport"] = 1, Transport.TLS
    row["request_record_length"] = row["request_claimed_length"] = ABSENT
    row["cipher_suite"] = NO_SUITE
    row["tls_version"] = session.tls_version if session else 0
    row["heartbeat_accepted"] = session.heartbeat_accepted if session else NOT_SEEN
    row["flow_start_ns"] = counts.start_ns
    for name in ("packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client"):
        row[name] = getattr(counts, name)
    return row
