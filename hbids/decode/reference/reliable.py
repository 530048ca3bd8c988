"""One direction of OpenVPN's control channel, back in order: its reliability layer.

Packets have ids in place of sequence numbers, and the receiver acknowledges each by its id. Of a packet that comes
twice the first copy counts. One that lies beyond the receiver's window is set aside, since the receiver does not take
it: unless it is acknowledged (then packets before it are missing here, not there).

A hole is given up when the receiver has acknowledged it a while ago (only the capture lost it), or, where no
acknowledgements are seen, when it is old, or when too much waits behind it. How long lost packets were nobody knows;
each is taken to be as long as the last one before it, as in a long answer they are.
"""

from __future__ import annotations

from typing import NamedTuple

from hbids.decode.reference.run import Run
from hbids.decode.reference.stream import PIECE_OVERHEAD_BYTES, StreamReader, distance

__all__ = ["Reliable"]

WINDOW = 8
"""Packets a receiver holds: as OpenVPN before 2.6 does, and no later one runs with a vulnerable OpenSSL."""
MOST_ASIDE = 16
"""Packets set aside: senders have fewer on the way."""
NO_HOLE = 1 << 31


class Chunk(NamedTuple):
    """What a packet carries. ``data`` may be shorter than ``length`` (snap length)."""

    data: bytes
    length: int

    @property
    def cost(self) -> int:
        """What is charged while it waits."""
        return len(self.data) + PIECE_OVERHEAD_BYTES


