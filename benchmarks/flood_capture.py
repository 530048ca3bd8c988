"""Captures of floods, made while they are read: nothing is kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.attack import attack
from benchmarks.conversation import ACK, Side
from benchmarks.packets import HEADERS_BYTES, Flows, segment, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.floods import Flood
    from benchmarks.template import Bytes

__all__ = ["flooded", "plain"]

_SEED = 20140407  # the day Heartbleed was told
_PLAIN_CONNECTIONS, _PLAIN_PORT = 1_000, 9_000


def flooded(flood: Flood, attack_gap_packets: int) -> Iterator[Bytes]:
    """The frames of a flood: shape (frames, bytes of a pcap record). From the middle on, one frame of the attack
    follows after every ``attack_gap_packets``."""
    waiting, before, packets = attack(flood.flows), 0, flood.flows * flood.packets_a_flow
    for rows in _flood_frames(flood):
        start = 0
        while start < len(rows):
            due = bool(waiting) and before >= packets // 2
            end = min(len(rows), start + attack_gap_packets) if due else len(rows)
            yield stamp(rows[start:end], before)
            before += end - start
            start = end
            if due:
                yield stamp(waiting.pop(0), before)
    yield from (stamp(frame, before) for frame in waiting)


def plain(flood: Flood) -> Iterator[Bytes]:
    """As many frames of the same lengths: text in order, on a thousand connections that speak no TLS."""
    before, sequence = 0, 1
    for rows in _flood_frames(flood):
        text = rows[:, HEADERS_BYTES:] & np.uint8(0x3F) | np.uint8(0x40)
        for start in range(0, len(rows), _PLAIN_CONNECTIONS):
            part = text[start : start + _PLAIN_CONNECTIONS]
            yield stamp(segment(Flows(range(len(part)), _PLAIN_PORT), Side.CLIENT, ACK, sequence, 1, part), before)
            sequence += part.shape[1]
            before += len(part)


def _flood_frames(flood: Flood) -> Iterator[Bytes]:
    random = np.random.default_rng(_SEED)
    for start in range(0, flood.flows, flood.together):
        members = range(start, min(flood.flows, start + flood.together))
        yield from flood.packets(Flows(members, flood.server_port), random)
