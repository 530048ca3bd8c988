"""Packets of OpenVPN's control channel, which carries TLS (doc/doxygen of OpenVPN; versions 2.x agree on all of this).

A packet begins with opcode and key id in one byte and the sender's session id. With tls-auth an HMAC follows, of a size
that nothing announces, and a replay id with a time. Then come acknowledgements, and in all but P_ACK_V1 the packet's
own id and some of the bytes of TLS. With tls-crypt all this is sealed but session id, replay id and time.

A packet whose session is not known is believed by its shape: a reset ends with zeros and has no payload, other packets
name a session of the receiver that is known, or carry records of TLS from their first byte on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hbids.decode.reference.record import HEADER_BYTES, is_first_header

__all__ = [
    "CONTROL_BYTES",
    "HARD_RESETS",
    "HARD_RESETS_CLIENT",
    "LEAST_BYTES",
    "LENGTH_BYTES",
    "ControlPacket",
    "is_data",
    "may_begin",
    "number",
    "read_control",
    "recognise",
    "replay_id_of_sealed",
]

HARD_RESET_CLIENT_V1, HARD_RESET_SERVER_V1, SOFT_RESET_V1, CONTROL_V1, ACK_V1 = 1, 2, 3, 4, 5
DATA_V1, HARD_RESET_CLIENT_V2, HARD_RESET_SERVER_V2, DATA_V2, HARD_RESET_CLIENT_V3, CONTROL_WKC_V1 = 6, 7, 8, 9, 10, 11
HARD_RESETS_CLIENT = (HARD_RESET_CLIENT_V1, HARD_RESET_CLIENT_V2, HARD_RESET_CLIENT_V3)
HARD_RESETS = (*HARD_RESETS_CLIENT, HARD_RESET_SERVER_V1, HARD_RESET_SERVER_V2)
RESETS = (*HARD_RESETS, SOFT_RESET_V1)
ALWAYS_SEALED = (HARD_RESET_CLIENT_V3, CONTROL_WKC_V1)
"""Sent with tls-crypt-v2 only."""

CONTROL_BYTES = frozenset(
    [opcode << 3 for opcode in HARD_RESETS]
    + [SOFT_RESET_V1 << 3 | key_id for key_id in range(1, 8)]
    + [opcode << 3 | key_id for opcode in (CONTROL_V1, ACK_V1, CONTROL_WKC_V1) for key_id in range(8)]
)
"""How a packet of the control channel may begin. A hard reset makes key 0, a soft one any other. No record of DTLS that
is read begins so (20 to 24): neither can hide behind the other."""

OPENING_BYTES = frozenset(first for first in CONTROL_BYTES if first >> 3 not in (ACK_V1, CONTROL_WKC_V1))
"""How a packet may begin that is the first one seen of its session."""

SESSION_ID_BYTES = 8
LEAST_BYTES = 1 + SESSION_ID_BYTES
ID_BYTES = 4
LENGTH_BYTES = 2
"""In front of each packet in TCP."""
MOST_ACKS = 8
"""OpenVPN takes no packet with more."""
HMAC_BYTES = (16, 20, 28, 32, 48, 64)
"""MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512."""
REPLAY_BYTES = 8
WRAPS = (0, *(size + REPLAY_BYTES for size in HMAC_BYTES))
"""What tls-auth may put behind the session id: nothing, or an HMAC and replay id."""
MOST_NEW_ID = (1 << 24) - 1
"""Ids are counted from 0 or 1: a larger one is no evidence. 16 million packets are some 20 GB of TLS."""
MOST_FIRST_BYTES = 0x5FF
"""Of the first packet of a TCP direction: control packets fit into one Ethernet frame, with the longest key of
tls-crypt-v2 too."""

SEALED_TAG_BYTES = 32
LEAST_SEALED_BYTES = LEAST_BYTES + REPLAY_BYTES + SEALED_TAG_BYTES + 1 + ID_BYTES
MOST_SEALED_REPLAY_ID = 0xFFFF
EARLY_NEGOTIATION = 0x0F00
"""High half of the replay id where tls-crypt-v2 negotiates early."""


class ControlPacket(NamedTuple):
    """A packet's header. ``packet_id`` None: it only acknowledges."""

    opcode: int
    key_id: int
    session_id: bytes
    acks: tuple[int, ...]
    remote_id: bytes
    """The receiver's session id; empty without acknowledgements."""
    packet_id: int | None
    payload_at: int


