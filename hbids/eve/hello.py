"""Hellos from what EVE's ``tls`` event keeps of them: versions, suites, extensions, fingerprints (JA3's text)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hbids.eve.values import numbers_of, object_of, text_of
from hbids.facts import ABSENT, NO_SUITE, NO_VERSION, NOT_SEEN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TlsSession", "session_of"]

_VERSIONS = {
    "SSLv2": 0x0002,
    "SSLv3": 0x0300,
    "TLSv1": 0x0301,
    "TLS 1.0": 0x0301,
    "TLS 1.1": 0x0302,
    "TLS 1.2": 0x0303,
    "TLS 1.3": 0x0304,
}
_GROUPS, _POINT_FORMATS, _HEARTBEAT, _ENCRYPT_THEN_MAC = 10, 11, 15, 22
_PEER_ALLOWED_TO_SEND = 1
"""Mode of the heartbeat extension (RFC 6520 section 2). EVE tells that it is there; which mode, it does not."""
_MOST_NUMBERS = 1_024
"""Suites or extensions of one hello that are believed; real ones have a tenth of it."""

_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO = 22, 1, 2


@dataclass(slots=True)
class TlsSession:
    """What a ``tls`` event says."""

    time_ns: int
    tls_version: int = NO_VERSION
    client_version: int = NO_VERSION
    server_version: int = NO_VERSION
    cipher_suite: int = NO_SUITE
    suites: list[int] = field(default_factory=list)
    client_extensions: list[int] | None = None
    server_extensions: list[int] | None = None
    groups: list[int] = field(default_factory=list)
    point_formats: list[int] = field(default_factory=list)
    resumed: bool | None = None
    sni: str = ""
    ja3: str = ""
    ja3s: str = ""
    ja4: str = ""

    @property
    def heartbeat_offered(self) -> int:
        """As in the facts."""
        return _heartbeat_mode(self.client_extensions)

    @property
    def heartbeat_accepted(self) -> int:
        """As in the facts."""
        return _heartbeat_mode(self.server_extensions)

    @property
    def encrypt_then_mac(self) -> bool | None:
        """None when not known."""
        return None if self.server_extensions is None else _ENCRYPT_THEN_MAC in self.server_extensions

    @property
    def is_complete(self) -> bool:
        """Enough is known to stand in for the hellos: what was agreed on."""
        return self.server_extensions is not None and self.cipher_suite != NO_SUITE

    def client_hello(self) -> bytes:
        """A record with a ClientHello that says what is known of the real one; its random is zero."""
        suites = self.suites or ([self.cipher_suite] if self.cipher_suite != NO_SUITE else [])
        body = struct.pack("!H32xB", self.client_version or self.tls_version or 0x0303, 0)
        body += _vector16(_words(suites)) + b"\x01\x00"
        body += self._extensions(self.client_extensions or [])
        return _record(_HANDSHAKE, bytes((_CLIENT_HELLO,)) + len(body).to_bytes(3) + body)

    def server_hello(self) -> bytes:
        """Likewise a ServerHello."""
        body = struct.pack("!H32xBHB", self.server_version or self.tls_version or 0x0303, 0, self.cipher_suite, 0)
        body += self._extensions(self.server_extensions or [])
        return _record(_HANDSHAKE, bytes((_SERVER_HELLO,)) + len(body).to_bytes(3) + body)

    def _extensions(self, numbers: list[int]) -> bytes:
        bodies = {
            _GROUPS: _vector16(_words(self.groups)),
            _POINT_FORMATS: bytes((len(self.point_formats),)) + bytes(self.point_formats),
            _HEARTBEAT: bytes((_PEER_ALLOWED_TO_SEND,)),
        }
        return _vector16(b"".join(number.to_bytes(2) + _vector16(bodies.get(number, b"")) for number in numbers))


def session_of(tls: Mapping[str, Any], time_ns: int) -> TlsSession:
    """Read the ``tls`` object of an event; what is not there, or no sense, is not known."""
    session = TlsSession(time_ns, tls_version=_VERSIONS.get(text_of(tls, "version"), NO_VERSION))
    session.sni = text_of(tls, "sni")
    session.ja4 = _ascii(text_of(tls, "ja4"))
    if isinstance(tls.get("session_resumed"), bool):
        session.resumed = tls["session_resumed"]
    ja3, ja3s = object_of(tls, "ja3"), object_of(tls, "ja3s")
    session.ja3, session.ja3s = _ascii(text_of(ja3, "hash")), _ascii(text_of(ja3s, "hash"))
    client, server = _fields(text_of(ja3, "string"), 5), _fields(text_of(ja3s, "string"), 3)
    if client:
        session.client_version = _only(client[0], NO_VERSION)
        session.suites, session.client_extensions, session.groups = client[1:4]
        session.point_formats = [number for number in client[4] if number < 256][:255]
    if server:
        session.server_version, session.cipher_suite = _only(server[0], NO_VERSION), _only(server[1], NO_SUITE)
        session.server_extensions = server[2]
    _read_handshakes(session, object_of(tls, "client_handshake"), object_of(tls, "server_handshake"))
    return session


def _read_handshakes(session: TlsSession, client: Mapping[str, Any], server: Mapping[str, Any]) -> None:
    """The objects that Suricata 8 has under these names."""
    if "exts" in client:
        session.client_extensions = numbers_of(client, "exts", 0xFFFF, _MOST_NUMBERS)
        session.suites = session.suites or numbers_of(client, "ciphers", 0xFFFF, _MOST_NUMBERS)
    if "exts" in server:
        session.server_extensions = numbers_of(server, "exts", 0xFFFF, _MOST_NUMBERS)
    suite = server.get("cipher")
    if isinstance(suite, int) and 0 <= suite < NO_SUITE:
        session.cipher_suite = suite


def _ascii(text: str) -> str:
    return text[:36] if text.isascii() else ""


def _heartbeat_mode(extensions: list[int] | None) -> int:
    if extensions is None:
        return NOT_SEEN
    return _PEER_ALLOWED_TO_SEND if _HEARTBEAT in extensions else ABSENT


def _fields(text: str, count: int) -> list[list[int]]:
    """The lists of numbers in JA3's text; empty when it is none."""
    parts = text.split(",")
    if len(parts) != count:
        return []
    lists = [[int(word) for word in part.split("-")[:_MOST_NUMBERS] if _is_short_number(word)] for part in parts]
    return [[number for number in numbers if number <= 0xFFFF] for numbers in lists]


def _is_short_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 5


def _only(numbers: list[int], otherwise: int) -> int:
    return numbers[0] if len(numbers) == 1 else otherwise


def _record(content_type: int, body: bytes) -> bytes:
    return struct.pack("!BHH", content_type, 0x0301, len(body)) + body


def _vector16(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data


def _words(numbers: list[int]) -> bytes:
    return b"".join(number.to_bytes(2) for number in numbers)
