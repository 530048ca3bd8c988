"""A heartbeat message (RFC 6520 section 4) in the making, from the first bytes of its first record on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hbids.decode.reference.hello import FULL_FRAGMENT
from hbids.facts import ABSENT, NO_MESSAGE, Kind, Phase, Protection

__all__ = ["NO_REQUEST", "Message", "Opening", "Request"]

TYPE_REQUEST, TYPE_RESPONSE = 1, 2
HEADER_BYTES = 3  # type and payload_length
PADDING_BYTES = 16
SMALLEST_FRAGMENT = 512  # RFC 6066 section 4; OpenSSL allows no smaller fragment either
SMALLEST_SEALED_BYTES = 35  # RC4-MD5 around 19 bytes, the smallest legal heartbeat of any suite


class Request(NamedTuple):
    """What is remembered of a request until its answer comes."""

    message_id: int
    record_length: int
    claimed_length: int
    time_ns: int


NO_REQUEST = Request(NO_MESSAGE, ABSENT, ABSENT, 0)


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

    def guess_protection(self) -> Protection:
        """For a flow joined in mid-stream: clear when the bytes make sense as a header in a record too small to be
        sealed, or exactly as large as an answer or an honest message is."""
        if self.length == 0:
            return Protection.CLEAR
        if self.head[:1] not in (b"\x01", b"\x02"):
            return Protection.SEALED
        if self.length < SMALLEST_SEALED_BYTES or self.length == FULL_FRAGMENT:
            return Protection.CLEAR
        carried = self.length - HEADER_BYTES
        claimed = int.from_bytes(self.head[1:3], "big")
        return Protection.CLEAR if claimed in (carried, carried - PADDING_BYTES) else Protection.SEALED