def is_data(packet: bytes | bytearray) -> bool:
    """Whether a packet that begins so is of the data channel."""
    return bool(packet) and packet[0] >> 3 in (DATA_V1, DATA_V2)


def may_begin(segment: bytes | bytearray) -> bool:
    """Whether a segment may begin with the first packet seen of its direction, its length in front."""
    if len(segment) >= LENGTH_BYTES and not LEAST_BYTES <= number(segment, 0, LENGTH_BYTES) <= MOST_FIRST_BYTES:
        return False
    return segment[0] <= MOST_FIRST_BYTES >> 8 and (
        len(segment) <= LENGTH_BYTES or segment[LENGTH_BYTES] in OPENING_BYTES
    )


def read_control(data: bytes, wrap_bytes: int) -> ControlPacket | None:
    """Read a packet that begins with one of CONTROL_BYTES; None when it makes no sense in clear, or with so many bytes
    of tls-auth."""
    opcode, key_id, session_id = data[0] >> 3, data[0] & 7, data[1:LEAST_BYTES]
    count_at = LEAST_BYTES + wrap_bytes
    if opcode in ALWAYS_SEALED or count_at >= len(data) or data[count_at] > MOST_ACKS:
        return None
    acks_at = count_at + 1
    acks_end = acks_at + data[count_at] * ID_BYTES
    remote_end = acks_end + (SESSION_ID_BYTES if data[count_at] else 0)
    end = remote_end + (0 if opcode == ACK_V1 else ID_BYTES)
    if end > len(data):
        return None
    acks = tuple(number(data, at) for at in range(acks_at, acks_end, ID_BYTES))
    packet_id = None if opcode == ACK_V1 else number(data, remote_end)
    if opcode in RESETS and packet_id != 0:
        return None
    return ControlPacket(opcode, key_id, session_id, acks, data[acks_end:remote_end], packet_id, end)


def recognise(data: bytes, length: int, receivers: Collection[bytes]) -> tuple[int, ControlPacket] | None:
    """How many bytes of tls-auth this packet has, ``length`` bytes on the wire, and what it says, if that can be
    believed without knowing its session; ``receivers`` are sessions of the other side."""
    for wrap_bytes in WRAPS:
        packet = read_control(data, wrap_bytes)
        if packet is None or not has_small_numbers(packet, data, wrap_bytes):
            continue
        is_reset = packet.opcode in RESETS and packet.payload_at == length
        if is_reset or packet.remote_id in receivers or are_records(data[packet.payload_at :]):
            return wrap_bytes, packet
    return None


def has_small_numbers(packet: ControlPacket, data: bytes, wrap_bytes: int) -> bool:
    """Whether a packet has an id, and none of its ids is too large to be evidence."""
    if packet.packet_id is None or max(packet.packet_id, *packet.acks, 0) > MOST_NEW_ID:
        return False
    return wrap_bytes == 0 or 0 < number(data, LEAST_BYTES + wrap_bytes - REPLAY_BYTES) <= MOST_NEW_ID


def are_records(payload: bytes) -> bool:
    """Whether a payload is records from its first byte on; the last may go on in the next."""
    at = 0
    while at + HEADER_BYTES <= len(payload):
        if not is_first_header(payload[at:]):
            return False
        at += HEADER_BYTES + number(payload, at + 3, 2)
    return at > 0 and (at >= len(payload) or is_first_header(payload[at:]))


def replay_id_of_sealed(data: bytes, length: int) -> int | None:
    """The replay id of a packet that tls-crypt may have sealed; None when it cannot have been."""
    if length < LEAST_SEALED_BYTES or len(data) < LEAST_BYTES + ID_BYTES:
        return None
    replay_id = number(data, LEAST_BYTES)
    is_small = 0 < replay_id <= MOST_SEALED_REPLAY_ID
    return replay_id if is_small or replay_id >> 16 == EARLY_NEGOTIATION else None


def number(data: bytes | bytearray, at: int, size: int = ID_BYTES) -> int:
    """A number of so many bytes."""
    return int.from_bytes(data[at : at + size], "big")
