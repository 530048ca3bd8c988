"""Datagrams of other protocols."""

from __future__ import annotations

import struct

from tests.support import tls


def dns(identifier: int, flags: int) -> bytes:
    return struct.pack(">HHHHHH", identifier, flags, 1, 0, 0, 1) + b"\x07example\x03com\x00" + struct.pack(">HH", 1, 1)


def quic(first: int) -> bytes:
    return bytes([first]) + b"\x00\x00\x00\x01\x08" + bytes(range(8)) + tls.noise(1180)


def rtp(number: int) -> bytes:
    return struct.pack(">BBHII", 0x80, 0x18, number, number * 160, 7) + tls.noise(160, number)
