"""What rows of heartbeats mean in bytes: over-read and leak. Every number an alert or a summary states comes from here.

All functions take an array of :data:`~hbids.facts.HEARTBEAT_DTYPE`, shape (n,), and return int64 or bool of shape (n,);
:class:`Measured` works each out once for all who ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hbids.facts import ABSENT, NO_MESSAGE, Answer, Kind, Protection, Rows
from hbids.keyed import Flags, Integers
from hbids.parties import Parties, of_heartbeats
from hbids.suites import MAX_PLAINTEXT_BYTES, Sealing, sealing_of

__all__ = [
    "Measured",
    "answers_what_must_be_discarded",
    "breaks_rfc_6520",
    "is_sealed",
    "is_short_sealed",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "overread_bytes",
    "smallest_sealed_records",
    "unasked_bytes_estimated",
]

HEADER_BYTES = 3
"""Type and payload_length (RFC 6520 section 4)."""
PADDING_BYTES = 16
"""The least padding of a legal message (RFC 6520 section 4)."""

LARGEST_HONEST_PAYLOAD = 1_024
"""OpenSSL sends 18 bytes, GnuTLS 284; no honest heartbeat over TLS was seen to come near this."""

GUESSED_SEALING = Sealing(24, 0, 1)
"""For sessions whose suite was not seen: AES-GCM, the most common by far."""


class Measured:
    """Rows of heartbeats with what they mean, each measure worked out when it is first asked for."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    @cached_property
    def final(self) -> Flags:
        """Messages that have ended."""
        return np.asarray(self.rows["is_final"] == 1)

    @cached_property
    def answers(self) -> Flags:
        """Not requests, nor malformed."""
        return np.asarray(self.rows["kind"] == Kind.RESPONSE)

    @cached_property
    def sealed(self) -> Flags:
        """See :func:`is_sealed`."""
        return is_sealed(self.rows)

    @cached_property
    def overread(self) -> Integers:
        """See :func:`overread_bytes`."""
        return overread_bytes(self.rows)

    @cached_property
    def broken(self) -> Flags:
        """Requests that no honest peer sends: :func:`breaks_rfc_6520` and :func:`is_short_sealed`."""
        broken = breaks_rfc_6520(self.rows)
        return broken | is_short_sealed(self.rows) if self.sealed.any() else broken

    @cached_property
    def suspicious(self) -> Flags:
        """Requests that are broken, or sent where the extension was not agreed on; messages that have ended."""
        flags: Flags = self.final & ~self.answers & (self.broken | (self.rows["heartbeat_accepted"] == ABSENT))
        return flags

    @cached_property
    def leaked(self) -> Integers:
        """See :func:`leaked_bytes`."""
        return leaked_bytes(self.rows)

    @cached_property
    def leaked_estimated(self) -> Integers:
        """See :func:`leaked_bytes_estimated`. A row leaks by this or by :attr:`leaked`, never by both."""
        return leaked_bytes_estimated(self.rows)

    @cached_property
    def leaks(self) -> Flags:
        """Answers that gave memory away, also such as go on."""
        return np.asarray((self.leaked > 0) | (self.leaked_estimated > 0))

    @cached_property
    def betraying(self) -> Flags:
        """Answers that have ended and gave no memory away, but tell of something: that a peer is not patched, or that
        somebody asked who was not captured."""
        harmless = np.flatnonzero(self.final & self.answers & ~self.leaks)
        rows = self.rows[harmless]
        unasked = (rows["answers_message"] == NO_MESSAGE) & ~is_sealed(rows)
        betraying = np.zeros(len(self.rows), bool)
        betraying[harmless] = unasked | answers_what_must_be_discarded(rows)
        return betraying

    @cached_property
    def parties(self) -> Parties:
        """Victim and source of each row."""
        return of_heartbeats(self.rows)


def is_sealed(heartbeats: Rows) -> Flags:
    """Messages whose bytes cannot be read."""
    return np.asarray(heartbeats["protection"] == Protection.SEALED)


