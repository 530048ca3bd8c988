"""EAP packets (RFC 3748), and the TLS that some methods carry in pieces: EAP-TLS (RFC 5216), EAP-TTLS (RFC 5281), PEAP
(draft-josefsson-pppext-eap-tls-eap), EAP-FAST (RFC 4851) and TEAP (RFC 7170), which frame it alike.

A side may send the next piece only when the other has answered: pieces come in order, and a hole shows in the
identifiers. What is told of the length of a message and of more to come is not believed, and not needed: the pieces of
a direction, one behind the other, are its stream of TLS.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from hbids.decode.reference.record import may_be_client_hello

if TYPE_CHECKING:
    from hbids.decode.reference.run import Run
    from hbids.decode.reference.stream import Stream

__all__ = ["CONVERSING_BYTES", "FAILURE", "IDENTITY", "REQUEST", "RESPONSE", "SUCCESS", "Conversing", "Eap", "read_eap"]

REQUEST, RESPONSE, SUCCESS, FAILURE = 1, 2, 3, 4
IDENTITY = 1
TEAP = 55
TLS_METHODS = (13, 21, 25, 43, TEAP)
HAS_LENGTH, IS_START, HAS_OUTER_TLVS = 0x80, 0x20, 0x10
LENGTH_BYTES = 4
CONVERSING_BYTES = 64
"""What the native engine needs for it."""
MOST_LOST = 127
"""Identifiers count modulo 256: what seems to lie further ahead lies behind."""

_HEADER = Struct(">BBH")


class Eap(NamedTuple):
    """An EAP packet as captured."""

    code: int
    identifier: int
    method: int
    """0 where there is none: in Success and Failure."""
    is_start: bool
    """The server begins a method that carries TLS."""
    data: bytes
    """The piece of TLS."""
    length: int
    """Of the piece; larger than ``data`` when a snap length cut it."""
    raw: bytes

    @property
    def carries_tls(self) -> bool:
        """Whether it belongs to the TLS of its method, be it empty."""
        return self.method in TLS_METHODS and not self.is_start

    @property
    def is_from_client(self) -> bool:
        """Whether the supplicant sent it."""
        return self.code == RESPONSE

    @property
    def may_begin_tls(self) -> bool:
        """Whether a client's hello begins here."""
        return self.is_from_client and bool(self.data) and may_be_client_hello(self.data[:6])


def read_eap(captured: bytes, claimed_bytes: int) -> Eap | None:
    """A packet in ``claimed_bytes``, which may be more than were captured; what follows its own length is padding. None
    when it is not sound: its receiver discards it (RFC 3748 section 4)."""
    if len(captured) < _HEADER.size:
        return None
    code, identifier, packet_bytes = _HEADER.unpack_from(captured)
    has_method = code in (REQUEST, RESPONSE)
    least = _HEADER.size + has_method
    raw = captured[:packet_bytes]
    if not REQUEST <= code <= FAILURE or not least <= packet_bytes <= claimed_bytes or len(raw) < least:
        return None
    method = raw[_HEADER.size] if has_method else 0
    is_start, data, length = False, b"", 0
    if method in TLS_METHODS:
        piece = _read_piece(method, raw[least:], packet_bytes - least)
        if piece is None:
            return None
        flags, data, length = piece
        if code == REQUEST and flags & IS_START:  # carries no TLS, whatever it carries
            is_start, data, length = True, b"", 0
    return Eap(code, identifier, method, is_start, data, length, raw)


def _read_piece(method: int, captured: bytes, claimed_bytes: int) -> tuple[int, bytes, int] | None:
    """Flags, piece of TLS and its length; TEAP may have TLVs of its own behind it."""
    flags = captured[0] if captured else 0
    begin, end = min(1, claimed_bytes), claimed_bytes
    if flags & HAS_LENGTH:
        begin += LENGTH_BYTES
    if method == TEAP and flags & HAS_OUTER_TLVS:
        outer_bytes = int.from_bytes(captured[begin : begin + LENGTH_BYTES], "big")
        begin += LENGTH_BYTES
        if outer_bytes <= end - begin:
            end -= outer_bytes
    return (flags, captured[begin:end], end - begin) if begin <= end else None


class Conversing:
    """Who said what last in one conversation: which packets bring something new."""

    def __init__(self, run: Run, streams: list[Stream]) -> None:
        self._run = run
        self._streams = streams
        self._request: tuple[int, int] | None = None
        """Identifier and hash of the last Request."""
        self._is_answered = False
        self._identifiers: list[int | None] = [None, None]
        """Of each side's last packet."""
        self._last_bytes = [0, 0]
        """How long each side's last piece was."""
        self._may_begin_anew = False
        """Something was said that stands at the beginning of a conversation, after TLS had begun."""
        self.has_tls = False

    def is_begun_anew_by(self, eap: Eap) -> bool:
        """Whether a client's hello follows what begins a conversation: who only says that it begins may go on with the
        old one."""
        return self._may_begin_anew and eap.may_begin_tls

    def takes(self, side: int, eap: Eap) -> bool:
        """Read a packet; False when its receiver has no use for it. A Response counts when it answers the last Request
        (RFC 3748 section 4.1); a Request is a repetition when all of it is."""
        if eap.is_from_client:
            if not self._is_open(side, eap):
                return False
            self._is_answered = True
        elif eap.code == REQUEST:
            request = eap.identifier, hash(eap.raw)
            if request == self._request:
                self._run.counters["eap_repeated"] += 1
                return False
            self._request, self._is_answered = request, False
        else:
            return True
        if eap.is_start:
            self._identifiers = [None, None]
        self._follow(side, eap)
        if eap.is_start or eap.method == IDENTITY:
            self._may_begin_anew = self.has_tls
        elif eap.is_from_client and eap.data:
            self._may_begin_anew = False
        if eap.length:
            self.has_tls = True
            self._streams[side].append(eap.data, eap.length)
        return True

    def _is_open(self, side: int, eap: Eap) -> bool:
        """Whether somebody waits for this Response."""
        if self._request is None:  # only this side was captured
            is_repeated = eap.identifier == self._identifiers[side]
        elif eap.identifier == self._request[0]:
            is_repeated = self._is_answered
        else:
            self._run.counters["eap_unasked"] += 1
            return False
        if is_repeated:
            self._run.counters["eap_repeated"] += 1
        return not is_repeated

    def _follow(self, side: int, eap: Eap) -> None:
        """Note how many packets of this side are missing. Each is taken to be as long as the one before: all pieces of
        a message but the last are."""
        last = self._identifiers[side]
        missing = 0 if last is None else (eap.identifier - last - 1) & 0xFF
        if 0 < missing < MOST_LOST:
            self._streams[side].skip(missing * max(1, self._last_bytes[side]))
        self._identifiers[side] = eap.identifier
        self._last_bytes[side] = eap.length
