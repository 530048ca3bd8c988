"""Where in the bytes of a stream TLS begins, its handshake ends, and what its heartbeats look like."""

from __future__ import annotations

import re

from hbids.facts import Direction

__all__ = [
    "CHANGE_CIPHER_RECORD",
    "begins_answer",
    "handshake_end",
    "is_record",
    "looks_sealed",
    "lost_header",
    "made_records",
    "tls_start",
]

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, HEARTBEAT = 20, 21, 22, 24
_HEADER_BYTES = 5
_SMALLEST_SEALED_BYTES = 35
_FULL_FRAGMENT = 16_384
_PADDING_BYTES = 16
_HELLO = {
    Direction.TO_SERVER: re.compile(rb"\x16\x03[\x00-\x04]..\x01\x00", re.DOTALL),
    Direction.TO_CLIENT: re.compile(rb"\x16\x03[\x00-\x04]..\x02\x00", re.DOTALL),
}
CHANGE_CIPHER_RECORD = b"\x14\x03\x03\x00\x01\x01"
_MOST_MADE_BYTES = 1 << 20
_MOST_PLAIN_TEXT = 16_384
"""How far a hello may lie behind the plain text of STARTTLS: four times the turn that decoding allows."""


def tls_start(stream: bytes | bytearray, way: Direction) -> int | None:
    """Where a direction's hello begins; None when the stream does not have it."""
    found = _HELLO[way].search(stream, 0, _MOST_PLAIN_TEXT)
    return None if found is None else found.start()


def is_record(stream: bytes) -> bool:
    """Whether a stream begins with the header of a record."""
    return len(stream) >= _HEADER_BYTES and CHANGE_CIPHER_SPEC <= stream[0] <= HEARTBEAT and stream[1] == 3


def lost_header(stream: bytes) -> bytes:
    """What a stream lacks in front, that begins within the header of a clear request: Suricata lets go of bytes that
    its parser has read, also when a header came in pieces."""
    request = stream.find(b"\x01", 0, _HEADER_BYTES)
    if request < 0 or is_record(stream):
        return b""
    length = len(stream) - request
    header = bytes((HEARTBEAT, 3, 3)) + min(length, _FULL_FRAGMENT).to_bytes(2)
    return header[: _HEADER_BYTES - request]


def made_records(before: bytes | bytearray, length: int, *, sealed: bool) -> bytes:
    """So many bytes of a handshake that nobody has, behind those before: the rest of the last record, and then records
    that say nothing; where what follows is sealed, with a ChangeCipherSpec. Nothing, where there is no room for
    that."""
    at = 0
    while at + _HEADER_BYTES <= len(before):
        at += _HEADER_BYTES + int.from_bytes(before[at + 3 : at + 5])
    rest = at - len(before)
    if not 0 <= rest <= length <= _MOST_MADE_BYTES:
        return b""
    made = bytearray(rest)
    if sealed and length - rest >= len(CHANGE_CIPHER_RECORD):
        made += CHANGE_CIPHER_RECORD
    while length - len(made) > _HEADER_BYTES:
        body = min(length - len(made) - _HEADER_BYTES, _FULL_FRAGMENT)
        made += bytes((HANDSHAKE, 3, 3)) + body.to_bytes(2) + bytes(body)
    return bytes(made)


def handshake_end(stream: bytes, *, most_records: int | None = None, until_change_cipher: bool = False) -> int:
    """Behind the last of the records of the handshake with which a stream begins, whole or not."""
    at = records = 0
    types = (HANDSHAKE,) if until_change_cipher else (HANDSHAKE, CHANGE_CIPHER_SPEC)
    while at + _HEADER_BYTES <= len(stream) and stream[at] in types and records != most_records:
        at += _HEADER_BYTES + int.from_bytes(stream[at + 3 : at + 5])
        records += 1
    return min(at, len(stream))


def begins_answer(stream: bytes) -> bool:
    """Whether a stream goes on with a clear answer to a heartbeat."""
    return len(stream) > _HEADER_BYTES and stream[0] == HEARTBEAT and stream[_HEADER_BYTES] == 2


def looks_sealed(payload: bytes) -> bool:
    """Whether a segment that begins with a heartbeat record shows it sealed; by the rules of decoding, which has to
    guess where it joins a flow late."""
    if len(payload) <= _HEADER_BYTES or payload[0] != HEARTBEAT:
        return True
    length = int.from_bytes(payload[3:5])
    if payload[_HEADER_BYTES] not in (1, 2):
        return True
    if length < _SMALLEST_SEALED_BYTES or length == _FULL_FRAGMENT:
        return False
    carried = length - 3
    return int.from_bytes(payload[6:8]) not in (carried, carried - _PADDING_BYTES)
