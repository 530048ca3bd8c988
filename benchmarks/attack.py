"""One plain attack: hellos of both sides, a request for more memory than it carries, and an answer that gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.conversation import ACK, PSH, SEGMENT_BYTES, SYN, Side
from benchmarks.packets import Flows, segment
from benchmarks.template import literal
from benchmarks.tls import client_hello, server_flight

if TYPE_CHECKING:
    from benchmarks.template import Bytes

__all__ = ["LEAKED_BYTES", "SERVER", "attack"]

SERVER = "203.0.113.255"
LEAKED_BYTES = 16_384 - 3
"""A record of the largest size less the heartbeat's header: all that comes of the 16,384 bytes asked for."""

_REQUEST = bytes.fromhex("18 0303 0003 01 4000")
_ANSWER = bytes.fromhex("18 0303 4000 02 4000") + bytes(LEAKED_BYTES)


def attack(number: int, server_port: int = 443) -> list[Bytes]:
    """Its frames, one after the other. ``number``, which no flow of the flood has, gives the client's address."""
    flows, random = Flows(range(number, number + 1), server_port), np.random.default_rng(number)
    flows.addresses[Side.SERVER][:] = int.from_bytes(map(int, SERVER.split(".")), "big")
    next_sequence = {Side.CLIENT: 1_000, Side.SERVER: 2_000}
    frames: list[Bytes] = []

    def send(sender: Side, flags: int, stream: Bytes) -> None:
        for start in range(0, max(1, stream.shape[1]), SEGMENT_BYTES):
            payload = stream[:, start : start + SEGMENT_BYTES]
            acknowledged = next_sequence[Side(1 - sender)] if flags & ACK else 0
            frames.append(segment(flows, sender, flags, next_sequence[sender], acknowledged, payload))
            next_sequence[sender] += payload.shape[1] + bool(flags & SYN)

    for sender, flags, said in (
        (Side.CLIENT, SYN, literal(b"")),
        (Side.SERVER, SYN | ACK, literal(b"")),
        (Side.CLIENT, ACK, literal(b"")),
        (Side.CLIENT, PSH | ACK, client_hello()),
        (Side.SERVER, PSH | ACK, server_flight()),
        (Side.CLIENT, PSH | ACK, literal(_REQUEST)),
        (Side.SERVER, PSH | ACK, literal(_ANSWER)),
    ):
        send(sender, flags, said.fill(1, random))
    return frames
