"""What one TLS connection sends, packet by packet. All connections of a capture hold the same conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from benchmarks import tls
from benchmarks.template import Template, literal

__all__ = ["SEGMENT_BYTES", "Packet", "Side", "bulk", "handshake", "short"]

SEGMENT_BYTES = 1448
"""What fits an IP packet of 1500 bytes beside 20 of IP and 32 of TCP with its timestamp option."""

_BULK_RECORD_BYTES = 16_384  # the most a record may carry (RFC 5246 section 6.2.1)
_SEGMENTS_AN_ACK = 16  # receive offload acknowledges about so many at once

FIN, SYN, PSH, ACK = 1, 2, 8, 16


class Side(IntEnum):
    """Who sends."""

    CLIENT = 0
    SERVER = 1


@dataclass(frozen=True, slots=True)
class Packet:
    """A TCP segment of the conversation."""

    sender: Side
    flags: int = ACK
    payload: Template = field(default_factory=lambda: literal(b""))

    @property
    def sequence_bytes(self) -> int:
        """How far it moves its sender's sequence number."""
        return len(self.payload) + bool(self.flags & (SYN | FIN))


def short() -> list[Packet]:
    """A connection of 18 packets: handshake, two small requests and answers, orderly end."""
    request, answer = tls.application_data(300), tls.application_data(700)
    exchange = [*_send(Side.CLIENT, request), *_send(Side.SERVER, answer), Packet(Side.CLIENT)]
    return [*handshake(), *exchange, *exchange, *_close()]


def bulk(records: int) -> list[Packet]:
    """A download in records of 16 KB, cut into full segments without regard to where a record begins."""
    stream = tls.application_data(_BULK_RECORD_BYTES, 1)
    for sequence in range(2, records + 1):
        stream += tls.application_data(_BULK_RECORD_BYTES, sequence)
    packets = [*handshake(), *_send(Side.CLIENT, tls.application_data(300))]
    for number, segment in enumerate(_send(Side.SERVER, stream), 1):
        packets.append(segment)
        if number % _SEGMENTS_AN_ACK == 0:
            packets.append(Packet(Side.CLIENT))
    return [*packets, *_close()]


def handshake() -> list[Packet]:
    """TCP's and TLS's, with which every conversation begins."""
    return [
        Packet(Side.CLIENT, SYN),
        Packet(Side.SERVER, SYN | ACK),
        Packet(Side.CLIENT),
        *_send(Side.CLIENT, tls.client_hello()),
        Packet(Side.SERVER),
        *_send(Side.SERVER, tls.server_flight()),
        Packet(Side.CLIENT),
        *_send(Side.CLIENT, tls.client_flight()),
        *_send(Side.SERVER, tls.server_finish()),
    ]


def _close() -> list[Packet]:
    return [
        Packet(Side.CLIENT, FIN | PSH | ACK, tls.close_notify()),
        Packet(Side.SERVER, FIN | ACK),
        Packet(Side.CLIENT),
    ]


def _send(sender: Side, stream: Template) -> list[Packet]:
    """``stream`` in segments, the last of which is pushed."""
    starts = range(0, len(stream), SEGMENT_BYTES)
    flags = [ACK] * (len(starts) - 1) + [PSH | ACK]
    return [
        Packet(sender, flag, stream[start : start + SEGMENT_BYTES]) for start, flag in zip(starts, flags, strict=True)
    ]
