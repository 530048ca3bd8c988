"""Heartbeat messages of one flow (RFC 6520 section 4): which records make up a message, and which request it answers.

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

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hbids.decode.reference.run import Run
from hbids.facts import ABSENT, NEVER_NS, NO_MESSAGE, Kind, Phase, Protection

__all__ = ["NO_RECORD", "Heartbeats", "LastRecord", "Message"]

TYPE_REQUEST, TYPE_RESPONSE = 1, 2
HEADER_BYTES = 3  # type and payload_length
PADDING_BYTES = 16
SMALLEST_FRAGMENT = 512  # RFC 6066 section 4; OpenSSL allows no smaller fragment either
SMALLEST_SEALED_BYTES = 35  # RC4-MD5 around 19 bytes, the smallest legal heartbeat of any suite
FULL_FRAGMENT = 16_384
HEARTBEATS_BYTES, REQUEST_BYTES = 512, 64
"""What the native engine needs for the messages of a flow, and beside them for each waiting request."""


class Request(NamedTuple):
    """What is remembered of a request until its answer comes."""

    message_id: int
    record_length: int
    claimed_length: int
    time_ns: int


NO_REQUEST = Request(NO_MESSAGE, ABSENT, ABSENT, 0)


class LastRecord(NamedTuple):
    """A record of another type than heartbeats. The larger of two is the last."""

    began_ns: int
    content_type: int


NO_RECORD = LastRecord(NEVER_NS, 0)


@dataclass(slots=True)
class Message:
    """A message in the making."""

    message_id: int
    time_ns: int
    end_time_ns: int
    kind: Kind
    protection: Protection
    phase: Phase
    message_type: int
    claimed_length: int
    record_version: int
    record_length: int
    request: Request
    may_continue: bool
    """The request was seen, or could have been missed: later records may belong to this answer."""
    bytes_seen: int
    records: int = 1
    gap: bool = False
    lost_place: bool = False
    reported_early: bool = False
    bytes_claimed: int = 0
    """By the headers of all its records."""
    last_record_length: int = 0
    interrupted: bool = False
    """A record of another kind came behind it."""

    @property
    def exceeds_request(self) -> bool:
        """The answer has more than was sent, beyond what legal padding explains."""
        sent = self.request.record_length
        if sent == ABSENT:
            return False
        if self.protection is Protection.SEALED:
            return self.bytes_seen > sent + PADDING_BYTES
        return min(self.claimed_length, self.bytes_seen - HEADER_BYTES) > max(0, sent - HEADER_BYTES)

    def left_bytes(self) -> int:
        """What a clear answer still owes: header, claimed payload and padding less the records so far."""
        return HEADER_BYTES + self.claimed_length + PADDING_BYTES - self.bytes_claimed

    def is_open(self, fragment_bytes: int) -> bool:
        """Between records: whether another record may belong to this message."""
        if self.kind is not Kind.RESPONSE or not self.may_continue:
            return False
        if self.protection is Protection.SEALED:
            return self.last_record_length == self.record_length >= fragment_bytes
        return self.claimed_length != ABSENT and self.record_length >= SMALLEST_FRAGMENT and self.left_bytes() > 0

    def continues_with(self, length: int) -> bool:
        """Whether an open message's next record would have this length."""
        if self.protection is Protection.SEALED:
            return length <= self.record_length
        left = self.left_bytes()
        if self.lost_place:  # records may be missing: any cut of the same answer will do
            whole = HEADER_BYTES + self.claimed_length + PADDING_BYTES
            return length <= left and length in (self.record_length, whole % self.record_length)
        return length == min(left, self.record_length)


@dataclass(slots=True)
class Opening:
    """A heartbeat record of which too little has come to say what it is."""

    time_ns: int
    end_time_ns: int
    version: int
    length: int
    head: bytes = b""


