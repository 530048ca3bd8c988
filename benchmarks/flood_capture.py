"""Captures of floods, made while they are read: nothing is kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.attack import attack
from benchmarks.conversation import ACK, Side
from benchmarks.packets import Flows, segment, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.floods import Flood
    from benchmarks.template import Bytes

__all__ = ["flooded", "plain"]

_SEED = 20140407
_ATTACK_GAP_PACKETS = 2_000
"""Of the flood, between two packets of the attack: at 10 microseconds each a round trip of 20 ms."""
_PLAIN_CONNECTIONS = 1_000


def flooded(flood: Flood, flows: int) -> Iterator[Bytes]:
    """The frames of so many flows, those of the attack from the middle on: shape (frames, bytes of a pcap record)."""
    waiting, before, packets = attack(flows), 0, flows * flood.packets_a_flow
    for rows in _flood_frames(flood, flows):
        start = 0
        while start < len(rows):
            due = bool(waiting) and before >= packets // 2
            end = min(len(rows), start + _ATTACK_GAP_PACKETS) if due else len(rows)
            yield stamp(rows[start:end], before)
            before += end - start
            start = end
            if due:
                yield stamp(waiting.pop(0), before)
    yield from (stamp(frame, before) for frame in waiting)


def plain(flood: Flood, flows: int) -> Iterator[Bytes]:
    """As many frames of the same lengths, as payload in order on a thousand connections that speak no TLS."""
    connections = Flows(range(_PLAIN_CONNECTIONS), 9_000)
    before, sequence = 0, 1
    for rows in _flood_frames(flood, flows):
        payload = rows[:, _HEADERS_BYTES:] & 0x3F | 0x40
        for start in range(0, len(rows), _PLAIN_CONNECTIONS):
            part = payload[start : start + _PLAIN_CONNECTIONS]
            members = Flows(range(len(part)), 9_000) if len(part) < len(connections) else connections
            yield stamp(segment(members, Side.CLIENT, ACK, sequence, 1, part), before)
            sequence += part.shape[1]
            before += len(part)


_HEADERS_BYTES = 70
"""Of a record without payload: pcap 16, Ethernet 14, IP 20, TCP 20."""


def _flood_frames(flood: Flood, flows: int) -> Iterator[Bytes]:
    random = np.random.default_rng(_SEED)
    for start in range(0, flows, flood.together):
        yield from flood.packets(Flows(range(start, min(flows, start + flood.together)), flood.server_port), random)