def overread_bytes(heartbeats: Rows) -> Integers:
    """How much memory beyond itself a clear request asks for: ``max(0, 3 + claimed - record length)``."""
    asks = (heartbeats["kind"] == Kind.REQUEST) & (heartbeats["claimed_length"] != ABSENT)
    beyond = HEADER_BYTES + heartbeats["claimed_length"].astype(np.int64) - heartbeats["record_length"]
    return np.where(asks, np.maximum(0, beyond), 0)


def breaks_rfc_6520(heartbeats: Rows) -> Flags:
    """Clear requests that no honest peer sends: less than 16 bytes of padding, or no whole header."""
    claimed = heartbeats["claimed_length"].astype(np.int64)
    asks = (heartbeats["kind"] == Kind.REQUEST) & (claimed != ABSENT)
    padded = HEADER_BYTES + claimed + PADDING_BYTES <= heartbeats["record_length"]
    return np.asarray((asks & ~padded) | (heartbeats["kind"] == Kind.MALFORMED))


def leaked_bytes(heartbeats: Rows) -> Integers:
    """Memory in a clear answer, exactly: what came back beyond what the requester had sent itself,
    ``max(0, min(claimed, answer bytes seen - 3) - (request record length - 3))``. 0 for an answer whose request was not
    seen."""
    answers = (heartbeats["kind"] == Kind.RESPONSE) & ~is_sealed(heartbeats)
    answers &= heartbeats["answers_message"] != NO_MESSAGE
    came = np.minimum(heartbeats["claimed_length"], heartbeats["bytes_seen"].astype(np.int64) - HEADER_BYTES)
    sent = np.maximum(0, heartbeats["request_record_length"].astype(np.int64) - HEADER_BYTES)
    return np.where(answers, np.maximum(0, came - sent), 0)


def leaked_bytes_estimated(heartbeats: Rows) -> Integers:
    """Memory in a sealed answer, estimated: ``max(0, answer plaintext - request plaintext - 16)``, plaintext being
    record bytes less what the suite adds. Exact for AEAD and stream suites if the request had no padding; within a
    block for CBC, and rather too small where the request fills its record. Of an answer whose request was
    not seen, see :func:`unasked_bytes_estimated`."""
    leaked = unasked_bytes_estimated(heartbeats)
    sealed = np.flatnonzero(is_sealed(heartbeats) & _are_answers(heartbeats, asked=True))
    if len(sealed):
        rows = heartbeats[sealed]
        sealings = _sealings(rows)
        request = sealings.plaintext_bytes(rows["request_record_length"])
        # A full request is known exactly, while the last block of its answer may hold padding.
        slack = np.where(request == MAX_PLAINTEXT_BYTES, sealings.block - 1, 0)
        leaked[sealed] = np.maximum(0, sealings.answer_plaintext(rows) - request - PADDING_BYTES - slack)
    return leaked


def unasked_bytes_estimated(heartbeats: Rows) -> Integers:
    """Memory in an answer whose request was not seen, estimated: the whole payload, since the tools of harm send next
    to none of their own. 0 where an honest heartbeat could be as large (:data:`LARGEST_HONEST_PAYLOAD`)."""
    answers = _are_answers(heartbeats, asked=False)
    seen = heartbeats["bytes_seen"].astype(np.int64)
    payload = np.minimum(heartbeats["claimed_length"], seen - HEADER_BYTES)
    sealed = np.flatnonzero(answers & is_sealed(heartbeats))
    if len(sealed):
        rows = heartbeats[sealed]
        payload[sealed] = _sealings(rows).answer_plaintext(rows) - HEADER_BYTES - PADDING_BYTES
    return np.where(answers & (payload > LARGEST_HONEST_PAYLOAD), payload, 0)


def smallest_sealed_records(heartbeats: Rows) -> Integers:
    """The least record lengths of a legal sealed heartbeat under what the rows' sessions negotiated; 0 if unknown."""
    sealings = _sealings(heartbeats)
    return np.where(sealings.known, sealings.record_bytes(HEADER_BYTES + PADDING_BYTES), 0)


