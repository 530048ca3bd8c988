"""What rows of heartbeats mean in bytes: over-read and leak. Every number an alert or a summary states comes from here.

All functions take an array of :data:`~hbids.facts.HEARTBEAT_DTYPE`, shape (n,), and return int64 or bool of shape (n,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hbids.facts import ABSENT, NO_MESSAGE, Answer, Kind, Protection, Rows
from hbids.suites import MAX_PLAINTEXT_BYTES, Sealing, sealing_of

__all__ = [
    "answers_what_must_be_discarded",
    "breaks_rfc_6520",
    "is_sealed",
    "is_short_sealed",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "overread_bytes",
    "smallest_sealed_record",
    "unasked_bytes_estimated",
]

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HEADER_BYTES = 3
"""Type and payload_length (RFC 6520 section 4)."""
PADDING_BYTES = 16
"""The least padding of a legal message (RFC 6520 section 4)."""

LARGEST_HONEST_PAYLOAD = 1_024
"""OpenSSL sends 18 bytes, GnuTLS 284; no honest heartbeat over TLS was seen to come near this."""

GUESSED_SEALING = Sealing(24, 0, 1)
"""For sessions whose suite was not seen: AES-GCM, the most common by far."""


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
    answers = is_sealed(heartbeats) & (heartbeats["kind"] == Kind.RESPONSE)
    answers &= heartbeats["answers_message"] != NO_MESSAGE
    for index in np.flatnonzero(answers):
        row = heartbeats[index]
        sealing = _sealing(row) or GUESSED_SEALING
        request = sealing.plaintext_bytes(int(row["request_record_length"]))
        leaked[index] = max(0, _answer_plaintext(row, sealing) - request - PADDING_BYTES)
        if request == MAX_PLAINTEXT_BYTES:  # known exactly, while the answer's last block may hold padding
            leaked[index] = max(0, leaked[index] - (sealing.block - 1))
    return leaked


def unasked_bytes_estimated(heartbeats: Rows) -> Integers:
    """Memory in an answer whose request was not seen, estimated: the whole payload, since the tools of harm send next
    to none of their own. 0 where an honest heartbeat could be as large (:data:`LARGEST_HONEST_PAYLOAD`)."""
    answers = (heartbeats["kind"] == Kind.RESPONSE) & (heartbeats["answers_message"] == NO_MESSAGE)
    seen = heartbeats["bytes_seen"].astype(np.int64)
    payload = np.minimum(heartbeats["claimed_length"], seen - HEADER_BYTES)
    for index in np.flatnonzero(answers & is_sealed(heartbeats)):
        row = heartbeats[index]
        payload[index] = _answer_plaintext(row, _sealing(row) or GUESSED_SEALING) - HEADER_BYTES - PADDING_BYTES
    return np.where(answers & (payload > LARGEST_HONEST_PAYLOAD), payload, 0)


def smallest_sealed_record(row: np.void) -> int | None:
    """The least record length of a legal sealed heartbeat under what the row's session negotiated; None if unknown."""
    sealing = _sealing(row)
    return sealing.record_bytes(HEADER_BYTES + PADDING_BYTES) if sealing else None


def is_short_sealed(heartbeats: Rows) -> Flags:
    """Sealed requests in records too small to hold a legal heartbeat."""
    flags: Flags = is_sealed(heartbeats) & (heartbeats["kind"] == Kind.REQUEST)
    for index in np.flatnonzero(flags):
        least = smallest_sealed_record(heartbeats[index])
        flags[index] = least is not None and heartbeats["record_length"][index] < least
    return flags


def answers_what_must_be_discarded(heartbeats: Rows) -> Flags:
    """Answers to requests that RFC 6520 section 4 orders to discard silently: too short for their claim, or of a claim
    whose answer takes more than a record, which no heartbeat may."""
    answers = (heartbeats["kind"] == Kind.RESPONSE) & (heartbeats["answers_message"] != NO_MESSAGE)
    sealed = is_sealed(heartbeats)
    request_length = heartbeats["request_record_length"].astype(np.int64)
    least = HEADER_BYTES + np.maximum(0, heartbeats["request_claimed_length"].astype(np.int64)) + PADDING_BYTES
    flags: Flags = answers & ((~sealed & (request_length < least)) | (heartbeats["records"] > 1))
    for index in np.flatnonzero(answers & sealed):
        smallest = smallest_sealed_record(heartbeats[index])
        flags[index] |= smallest is not None and request_length[index] < smallest
    return flags


def _sealing(row: np.void) -> Sealing | None:
    return sealing_of(int(row["cipher_suite"]), int(row["tls_version"]), Answer(int(row["encrypt_then_mac"])))


def _answer_plaintext(row: np.void, sealing: Sealing) -> int:
    """All records but the last are as long as the first."""
    first, records, seen = int(row["record_length"]), int(row["records"]), int(row["bytes_seen"])
    before_last = first * (records - 1)
    if row["gap"] or seen < before_last:  # some records are not whole: take every record's share off the total
        return max(0, min(seen - records * (first - sealing.plaintext_bytes(first)), records * MAX_PLAINTEXT_BYTES))
    return sealing.plaintext_bytes(first) * (records - 1) + sealing.plaintext_bytes(seen - before_last)
