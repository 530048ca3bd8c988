"""What floods the tables of an IDS, packet by packet: every flood is aimed at one thing that decoding has to hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.conversation import ACK, PSH, SYN, Side
from benchmarks.packets import Flows, fragment, segment, udp
from benchmarks.template import Template, literal, noise
from benchmarks.tls import client_hello, server_flight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from benchmarks.template import Bytes

__all__ = ["FLOODS", "Flood"]

_CLIENT_SEQ, _SERVER_SEQ = 1_000, 500_000_000
_NOTHING = literal(b"")
_SMTP, _DTLS = 25, 4_433
_HANDSHAKE = 22


@dataclass(frozen=True, slots=True)
class Flood:
    """``packets`` gives what some flows send, one frame of all of them after the other."""

    limit: str
    """The field of :class:`hbids.config.Limits` that it is made against."""
    flows: int
    packets_a_flow: int
    packets: Callable[[Flows, np.random.Generator], Iterator[Bytes]]
    counted: frozenset[str]
    """Counters that must tell of it, and no others."""
    server_port: int = 443
    together: int = 10_000
    """Flows that take turns; the next ones begin when these are through."""
    reaches_flows: bool = True
    """Whether its packets are whole ones."""

    def divided(self, divisor: int) -> Flood:
        """The same with fewer flows."""
        return replace(self, flows=max(1, self.flows // divisor), together=max(1, self.together // divisor))


def _segments(
    flows: Flows, random: np.random.Generator, *steps: tuple[Side, int, int, int, Template]
) -> Iterator[Bytes]:
    for sender, flags, sequence, acknowledged, payload in steps:
        first, other = (_CLIENT_SEQ, _SERVER_SEQ) if sender is Side.CLIENT else (_SERVER_SEQ, _CLIENT_SEQ)
        acknowledgement = other + acknowledged if flags & ACK else 0
        yield segment(flows, sender, flags, first + sequence, acknowledgement, payload.fill(len(flows), random))


_SYN = (Side.CLIENT, SYN, 0, 0, _NOTHING)
_SYN_ACK = (Side.SERVER, SYN | ACK, 0, 1, _NOTHING)


def _said(
    sender: Side, payload: Template, sequence: int = 1, acknowledged: int = 1
) -> tuple[Side, int, int, int, Template]:
    return sender, PSH | ACK, sequence, acknowledged, payload


def _one_packet(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    yield from _segments(flows, random, _SYN)


def _half_open(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    yield from _segments(flows, random, _SYN, _SYN_ACK)


def _fragments(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    yield fragment(flows, noise(1_480).fill(len(flows), random))


_HOLES, _BEHIND_HOLE_BYTES = 48, 200


def _out_of_order(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    yield from _segments(flows, random, _SYN, _SYN_ACK)
    places = [1_000 + 2 * _BEHIND_HOLE_BYTES * hole for hole in range(_HOLES)]
    yield from _segments(flows, random, *(_said(Side.CLIENT, noise(_BEHIND_HOLE_BYTES), place) for place in places))


def _plain_text(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    greeting, answer = literal(b"220 mail.example ESMTP\r\n"), literal(b"EHLO client.example\r\n")
    yield from _segments(
        flows,
        random,
        _SYN,
        _SYN_ACK,
        _said(Side.SERVER, greeting),
        _said(Side.CLIENT, answer, acknowledged=1 + len(greeting)),
    )


_HELLO_PART_BYTES = 1_400


def _torn_hellos(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    head = literal(bytes.fromhex("16 0301 4000 01 00fff0 0303"))
    parts = [head + noise(_HELLO_PART_BYTES - len(head)), *[noise(_HELLO_PART_BYTES)] * 4]
    steps = [_said(Side.CLIENT, part, 1 + _HELLO_PART_BYTES * number) for number, part in enumerate(parts)]
    yield from _segments(flows, random, _SYN, _SYN_ACK, *steps)


def _unasked_heartbeats(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    lies = literal(bytes.fromhex("18 0303 0003 01 4000") * 16)
    yield from _segments(flows, random, _SYN, _SYN_ACK, _said(Side.CLIENT, lies))


def _dtls_record(content_type: int, sequence: int, body: Template) -> Template:
    head = bytes([content_type]) + bytes.fromhex("fefd 0000") + sequence.to_bytes(6, "big")
    return literal(head + len(body).to_bytes(2, "big")) + body


def _dtls_fragment(message_type: int, length: int, offset: int, data: Template) -> Template:
    numbers = length.to_bytes(3, "big") + b"\x00\x00" + offset.to_bytes(3, "big") + len(data).to_bytes(3, "big")
    return literal(bytes([message_type]) + numbers) + data


_DECOYS, _DECOY_BYTES = 500, 40


def _decoys(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    """Segments with wrong checksums, where others have right ones: they wait for their judgement."""
    hello = client_hello()
    yield from _segments(flows, random, _SYN, _SYN_ACK, _said(Side.CLIENT, hello))
    for number in range(_DECOYS):
        place = _CLIENT_SEQ + 1 + len(hello) + number * _DECOY_BYTES
        payload = noise(_DECOY_BYTES).fill(len(flows), random)
        yield segment(flows, Side.CLIENT, PSH | ACK, place, _SERVER_SEQ + 1, payload, checksum_error=1)


_REQUESTS_A_PACKET = 180


def _requests(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    """Nothing is held, but each message is a row, and each row a finding."""
    hello, answer = client_hello(), server_flight()
    lies = literal(bytes.fromhex("18 0303 0003 01 4000") * _REQUESTS_A_PACKET)
    yield from _segments(
        flows,
        random,
        _SYN,
        _SYN_ACK,
        _said(Side.CLIENT, hello),
        _said(Side.SERVER, answer, acknowledged=1 + len(hello)),
        _said(Side.CLIENT, lies, 1 + len(hello), 1 + len(answer)),
    )


_LARGEST_HELLO_BYTES = 65_536


def _dtls_hellos(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    """Two pieces of a hello of the largest size, with a hole between them, and a cookie in answer to each."""
    cookie = _dtls_fragment(3, 35, 0, literal(b"\xfe\xff\x20") + noise(32))
    for number, offset in enumerate((0, 30_000)):
        piece = _dtls_fragment(1, _LARGEST_HELLO_BYTES, offset, literal(b"\xfe\xfd") + noise(1_300))
        for sender, body in ((Side.CLIENT, piece), (Side.SERVER, cookie)):
            payload = _dtls_record(_HANDSHAKE, number, body)
            yield udp(flows, sender, payload.fill(len(flows), random))


def _dtls_crumbs(flows: Flows, random: np.random.Generator) -> Iterator[Bytes]:
    """A hello that lacks a byte, then datagrams of a hundred fragments each that bring one byte of it again."""
    for number in range(46):
        piece = _dtls_fragment(1, _LARGEST_HELLO_BYTES, number * 1_400, noise(1_400))
        yield udp(flows, Side.CLIENT, _dtls_record(_HANDSHAKE, number, piece).fill(len(flows), random))
    crumbs = _NOTHING
    for place in range(100):
        crumbs += _dtls_fragment(1, _LARGEST_HELLO_BYTES, place, noise(1))
    for number in range(46, 146):
        yield udp(flows, Side.CLIENT, _dtls_record(_HANDSHAKE, number, crumbs).fill(len(flows), random))


_EVICTED = frozenset({"flows_evicted"})

FLOODS = {
    "one-packet flows": Flood("flows", 5_000_000, 1, _one_packet, _EVICTED),
    "half-open handshakes": Flood("flows", 1_100_000, 2, _half_open, _EVICTED),
    "fragments": Flood(
        "fragment_bytes",
        2_000_000,
        1,
        _fragments,
        frozenset({"fragments", "packets_evicted", "packets_incomplete"}),
        reaches_flows=False,
    ),
    "holes": Flood(
        "out_of_order_bytes_total", 20_000, 2 + _HOLES, _out_of_order, frozenset({"stream_gaps"}), together=20_000
    ),
    "decoys": Flood(
        "out_of_order_bytes_total", 2_000, 3 + _DECOYS, _decoys, frozenset({"segments_refused"}), together=2_000
    ),
    "plain text": Flood("state_bytes_total", 2_000_000, 4, _plain_text, _EVICTED, _SMTP),
    "torn hellos": Flood("state_bytes_total", 400_000, 7, _torn_hellos, _EVICTED),
    "unasked heartbeats": Flood(
        "state_bytes_total", 1_000_000, 3, _unasked_heartbeats, _EVICTED | {"heartbeats_without_tls"}
    ),
    "requests": Flood("pending_requests", 400, 5, _requests, frozenset({"pending_requests_dropped"}), together=100),
    "DTLS hellos": Flood("state_bytes_total", 400_000, 4, _dtls_hellos, _EVICTED | {"hello_incomplete"}, _DTLS),
    "DTLS crumbs": Flood(
        "state_bytes_total", 1_000, 146, _dtls_crumbs, frozenset({"hello_incomplete"}), _DTLS, together=100
    ),
}