def is_short_sealed(heartbeats: Rows) -> Flags:
    """Sealed requests in records too small to hold a legal heartbeat."""
    flags: Flags = is_sealed(heartbeats) & (heartbeats["kind"] == Kind.REQUEST)
    sealed = np.flatnonzero(flags)
    if len(sealed):
        rows = heartbeats[sealed]
        flags[sealed] = rows["record_length"] < smallest_sealed_records(rows)
    return flags


def answers_what_must_be_discarded(heartbeats: Rows) -> Flags:
    """Answers to requests that RFC 6520 section 4 orders to discard silently: too short for their claim, or of a claim
    whose answer takes more than a record, which no heartbeat may."""
    answers = _are_answers(heartbeats, asked=True)
    request_length = np.maximum(0, heartbeats["request_record_length"].astype(np.int64))
    least = HEADER_BYTES + np.maximum(0, heartbeats["request_claimed_length"].astype(np.int64)) + PADDING_BYTES
    sealed = np.flatnonzero(answers & is_sealed(heartbeats))
    if len(sealed):
        least[sealed] = smallest_sealed_records(heartbeats[sealed])
    return np.asarray(answers & ((request_length < least) | (heartbeats["records"] > 1)))


def _are_answers(heartbeats: Rows, *, asked: bool) -> Flags:
    """Answers whose request was seen, or those whose request was not."""
    seen = heartbeats["answers_message"] != NO_MESSAGE
    return np.asarray((heartbeats["kind"] == Kind.RESPONSE) & (seen if asked else ~seen))


@dataclass(slots=True)
class _Sealings:
    """:class:`~hbids.suites.Sealing` of many rows; each array has shape (n,)."""

    before_and_after: Integers
    inside: Integers
    block: Integers
    known: Flags
    """False where the suite was not seen and :data:`GUESSED_SEALING` stands in."""

    def record_bytes(self, plaintext_bytes: int) -> Integers:
        """The smallest records that hold this much plaintext."""
        return self.before_and_after - -(plaintext_bytes + self.inside) // self.block * self.block

    def plaintext_bytes(self, record_bytes: npt.NDArray[np.integer]) -> Integers:
        """The most plaintext these records can hold; 0 when too small for any."""
        inside = record_bytes.astype(np.int64) - self.before_and_after - self.inside
        return np.asarray(np.clip(inside, 0, MAX_PLAINTEXT_BYTES))

    def answer_plaintext(self, rows: Rows) -> Integers:
        """All records of an answer but the last are as long as the first."""
        first, seen = rows["record_length"].astype(np.int64), rows["bytes_seen"].astype(np.int64)
        records = rows["records"].astype(np.int64)
        in_first, before_last = self.plaintext_bytes(first), first * (records - 1)
        whole = in_first * (records - 1) + self.plaintext_bytes(seen - before_last)
        # Some records are not whole: every record's share is taken off the total.
        damaged = np.clip(seen - records * (first - in_first), 0, records * MAX_PLAINTEXT_BYTES)
        return np.where((rows["gap"] == 1) | (seen < before_last), damaged, whole)


def _sealings(rows: Rows) -> _Sealings:
    """What the rows' sessions negotiated, which is but a few different things."""
    negotiated = rows["cipher_suite"].astype(np.int64) << 32 | rows["tls_version"].astype(np.int64) << 8
    encrypt_then_mac = rows["encrypt_then_mac"].astype(np.int64)
    encrypt_then_mac[encrypt_then_mac > max(Answer)] = Answer.UNKNOWN  # rows may come from files
    kinds, of = np.unique(negotiated | encrypt_then_mac, return_inverse=True)
    found = [sealing_of(kind >> 32, kind >> 8 & 0xFFFF, Answer(kind & 0xFF)) for kind in kinds.tolist()]
    numbers = np.array([[s.before_and_after, s.inside, s.block] for s in (f or GUESSED_SEALING for f in found)])
    before_and_after, inside, block = numbers.reshape(-1, 3)[of].T
    return _Sealings(before_and_after, inside, block, np.array([f is not None for f in found], bool)[of])
