"""TLS 1.2 messages as a browser and a web server exchange them with ECDHE-ECDSA-AES128-GCM-SHA256 (RFC 5246, 5289).

The bytes parse; keys, signatures and everything encrypted are noise, since no passive reader can tell.
"""

from __future__ import annotations

from base64 import b64decode
from functools import reduce
from operator import add

from benchmarks.template import Template, letters, literal, noise

__all__ = ["application_data", "client_flight", "client_hello", "close_notify", "server_finish", "server_flight"]

_ALERT, _CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION_DATA = 21, 20, 22, 23
_TLS_1_0, _TLS_1_2 = b"\x03\x01", b"\x03\x03"
_SUITE = b"\xc0\x2b"
_GCM_OVERHEAD_BYTES = 24  # explicit nonce 8, tag 16 (RFC 5288 section 3)

_CERTIFICATE = b64decode(
    "MIIBtzCCAV2gAwIBAgIUdEUJRjWP5Ozxc8EqtFFRtFiTWZ0wCgYIKoZIzj0EAwIwIDEeMBwGA1UEAwwVd3d3LmJlbmNobWFyay5l"
    "eGFtcGxlMCAXDTI2MTEyMzIwNDIwOFoYDzIxMjYxMDMwMjA0MjA4WjAgMR4wHAYDVQQDDBV3d3cuYmVuY2htYXJrLmV4YW1wbGUw"
    "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARIVir7YTKj+vbE/pBPIr/VPMjd4UtyYnARmm/HEs0VPF+B0AzuGFAYnBLapBN4Emzz"
    "tO1KSa/KrcPareJGCjVHo3MwcTAdBgNVHQ4EFgQU0m/gm7Q4KKhIhl39Pgsv55D06u8wHwYDVR0jBBgwFoAU0m/gm7Q4KKhIhl39"
    "Pgsv55D06u8wDwYDVR0TAQH/BAUwAwEB/zAeBgNVHREEFzAVghMqLmJlbmNobWFyay5leGFtcGxlMAoGCCqGSM49BAMCA0gAMEUC"
    "IQC7iZhWYGD/nb07+hA+7WK/MryagRctB8Q0nYDZymc68AIgEiX5jLqdoo7oojCWOc3+RBoqzgCERSM9/jMcxNcbv5w="
)
"""Self-signed, P-256; its key was thrown away."""


def client_hello() -> Template:
    """The first flight of a client; its random and the host it asks for differ by connection."""
    host = literal(b"www.") + letters(8) + literal(b".example")
    extensions = [
        _extension(0, _vector(literal(b"\x00") + _vector(host, 2), 2)),  # server_name
        _extension(23, literal(b"")),  # extended_master_secret
        _extension(0xFF01, literal(b"\x00")),  # renegotiation_info
        _extension(10, _vector(literal(bytes.fromhex("001d00170018")), 2)),  # supported_groups
        _extension(11, _vector(literal(b"\x00"), 1)),  # ec_point_formats
        _extension(35, literal(b"")),  # session_ticket
        _extension(16, _vector(literal(b"\x02h2\x08http/1.1"), 2)),  # ALPN
        _extension(5, literal(bytes.fromhex("0100000000"))),  # status_request
        _extension(13, _vector(literal(bytes.fromhex("0403080404010503080505010806060102010203")), 2)),
    ]
    suites = literal(bytes.fromhex("c02bc02fc02cc030cca9cca8c013c014009c009d002f0035"))
    hello = literal(_TLS_1_2) + noise(32) + _vector(literal(b""), 1) + _vector(suites, 2)
    hello += _vector(literal(b"\x00"), 1) + _vector(_join(extensions), 2)
    return _record(_HANDSHAKE, _handshake(1, hello), version=_TLS_1_0)


def server_flight() -> Template:
    """ServerHello, Certificate, ServerKeyExchange, ServerHelloDone, a record each."""
    extensions = [
        _extension(0xFF01, literal(b"\x00")),  # renegotiation_info
        _extension(23, literal(b"")),  # extended_master_secret
        _extension(11, _vector(literal(b"\x00"), 1)),  # ec_point_formats
        _extension(16, _vector(literal(b"\x02h2"), 2)),  # ALPN
    ]
    hello = literal(_TLS_1_2) + noise(32) + _vector(literal(b""), 1) + literal(_SUITE + b"\x00")
    hello += _vector(_join(extensions), 2)
    certificates = _vector(_vector(literal(_CERTIFICATE), 3), 3)
    x25519_key = literal(b"\x03\x00\x1d") + _vector(noise(32), 1)
    signature = literal(b"\x04\x03") + _vector(noise(71), 2)
    messages = [_handshake(2, hello), _handshake(11, certificates), _handshake(12, x25519_key + signature)]
    return _join([_record(_HANDSHAKE, message) for message in [*messages, _handshake(14, literal(b""))]])


def client_flight() -> Template:
    """ClientKeyExchange, ChangeCipherSpec, Finished."""
    return _record(_HANDSHAKE, _handshake(16, _vector(noise(32), 1))) + server_finish()


def server_finish() -> Template:
    """ChangeCipherSpec, Finished."""
    return _record(_CHANGE_CIPHER_SPEC, literal(b"\x01")) + _sealed(_HANDSHAKE, 16)


def application_data(plain_bytes: int, sequence: int = 1) -> Template:
    """One record of so many bytes before encryption; ``sequence`` is its number, which GCM's explicit nonce repeats."""
    return _sealed(_APPLICATION_DATA, plain_bytes, sequence)


def close_notify() -> Template:
    """The alert that ends a session."""
    return _sealed(_ALERT, 2, sequence=2)


def _sealed(content_type: int, plain_bytes: int, sequence: int = 0) -> Template:
    nonce = literal(sequence.to_bytes(8, "big"))
    return _record(content_type, nonce + noise(plain_bytes + _GCM_OVERHEAD_BYTES - len(nonce)))


def _record(content_type: int, body: Template, version: bytes = _TLS_1_2) -> Template:
    return literal(bytes([content_type]) + version) + _vector(body, 2)


def _handshake(message_type: int, body: Template) -> Template:
    return literal(bytes([message_type])) + _vector(body, 3)


def _extension(number: int, body: Template) -> Template:
    return literal(number.to_bytes(2, "big")) + _vector(body, 2)


def _vector(body: Template, length_bytes: int) -> Template:
    return literal(len(body).to_bytes(length_bytes, "big")) + body


def _join(parts: list[Template]) -> Template:
    return reduce(add, parts)
