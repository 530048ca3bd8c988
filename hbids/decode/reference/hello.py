"""ClientHello and ServerHello (RFC 5246 section 7.4.1, RFC 8446 section 4.1) and the fingerprints made of them.

Reading is lenient: a length that claims more than there is, is cut to what is there, so that a lie costs a field and
never the hello. The first of several equal extensions counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5, sha256
from struct import unpack

from hbids.facts import ABSENT

__all__ = ["ClientHello", "ServerHello", "parse_client_hello", "parse_server_hello"]

EXT_SNI, EXT_MAX_FRAGMENT, EXT_GROUPS, EXT_POINT_FORMATS, EXT_SIGNATURES = 0, 1, 10, 11, 13
EXT_HEARTBEAT, EXT_ALPN, EXT_ENCRYPT_THEN_MAC, EXT_PRE_SHARED_KEY, EXT_VERSIONS = 15, 16, 22, 41, 43
MINIMUM_BYTES = 34  # version and random
FULL_FRAGMENT = 16_384  # RFC 5246 section 6.2.1
JA4_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}

Extensions = list[tuple[int, bytes]]


@dataclass(slots=True)
class ClientHello:
    """What a ClientHello says."""

    version: int
    random: bytes
    session_id: bytes
    ciphers: list[int] = field(default_factory=list)
    extensions: Extensions = field(default_factory=list)
    is_dtls: bool = False

    @property
    def heartbeat_mode(self) -> int:
        """Mode byte of extension 15; 0 when it is empty, ABSENT without it."""
        return _heartbeat_mode(self.extensions)

    @property
    def server_name(self) -> bytes:
        """First name of type host_name (RFC 6066 section 3)."""
        names = _vector16(_first(self.extensions, EXT_SNI) or b"")
        return _vector16(names[1:]) if names[:1] == b"\x00" else b""

    @property
    def protocols(self) -> list[bytes]:
        """ALPN names in order (RFC 7301)."""
        rest = _vector16(_first(self.extensions, EXT_ALPN) or b"")
        names = []
        while rest:
            name = _vector8(rest)
            names.append(name)
            rest = rest[1 + len(name) :]
        return names

    def ja3(self) -> str:
        """MD5 over version, ciphers, extensions, groups and point formats, GREASE left out."""
        parts = (
            [self.version],
            _without_grease(self.ciphers),
            _without_grease([number for number, _ in self.extensions]),
            _without_grease(_words(_vector16(_first(self.extensions, EXT_GROUPS) or b""))),
            list(_vector8(_first(self.extensions, EXT_POINT_FORMATS) or b"")),
        )
        return _md5(",".join("-".join(map(str, part)) for part in parts))

    def ja4(self) -> str:
        """JA4 of FoxIO (the client fingerprint, BSD-3-Clause)."""
        versions = _without_grease(_words(_vector8(_first(self.extensions, EXT_VERSIONS) or b"")))
        highest = min if self.is_dtls else max  # DTLS counts down from 0xfeff
        version = JA4_VERSIONS.get(highest(versions, default=self.version), "00")
        ciphers = _without_grease(self.ciphers)
        numbers = _without_grease([number for number, _ in self.extensions])
        name = "d" if EXT_SNI in numbers else "i"
        counts = f"{min(len(ciphers), 99):02}{min(len(numbers), 99):02}"
        sorted_numbers = sorted(number for number in numbers if number not in (EXT_SNI, EXT_ALPN))
        listed = _hex_words(sorted_numbers)
        signatures = _without_grease(_words(_vector16(_first(self.extensions, EXT_SIGNATURES) or b"")))
        if listed and signatures:
            listed += "_" + _hex_words(signatures)
        transport = "d" if self.is_dtls else "t"
        head = transport + version + name + counts + _ja4_protocol(self.protocols)
        return f"{head}_{_sha12(_hex_words(sorted(ciphers)))}_{_sha12(listed)}"


@dataclass(slots=True)
class ServerHello:
    """What a ServerHello says."""

    version: int
    random: bytes
    session_id: bytes
    cipher: int
    extensions: Extensions

    @property
    def negotiated_version(self) -> int:
        """The version spoken: supported_versions where present (RFC 8446 section 4.2.1)."""
        selected = _first(self.extensions, EXT_VERSIONS)
        return int.from_bytes(selected[:2], "big") if selected and len(selected) >= 2 else self.version

    @property
    def heartbeat_mode(self) -> int:
        """As of the ClientHello."""
        return _heartbeat_mode(self.extensions)

    @property
    def protocol(self) -> bytes:
        """The ALPN name selected."""
        return _vector8(_vector16(_first(self.extensions, EXT_ALPN) or b""))

    @property
    def encrypt_then_mac(self) -> bool:
        """RFC 7366 agreed."""
        return _first(self.extensions, EXT_ENCRYPT_THEN_MAC) is not None

    @property
    def pre_shared_key(self) -> bool:
        """A TLS 1.3 resumption (RFC 8446 section 4.2.11)."""
        return _first(self.extensions, EXT_PRE_SHARED_KEY) is not None

    @property
    def fragment_bytes(self) -> int:
        """Largest plaintext of a record (RFC 6066 section 4)."""
        code = _first(self.extensions, EXT_MAX_FRAGMENT)
        return 256 << code[0] if code and 1 <= code[0] <= 4 else FULL_FRAGMENT

    def ja3s(self) -> str:
        """MD5 over version, cipher and extensions, GREASE left out."""
        numbers = "-".join(map(str, _without_grease([number for number, _ in self.extensions])))
        return _md5(f"{self.version},{self.cipher},{numbers}")


def parse_client_hello(body: bytes, *, is_dtls: bool = False) -> ClientHello | None:
    """A handshake message body of type 1; None when it is too short to be one. The cookie of DTLS (RFC 6347 section
    4.2.1) is left out."""
    if len(body) < MINIMUM_BYTES:
        return None
    session_id = _vector8(body[34:])
    rest = body[35 + len(session_id) :]
    if is_dtls:
        rest = rest[1 + len(_vector8(rest)) :]
    ciphers = _vector16(rest)
    rest = rest[2 + len(ciphers) :]
    rest = rest[1 + len(_vector8(rest)) :]  # compression methods
    return ClientHello(_be16(body), body[2:34], session_id, _words(ciphers), _extensions(_vector16(rest)), is_dtls)


def parse_server_hello(body: bytes) -> ServerHello | None:
    """A handshake message body of type 2; None when it is too short to name a cipher suite."""
    if len(body) < MINIMUM_BYTES:
        return None
    session_id = _vector8(body[34:])
    rest = body[35 + len(session_id) :]
    if len(rest) < 2:
        return None
    return ServerHello(_be16(body), body[2:34], session_id, _be16(rest), _extensions(_vector16(rest[3:])))


def _be16(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def _vector8(data: bytes) -> bytes:
    return data[1 : 1 + data[0]] if data else b""


def _vector16(data: bytes) -> bytes:
    return data[2 : 2 + _be16(data)] if len(data) >= 2 else b""


def _words(data: bytes) -> list[int]:
    count = len(data) // 2
    return list(unpack(f">{count}H", data[: 2 * count]))


def _extensions(data: bytes) -> Extensions:
    found = []
    while len(data) >= 4:
        value = _vector16(data[2:])
        found.append((_be16(data), value))
        data = data[4 + len(value) :]
    return found


def _first(extensions: Extensions, number: int) -> bytes | None:
    return next((value for found, value in extensions if found == number), None)


def _heartbeat_mode(extensions: Extensions) -> int:
    value = _first(extensions, EXT_HEARTBEAT)
    if value is None:
        return ABSENT
    return value[0] if value else 0


def _without_grease(numbers: list[int]) -> list[int]:
    """RFC 8701: reserved values that clients sprinkle in at random."""
    return [number for number in numbers if not (number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF)]


def _hex_words(numbers: list[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _ja4_protocol(protocols: list[bytes]) -> str:
    name = protocols[0] if protocols else b""
    if not name:
        return "00"
    if all(chr(byte).isascii() and chr(byte).isalnum() for byte in (name[0], name[-1])):
        return chr(name[0]) + chr(name[-1])
    text = name.hex()
    return text[0] + text[-1]


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha12(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