class HeartbeatFlow(Protocol):
    """What messages need of their flow."""

    fragment_bytes: int
    """Largest plaintext of a record."""
    messages_span_records: bool
    """Whether a message may be cut into several records."""

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
        self._pending: tuple[deque[Request], deque[Request]] = (deque(), deque())
        self.counts = [0, 0]
        self._has_begun = False
        self.last_records = [NO_RECORD, NO_RECORD]
        """Since the first heartbeat: what shows whether a side that does not answer is alive."""

    def held_bytes(self) -> int:
        """From the first record on."""
        return (HEARTBEATS_BYTES if self._has_begun else 0) + sum(map(len, self._pending)) * REQUEST_BYTES

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
        waiting = self._waiting(1 - side)
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
        protection = self._flow.protection(side) or guess_protection(opening)
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
                request = self._request_answered(side, claimed)
            elif kind is Kind.MALFORMED:
                request = self._request_of_lost_answer(side, opening.length)
                if request is not NO_REQUEST:
                    kind, claimed, beginning_lost = Kind.RESPONSE, request.claimed_length, True
        else:
            request = self._sealed_request_answered(side, opening.length)
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
            self._remember(side, Request(message.message_id, message.record_length, claimed, message.time_ns))

    def _request_answered(self, side: int, claimed: int) -> Request:
        """The request this clear answer echoes: same claim, else one whose claim could not be read, else the oldest."""
        pending = self._pending[1 - side]
        for wanted in (claimed, ABSENT):
            for index, request in enumerate(pending):
                if request.claimed_length == wanted:
                    del pending[index]
                    return request
        return pending.popleft() if pending else NO_REQUEST

    def _request_of_lost_answer(self, side: int, length: int) -> Request:
        """Of a record that is no message: the request to whose answer it belongs, if the beginning of an answer may be
        lost and one that was asked for would be cut so."""
        fragment = self._flow.fragment_bytes
        if not (self._flow.messages_span_records and self._flow.may_have_missed(side)):
            return NO_REQUEST
        pending = self._pending[1 - side]
        for request in pending:
            whole = HEADER_BYTES + request.claimed_length + PADDING_BYTES
            if whole > fragment and length in (fragment, whole % fragment):
                pending.remove(request)
                return request
        return NO_REQUEST

    def _sealed_request_answered(self, side: int, length: int) -> Request:
        """The waiting request this sealed answer echoes: an honest one is as long. Else the smallest, so that a large
        decoy which nobody answers does not make a leak look like an echo."""
        waiting = self._waiting(1 - side)
        if not waiting:
            return NO_REQUEST
        echoed = (request for request in waiting if request.record_length == length < self._flow.fragment_bytes)
        request = next(echoed, None) or min(waiting, key=lambda request: request.record_length)
        waiting.remove(request)
        return request

    def _answers_the_unseen(self, side: int, length: int) -> bool:
        """Whether a sealed record of a server answers a request that was not captured: no honest request is so long."""
        return (
            length >= self._flow.fragment_bytes
            and not self._flow.is_client(side)
            and self._flow.may_have_missed(1 - side)
        )

    def _waiting(self, side: int) -> deque[Request]:
        """This side's requests that a sealed record may still answer."""
        pending = self._pending[side]
        while pending and self._run.time_ns - pending[0].time_ns > self._run.limits.pending_wait_ns:
            pending.popleft()
        return pending

    def _remember(self, side: int, request: Request) -> None:
        pending = self._pending[side]
        if len(pending) >= self._run.limits.pending_requests:
            pending.popleft()
            self._run.counters["pending_requests_dropped"] += 1
        pending.append(request)

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


def guess_protection(opening: Opening) -> Protection:
    """For a flow joined in mid-stream: clear when the bytes make sense as a header in a record too small to be sealed,
    or exactly as large as an answer or an honest message is."""
    if opening.length == 0:
        return Protection.CLEAR
    if opening.head[:1] not in (b"\x01", b"\x02"):
        return Protection.SEALED
    if opening.length < SMALLEST_SEALED_BYTES or opening.length == FULL_FRAGMENT:
        return Protection.CLEAR
    carried = opening.length - HEADER_BYTES
    claimed = int.from_bytes(opening.head[1:3], "big")
    return Protection.CLEAR if claimed in (carried, carried - PADDING_BYTES) else Protection.SEALED
