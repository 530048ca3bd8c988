"""Heartbeat records of one flow (RFC 6520 section 4): which of them make up a message, and what kind it is.

Every clear request is one record, whatever it claims: a vulnerable peer reads each record as a message of its own. A
long answer comes in several records, of which only the first has a header; what follows is raw memory and must never
be read as a header, yet nobody may hide a request behind a claimed answer. So a record continues an answer only where
a peer that cuts at its fragment size would have cut, and only an answer to a request that was asked (or could not be
seen).

In DTLS each record is a message, of an answer too (RFC 6520 section 4).

Sealed heartbeats do not show their type. One that comes while requests of the other side are unanswered is an answer,
and so is a full-size record of a server whose client's requests could not be seen. After a full-size record the next
one continues the answer: if it is larger than its request already, unless the record looks more like the answer to
another one; if it is an echo so far, only where nothing came between and nobody waits.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from hbids.decode.reference.heartbeat_message import (
    HEADER_BYTES,
    NO_REQUEST,
    PADDING_BYTES,
    TYPE_REQUEST,
    TYPE_RESPONSE,
    Message,
    Opening,
    Request,
)
from hbids.decode.reference.heartbeat_pairing import Pairing
from hbids.decode.reference.run import Run
from hbids.facts import ABSENT, NEVER_NS, Kind, Phase, Protection

__all__ = ["NO_RECORD", "Heartbeats", "LastRecord"]

HEARTBEATS_BYTES = 512
"""What the native engine needs for the messages of a flow, beside requests that wait."""


class LastRecord(NamedTuple):
    """A record of another type than heartbeats. The larger of two is the last."""

    began_ns: int
    content_type: int


NO_RECORD = LastRecord(NEVER_NS, 0)


class HeartbeatFlow(Protocol):
    """What messages need of their flow."""

    messages_span_records: bool
    """Whether a message may be cut into several records."""

    @property
    def fragment_bytes(self) -> int:
        """Largest plaintext of a record."""

    def protection(self, side: int) -> Protection | None:
        """Whether this side has begun to seal; None when the flow was joined too late to tell."""

    def phase(self) -> Phase:
        """Where the session stands."""

    def may_have_missed(self, side: int) -> bool:
        """Whether requests of this side could be missing from the capture."""

    def is_client(self, side: int) -> bool:
        """Whether this side is the client, as far as is known."""

    def emit_heartbeat(self, side: int, message: Message, *, is_final: bool) -> None:
        """Write a row."""


class Heartbeats:
    """The messages of both directions; told of every record of type 24."""

    def __init__(self, run: Run, flow: HeartbeatFlow) -> None:
        self._run = run
        self._flow = flow
        self._openings: list[Opening | None] = [None, None]
        self._messages: list[Message | None] = [None, None]
        self._record_left = [0, 0]
        self._pairing = Pairing(run)
        self.counts = [0, 0]
        self._has_begun = False
        self.last_records = [NO_RECORD, NO_RECORD]
        """Since the first heartbeat: what shows whether a side that does not answer is alive."""

    def held_bytes(self) -> int:
        """From the first record on."""
        return (HEARTBEATS_BYTES if self._has_begun else 0) + self._pairing.held_bytes()

    def add(self, other: Heartbeats) -> None:
        """A session on the same flow is over: what of it was counted stays."""
        self._has_begun = self._has_begun or other._has_begun
        for side in (0, 1):
            self.counts[side] += other.counts[side]
            self.last_records[side] = max(self.last_records[side], other.last_records[side])

    def record_began(self, side: int, version: int, length: int, began_ns: int) -> None:
        """A header of type 24."""
        self._has_begun = True
        self._record_left[side] = length
        message = self._messages[side]
        if message is not None:
            if self._continues(side, message, length):
                message.records += 1
                message.bytes_claimed += length
                message.last_record_length = length
                return
            self._finish(side)
        self._openings[side] = Opening(began_ns, self._run.time_ns, version, length)
        if length == 0 or self._flow.protection(side) is Protection.SEALED:
            self._begin(side)

    def other_record_began(self, side: int, content_type: int, began_ns: int) -> None:
        """A header of another type."""
        if self._has_begun:
            self.last_records[side] = LastRecord(began_ns, content_type)
        message = self._messages[side]
        if message is not None:
            message.interrupted = True

    def record_body(self, side: int, data: bytes) -> None:
        """Some of its body."""
        self._record_left[side] -= len(data)
        opening = self._openings[side]
        if opening is not None:
            missing = min(HEADER_BYTES, opening.length) - len(opening.head)
            before = len(opening.head)
            opening.head += data[:missing]
            opening.end_time_ns = self._run.time_ns
            if len(data) < missing:
                return
            self._begin(side)
            self._add(side, before + len(data))
        else:
            self._add(side, len(data))

    def record_gap(self, side: int, length: int) -> None:
        """Some of its body is missing."""
        self._record_left[side] -= length
        self._begin_with_what_is_there(side)
        message = self._messages[side]
        if message is not None:
            message.gap = True

    def record_ended(self, side: int) -> None:
        """The body is over: so is the message, unless it may go on in another record."""
        message = self._messages[side]
        if message is None:
            return
        if message.is_open(self._flow.fragment_bytes):
            self._report_early(side, message)
        else:
            self._finish(side)

    def lost_place(self, side: int) -> None:
        """Records may be missing from here on."""
        message = self._messages[side]
        if message is not None:
            message.gap = message.lost_place = True

    def end(self) -> None:
        """The flow is over."""
        for side in (0, 1):
            self._begin_with_what_is_there(side)
            self._finish(side)

    def _continues(self, side: int, message: Message, length: int) -> bool:
        sealed = self._flow.protection(side) is Protection.SEALED
        if sealed != (message.protection is Protection.SEALED) or not message.is_open(self._flow.fragment_bytes):
            return False
        return message.continues_with(length) and not (sealed and self._begins_anew(side, message, length))

    def _begins_anew(self, side: int, message: Message, length: int) -> bool:
        """Whether a sealed record that could continue this answer is rather a message of its own."""
        waiting = self._pairing.waiting(1 - side)
        if not message.exceeds_request:
            late = self._run.time_ns - message.end_time_ns > self._run.limits.answer_wait_ns
            return bool(waiting) or message.interrupted or late
        return any(
            request.record_length == length < self._flow.fragment_bytes
            or length > request.record_length + PADDING_BYTES
            for request in waiting
        )

    def _begin_with_what_is_there(self, side: int) -> None:
        opening = self._openings[side]
        if opening is not None:
            self._begin(side)
            message = self._messages[side]
            assert message is not None
            message.bytes_seen = len(opening.head)

    def _begin(self, side: int) -> None:
        opening = self._openings[side]
        assert opening is not None
        self._openings[side] = None
        protection = self._flow.protection(side) or opening.guess_protection()
        fragment_bytes = self._flow.fragment_bytes
        message_type = claimed = ABSENT
        request, beginning_lost = NO_REQUEST, False
        if protection is Protection.CLEAR:
            if opening.head:
                message_type = opening.head[0]
            if len(opening.head) == HEADER_BYTES:
                claimed = int.from_bytes(opening.head[1:3], "big")
            kind = Kind.MALFORMED
            if opening.length >= HEADER_BYTES:
                kind = {TYPE_REQUEST: Kind.REQUEST, TYPE_RESPONSE: Kind.RESPONSE}.get(message_type, Kind.MALFORMED)
            if kind is Kind.RESPONSE:
                request = self._pairing.request_answered(side, claimed)
            elif kind is Kind.MALFORMED:
                if self._flow.messages_span_records and self._flow.may_have_missed(side):
                    request = self._pairing.request_of_lost_answer(side, opening.length, fragment_bytes)
                if request is not NO_REQUEST:
                    kind, claimed, beginning_lost = Kind.RESPONSE, request.claimed_length, True
        else:
            request = self._pairing.sealed_request_answered(side, opening.length, fragment_bytes)
            is_answer = request is not NO_REQUEST or self._answers_the_unseen(side, opening.length)
            kind = Kind.RESPONSE if is_answer else Kind.REQUEST
        message = Message(
            message_id=self._run.next_message_id(),
            time_ns=opening.time_ns,
            end_time_ns=opening.end_time_ns,
            kind=kind,
            protection=protection,
            phase=self._flow.phase(),
            message_type=message_type,
            claimed_length=claimed,
            record_version=opening.version,
            record_length=opening.length,
            request=request,
            may_continue=self._flow.messages_span_records
            and (request is not NO_REQUEST or self._flow.may_have_missed(1 - side)),
            bytes_seen=0,
            bytes_claimed=opening.length,
            last_record_length=opening.length,
            gap=beginning_lost,
            lost_place=beginning_lost,
        )
        self._messages[side] = message
        self.counts[side] += 1
        if kind is Kind.REQUEST or (kind is Kind.MALFORMED and message_type == TYPE_REQUEST):
            self._pairing.remember(side, Request(message.message_id, message.record_length, claimed, message.time_ns))

    def _answers_the_unseen(self, side: int, length: int) -> bool:
        """Whether a sealed record of a server answers a request that was not captured: no honest request is so long."""
        return (
            length >= self._flow.fragment_bytes
            and not self._flow.is_client(side)
            and self._flow.may_have_missed(1 - side)
        )

    def _add(self, side: int, length: int) -> None:
        message = self._messages[side]
        if message is None:
            return
        message.bytes_seen += length
        message.end_time_ns = self._run.time_ns
        if self._record_left[side] > 0:
            self._report_early(side, message)

    def _report_early(self, side: int, message: Message) -> None:
        if message.kind is Kind.RESPONSE and not message.reported_early and message.exceeds_request:
            message.reported_early = True
            self._flow.emit_heartbeat(side, message, is_final=False)

    def _finish(self, side: int) -> None:
        message, self._messages[side] = self._messages[side], None
        if message is not None:
            self._flow.emit_heartbeat(side, message, is_final=True)
