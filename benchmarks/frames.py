"""Ethernet frames of many connections at once, as pcap records with true lengths and checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.conversation import ACK, SYN, Packet, Side
from benchmarks.octets import Numbers, checksum, ones_sum, put

if TYPE_CHECKING:
    from benchmarks.template import Bytes

__all__ = ["PCAP_HEADER", "Connections", "record_bytes"]

PCAP_HEADER = np.array([0xA1B2C3D4, 4 << 16 | 2, 0, 0, 262_144, 1], "<u4").tobytes()
"""Microseconds, little endian, Ethernet."""

_RECORD, _ETHERNET, _IP = 16, 14, 20
_IP_AT = _RECORD + _ETHERNET
_TCP_AT = _IP_AT + _IP

_CAPTURE_START_S = 1_700_000_000
_PACKET_GAP_US = 10
_MAC = {Side.CLIENT: bytes.fromhex("020000000001"), Side.SERVER: bytes.fromhex("020000000002")}
_TTL = {Side.CLIENT: 64, Side.SERVER: 57}
_SERVER_NETWORK, _SERVERS = 0xCB007100, 256  # 203.0.113.0/24, for documentation (RFC 5737)
_CLIENT_NETWORK = 10 << 24


class Connections:
    """The state of ``count`` TCP connections, each from an address of its own to one of 256 servers."""

    def __init__(self, count: int, random: np.random.Generator, server_port: int = 443) -> None:
        self._random = random
        clients = _CLIENT_NETWORK + random.choice(1 << 24, count, replace=False)
        servers = _SERVER_NETWORK + random.integers(_SERVERS, size=count)
        self._address = (clients, servers)
        self._port = (random.integers(32_768, 61_000, count), np.full(count, server_port))
        self._sequence = list(random.integers(1 << 32, size=(2, count)))
        self._clock_ms = random.integers(1 << 31, size=(2, count))
        self._last_clock_ms = np.zeros((2, count), np.int64)
        self._packets = 0

    def exchange(self, packet: Packet, members: range) -> Bytes:
        """``packet`` once on each of ``members``, in a new random order: shape (members, bytes of a pcap record)."""
        order = self._random.permutation(members)
        sender, receiver = packet.sender, Side(1 - packet.sender)
        payload_at = _TCP_AT + _tcp_header_bytes(packet)
        rows = np.zeros((len(order), record_bytes(packet)), np.uint8)
        rows[:, payload_at:] = packet.payload.fill(len(order), self._random)

        time_us = (self._packets + np.arange(len(order))) * _PACKET_GAP_US
        self._packets += len(order)
        frame_bytes = np.full(len(order), rows.shape[1] - _RECORD)
        seconds, microseconds = np.divmod(time_us, 1_000_000)
        record = np.stack((_CAPTURE_START_S + seconds, microseconds, frame_bytes, frame_bytes), axis=1)
        rows[:, :_RECORD] = record.astype("<u4").view(np.uint8)

        rows[:, _RECORD:_IP_AT] = np.frombuffer(_MAC[receiver] + _MAC[sender] + b"\x08\x00", np.uint8)

        rows[:, _IP_AT] = 0x45
        put(rows, _IP_AT + 2, 2, rows.shape[1] - _IP_AT)
        put(rows, _IP_AT + 4, 2, self._random.integers(1 << 16, size=len(order)))
        put(rows, _IP_AT + 6, 2, 0x4000)  # do not fragment
        rows[:, _IP_AT + 8] = _TTL[sender]
        rows[:, _IP_AT + 9] = 6
        put(rows, _IP_AT + 12, 4, self._address[sender][order])
        put(rows, _IP_AT + 16, 4, self._address[receiver][order])
        put(rows, _IP_AT + 10, 2, checksum(ones_sum(rows[:, _IP_AT:_TCP_AT])))

        put(rows, _TCP_AT, 2, self._port[sender][order])
        put(rows, _TCP_AT + 2, 2, self._port[receiver][order])
        put(rows, _TCP_AT + 4, 4, self._sequence[sender][order])
        if packet.flags & ACK:
            put(rows, _TCP_AT + 8, 4, self._sequence[receiver][order])
        rows[:, _TCP_AT + 12] = (payload_at - _TCP_AT) // 4 << 4
        rows[:, _TCP_AT + 13] = packet.flags
        put(rows, _TCP_AT + 14, 2, 0xFAF0 if packet.flags & SYN else 502)
        self._put_options(rows, packet, order, time_us // 1000)
        pseudo_header = ones_sum(rows[:, _IP_AT + 12 : _TCP_AT]) + 6 + rows.shape[1] - _TCP_AT
        put(rows, _TCP_AT + 16, 2, checksum(ones_sum(rows[:, _TCP_AT:]) + pseudo_header))

        self._sequence[sender][order] = (self._sequence[sender][order] + packet.sequence_bytes) % (1 << 32)
        return rows

    def _put_options(self, rows: Bytes, packet: Packet, order: Numbers, time_ms: Numbers) -> None:
        """Timestamps (RFC 7323) always; on SYN also segment size, SACK and window scale, in Linux's order."""
        sender = packet.sender
        now = (self._clock_ms[sender][order] + time_ms) % (1 << 32)
        echo = self._last_clock_ms[1 - sender][order]
        self._last_clock_ms[sender][order] = now
        at = _TCP_AT + 20
        if packet.flags & SYN:
            rows[:, at : at + 20] = np.frombuffer(bytes.fromhex("020405b4 0402 080a 0000000000000000 01 030307"), "u1")
            clock_at = at + 8
        else:
            rows[:, at : at + 4] = np.frombuffer(b"\x01\x01\x08\x0a", np.uint8)
            clock_at = at + 4
        put(rows, clock_at, 4, now)
        put(rows, clock_at + 4, 4, echo)


def record_bytes(packet: Packet) -> int:
    """Length of a packet in the capture file."""
    return _TCP_AT + _tcp_header_bytes(packet) + len(packet.payload)


def _tcp_header_bytes(packet: Packet) -> int:
    return 40 if packet.flags & SYN else 32
