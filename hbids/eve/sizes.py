"""Heartbeats of which only sizes are known: Suricata's frames, and how much its counters grew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.eve.flows import MOST_COUNT, MOST_PORT, FlowCounts, way_of
from hbids.eve.hearsay import sent_bytes
from hbids.eve.hello import TlsSession
from hbids.eve.values import bytes_of, number_of, object_of, text_of
from hbids.facts import Answer, Direction
from hbids.measures import GUESSED_SEALING, LARGEST_HONEST_PAYLOAD
from hbids.suites import MAX_PLAINTEXT_BYTES, sealing_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hbids.eve.conversation import Conversation
    from hbids.eve.pieces import Frame
    from hbids.eve.told import ToldFlow

__all__ = ["record", "rest_of_answer"]

_RECORD = b"\x18\x03\x03"
_HEADER_BYTES = 5


def record(event: Mapping[str, Any], conversation: Conversation, time_ns: int) -> Iterator[Frame]:
    """A heartbeat record of which a frame tells, as an event or in an alert."""
    frame = object_of(event, "frame")
    way = way_of(frame)
    offset, length = number_of(frame, "stream_offset", MOST_COUNT), number_of(frame, "length", MOST_PORT)
    if way is None or offset is None or length is None or text_of(frame, "type") != "heartbeat":
        return
    body = bytes_of(frame, "payload")[:length]
    yield from conversation.record(offset, _made(length, body), way, time_ns)


def rest_of_answer(told: ToldFlow, time_ns: int) -> Iterator[Frame]:
    """The rest of an answer that was too large, when its flow is over. Suricata looks no further than the first record
    of it, if that far: what the server sent behind it, by counters, was the rest, if that record was full. Where no
    record of the server was told, it is what was sent since Suricata first said anything. An estimate."""
    conversation = told.conversation
    if not conversation.said_leak:
        return
    offset, last_bytes = conversation.told_to(Direction.TO_CLIENT)
    full_bytes = last_bytes - _HEADER_BYTES if last_bytes else _full_record_bytes(conversation.tls)
    if full_bytes < MAX_PLAINTEXT_BYTES:
        return
    before = None if offset else conversation.counts_then
    left = sent_bytes(conversation.key, before or FlowCounts(0), told.latest) - offset
    if left <= LARGEST_HONEST_PAYLOAD:
        return
    conversation.counted_from_ns = time_ns
    while left > _HEADER_BYTES:
        length = min(full_bytes, left - _HEADER_BYTES)
        yield from conversation.record(offset, _made(length), Direction.TO_CLIENT, time_ns)
        left, offset = left - _HEADER_BYTES - length, offset + _HEADER_BYTES + length


def _made(length: int, body: bytes = b"") -> bytes:
    """A record with zeros where its bytes are not known."""
    return _RECORD + length.to_bytes(2) + body + bytes(length - len(body))


def _full_record_bytes(tls: TlsSession | None) -> int:
    tls = tls or TlsSession(0)
    encrypt_then_mac = Answer.YES if tls.encrypt_then_mac else Answer.NO
    sealing = sealing_of(tls.cipher_suite, tls.tls_version, encrypt_then_mac) or GUESSED_SEALING
    return sealing.record_bytes(MAX_PLAINTEXT_BYTES)
