"""Ethernet frames of many flows that have nothing to do with each other, as pcap records with true checksums.

Every function gives one frame a flow: shape (flows, bytes of a pcap record), with room for the record's header, which
:func:`stamp` writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.conversation import Side
from benchmarks.octets import Numbers, checksum, ones_sum, put

if TYPE_CHECKING:
    from benchmarks.template import Bytes

__all__ = ["HEADERS_BYTES", "Flows", "fragment", "segment", "stamp", "udp"]

_RECORD, _ETHERNET, _IP, _TCP, _UDP = 16, 14, 20, 20, 8
_IP_AT = _RECORD + _ETHERNET
_BODY_AT = _IP_AT + _IP
HEADERS_BYTES = _BODY_AT + _TCP
"""Of a TCP segment's record, payload left out."""
_PROTOCOL_TCP, _PROTOCOL_UDP = 6, 17
_MORE_FRAGMENTS = 0x2000

_CLIENT_NETWORK, _CLIENTS = 10 << 24, 1 << 24
_SERVER_NETWORK, _SERVERS = (
    0xCB007100,
    255,
)  # 203.0.113.0/24, for documentation (RFC 5737); .255 is left for the attacked
_FIRST_PORT, _PORTS = 1_024, 60_000
_START_S, _PACKET_GAP_US = 1_700_000_000, 10


class Flows:
    """Some flows of a flood, by their numbers: each has an address of its own, and one of 255 servers."""

    def __init__(self, numbers: range, server_port: int) -> None:
        number = np.arange(numbers.start, numbers.stop)
        client, server = _CLIENT_NETWORK + number % _CLIENTS, _SERVER_NETWORK + number % _SERVERS
        port = _FIRST_PORT + number * 7_919 % _PORTS
        self.addresses = (client, server)
        self.ports = (port, np.full(len(number), server_port))
        self.numbers = number

    def __len__(self) -> int:
        return len(self.numbers)


def segment(
    flows: Flows,
    sender: Side,
    flags: int,
    sequence: int,
    acknowledged: int,
    payload: Bytes,
    checksum_error: int = 0,
) -> Bytes:
    """A TCP segment without options."""
    rows = _ip(flows, sender, _PROTOCOL_TCP, _TCP + payload.shape[1])
    body = rows[:, _BODY_AT:]
    body[:, _TCP:] = payload
    _put_ports(body, flows, sender)
    put(body, 4, 4, sequence)
    put(body, 8, 4, acknowledged)
    body[:, 12] = _TCP // 4 << 4
    body[:, 13] = flags
    put(body, 14, 2, 0xFAF0)
    put(body, 16, 2, _transport_checksum(rows, _PROTOCOL_TCP) ^ checksum_error)
    return rows


def udp(flows: Flows, sender: Side, payload: Bytes) -> Bytes:
    """A UDP datagram."""
    rows = _ip(flows, sender, _PROTOCOL_UDP, _UDP + payload.shape[1])
    body = rows[:, _BODY_AT:]
    body[:, _UDP:] = payload
    _put_ports(body, flows, sender)
    put(body, 4, 2, body.shape[1])
    put(body, 6, 2, _transport_checksum(rows, _PROTOCOL_UDP))
    return rows


def fragment(flows: Flows, payload: Bytes) -> Bytes:
    """The first fragment of a UDP datagram that is longer; the flow's number is its identification, in part."""
    rows = _ip(flows, Side.CLIENT, _PROTOCOL_UDP, payload.shape[1])
    rows[:, _BODY_AT:] = payload
    put(rows, _IP_AT + 4, 2, flows.numbers & 0xFFFF)
    put(rows, _IP_AT + 6, 2, _MORE_FRAGMENTS)
    put(rows, _IP_AT + 10, 2, 0)
    put(rows, _IP_AT + 10, 2, checksum(ones_sum(rows[:, _IP_AT:_BODY_AT])))
    return rows


def stamp(rows: Bytes, packets_before: int) -> Bytes:
    """Write the header of each record: frames come 10 microseconds apart."""
    time_us = (packets_before + np.arange(len(rows))) * _PACKET_GAP_US
    seconds, microseconds = np.divmod(time_us, 1_000_000)
    length = np.full(len(rows), rows.shape[1] - _RECORD)
    header = np.stack((_START_S + seconds, microseconds, length, length), axis=1)
    rows[:, :_RECORD] = header.astype("<u4").view(np.uint8)
    return rows


def _ip(flows: Flows, sender: Side, protocol: int, payload_bytes: int) -> Bytes:
    rows = np.zeros((len(flows), _BODY_AT + payload_bytes), np.uint8)
    rows[:, _RECORD:_IP_AT] = np.frombuffer(bytes.fromhex("020000000001 020000000002 0800"), np.uint8)
    rows[:, _IP_AT] = 0x45
    put(rows, _IP_AT + 2, 2, _IP + payload_bytes)
    rows[:, _IP_AT + 8] = 64
    rows[:, _IP_AT + 9] = protocol
    put(rows, _IP_AT + 12, 4, flows.addresses[sender])
    put(rows, _IP_AT + 16, 4, flows.addresses[1 - sender])
    put(rows, _IP_AT + 10, 2, checksum(ones_sum(rows[:, _IP_AT:_BODY_AT])))
    return rows


def _put_ports(body: Bytes, flows: Flows, sender: Side) -> None:
    put(body, 0, 2, flows.ports[sender])
    put(body, 2, 2, flows.ports[1 - sender])


def _transport_checksum(rows: Bytes, protocol: int) -> Numbers:
    pseudo_header = ones_sum(rows[:, _IP_AT + 12 : _BODY_AT]) + protocol + rows.shape[1] - _BODY_AT
    return checksum(ones_sum(rows[:, _BODY_AT:]) + pseudo_header)
