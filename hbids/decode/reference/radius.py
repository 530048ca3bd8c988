"""RADIUS (RFC 2865) as far as it carries EAP (RFC 3579): between an access server, behind which the supplicant is, and
the server that speaks TLS with it."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from hbids.decode.reference.eap import Eap, read_eap

__all__ = ["Radius", "read_radius"]

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11
CODES = (ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE)
STATE, CALLING_STATION_ID, EAP_MESSAGE = 24, 31, 79
HEADER_BYTES, ATTRIBUTE_HEADER_BYTES = 20, 2
MOST_EAP_BYTES = 0xFFFF

_HEADER = Struct(">BBH16s")


class Radius(NamedTuple):
    """A packet with EAP in it, and what tells which conversation it belongs to."""

    is_request: bool
    identifier: int
    authenticator: bytes
    state: bytes
    """Empty when absent, as is the next."""
    caller: bytes
    """Calling-Station-Id: the supplicant, as the access server calls it."""
    eap: Eap


def read_radius(payload: bytes, length: int) -> Radius | None:
    """What a datagram of ``length`` bytes holds, of which ``payload`` was captured; None when it is anything but RADIUS
    to its last byte, with EAP in it, as far as it was captured."""
    if len(payload) < HEADER_BYTES:
        return None
    code, identifier, claimed, authenticator = _HEADER.unpack_from(payload)
    if code not in CODES or claimed != length:
        return None
    values: dict[int, bytes] = {}
    message = b""
    at = HEADER_BYTES
    while at + ATTRIBUTE_HEADER_BYTES <= len(payload):
        kind, attribute_bytes = payload[at], payload[at + 1]
        end = at + attribute_bytes
        if attribute_bytes < ATTRIBUTE_HEADER_BYTES or end > length:
            return None
        value = payload[at + ATTRIBUTE_HEADER_BYTES : end]
        if kind == EAP_MESSAGE:
            message += value
        else:
            values.setdefault(kind, value)
        at = end
    is_whole = len(payload) == length
    if is_whole and at < length:
        return None
    eap = read_eap(message, len(message) if is_whole else MOST_EAP_BYTES)
    is_request = code == ACCESS_REQUEST
    if eap is None or eap.is_from_client != is_request:
        return None
    state, caller = values.get(STATE, b""), values.get(CALLING_STATION_ID, b"")
    return Radius(is_request, identifier, authenticator, state, caller, eap)