class Reliable:
    """Puts packets in order and hands their bytes to a reader."""

    def __init__(self, run: Run, reader: StreamReader) -> None:
        self._run = run
        self._reader = reader
        self._started = False
        self._next_id = 0
        self.gaps = 0
        self._waiting: dict[int, Chunk] = {}
        self._waiting_bytes = 0
        self._aside: dict[int, Chunk] = {}
        self._hole_since_ns = 0
        """When it was known that the next packet is missing."""
        self._last_length = 0
        self._ack_seen = False
        self._acked_run = 0
        """The receiver has so many packets from the next one on,"""
        self._acked = 0
        """and, by bits, those within its window."""

    def start(self, packet_id: int) -> None:
        """The first packet expected."""
        self._started = True
        self._next_id = packet_id

    def acknowledge(self, packet_id: int) -> None:
        """The receiver has this packet, and so all that lie before its window."""
        self._ack_seen = True
        if not self._started:
            return
        was_acked, ahead = self._is_next_acked, self._ahead(packet_id)
        self._acked_run = max(self._acked_run, ahead - WINDOW + 1)
        if 0 <= ahead < WINDOW:
            self._acked |= 1 << ahead
        if self._is_next_acked and not was_acked and not self._waiting:
            self._hole_since_ns = self._run.time_ns
        if ahead >= 0 and packet_id in self._aside:
            self._put(packet_id, self._take_aside(packet_id))

    def packet(self, packet_id: int, data: bytes, length: int) -> None:
        """Take a packet."""
        while self._lies_beyond(packet_id) and self._is_next_acked:
            self._skip_acked()
        if self._ahead(packet_id) < 0 or packet_id in self._waiting:
            self._run.counters["openvpn_packets_repeated"] += 1
            return
        if packet_id in self._aside:
            self._forget_aside(packet_id)
        if self._lies_beyond(packet_id):
            self._put_aside(packet_id, Chunk(data, length))
        else:
            self._put(packet_id, Chunk(data, length))

    def check_hole(self) -> None:
        """Give up the first hole if it has been open for too long."""
        if not self._waiting:
            return
        waited_ns = self._run.time_ns - self._hole_since_ns
        if self._is_next_acked:
            if waited_ns >= self._run.limits.hole_acked_wait_ns:
                self._skip_acked()
        elif not self._ack_seen and waited_ns >= self._run.limits.hole_wait_ns:
            self._skip_hole()

    def end(self) -> None:
        """Nothing will come any more: give up every hole. What was set aside is taken where nothing is missing before
        it: only acknowledgements are."""
        while self._waiting or self._next_id in self._aside:
            if self._next_id in self._aside:
                self._put(self._next_id, self._take_aside(self._next_id))
            else:
                self._skip_hole()
        for packet_id in list(self._aside):
            self._forget_aside(packet_id)

    @property
    def _is_next_acked(self) -> bool:
        return self._acked_run > 0 or self._acked & 1 == 1

    def _ahead(self, packet_id: int) -> int:
        return distance(packet_id, self._next_id)

    def _lies_beyond(self, packet_id: int) -> bool:
        """Beyond the receiver's window, as far as anything is known of the receiver."""
        return self._ack_seen and self._ahead(packet_id) >= WINDOW

    # --- packets in order ---

    def _put(self, packet_id: int, chunk: Chunk) -> None:
        if self._ahead(packet_id) > 0:
            self._wait(packet_id, chunk)
            self.check_hole()
        else:
            self._deliver(chunk)
            self._drain()

    def _wait(self, packet_id: int, chunk: Chunk) -> None:
        if not self._waiting and not self._is_next_acked:
            self._hole_since_ns = self._run.time_ns
        self._waiting[packet_id] = chunk
        self._charge(chunk.cost)
        self._make_room()

    def _drain(self) -> None:
        """Deliver what is in order now."""
        while self._next_id in self._waiting:
            chunk = self._waiting.pop(self._next_id)
            self._charge(-chunk.cost)
            self._deliver(chunk)

    def _deliver(self, chunk: Chunk) -> None:
        self._advance(1)
        if chunk.data:
            self._reader.feed(chunk.data)
        if chunk.length > len(chunk.data):
            self._reader.gap(chunk.length - len(chunk.data))
        self._last_length = chunk.length or self._last_length

    def _advance(self, packets: int) -> None:
        self._next_id = (self._next_id + packets) & 0xFFFF_FFFF
        self._acked_run = max(0, self._acked_run - packets)
        self._acked >>= packets
        self._hole_since_ns = self._run.time_ns

    # --- packets that are missing ---

    def _hole(self) -> int:
        """How many packets are missing before the first one that waits."""
        return min(map(self._ahead, self._waiting), default=NO_HOLE)

    def _skip_hole(self) -> None:
        """Go on at the first packet that waits."""
        self._lose(self._hole())

    def _skip_acked(self) -> None:
        """Go on behind what the receiver has, and the capture has not."""
        missing = self._acked_run
        while self._acked >> missing & 1:
            missing += 1
        self._lose(min(missing, self._hole()))

    def _lose(self, packets: int) -> None:
        self._advance(packets)
        self.gaps += 1
        self._run.counters["openvpn_gaps"] += 1
        self._reader.gap(max(1, packets * self._last_length))
        self._drain()

    # --- packets set aside ---

    def _put_aside(self, packet_id: int, chunk: Chunk) -> None:
        self._aside[packet_id] = chunk
        self._charge(chunk.cost)
        if len(self._aside) > MOST_ASIDE:
            self._forget_aside(next(iter(self._aside)))
        self._make_room()

    def _take_aside(self, packet_id: int) -> Chunk:
        chunk = self._aside.pop(packet_id)
        self._charge(-chunk.cost)
        return chunk

    def _forget_aside(self, packet_id: int) -> None:
        self._take_aside(packet_id)
        self._run.counters["openvpn_packets_ahead"] += 1

    # --- limits ---

    def _charge(self, amount: int) -> None:
        self._waiting_bytes += amount
        self._run.out_of_order_bytes += amount

    def _make_room(self) -> None:
        """What was set aside goes first."""
        limits = self._run.limits
        while (self._aside or self._waiting) and (
            self._waiting_bytes > limits.out_of_order_bytes
            or self._run.out_of_order_bytes > limits.out_of_order_bytes_total
        ):
            if self._aside:
                self._forget_aside(next(iter(self._aside)))
            else:
                self._skip_hole()
