"""TLS records and messages as bytes, honest or not. Every length can be made to lie."""

from __future__ import annotations

import random
import struct
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, FINISHED = 1, 2, 11, 20
REQUEST, RESPONSE = 1, 2
SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
FRAGMENT_BYTES, PADDING_BYTES = 16_384, 16

AES_GCM, AES_CBC, RC4, CHACHA = 0xC02F, 0x002F, 0x0005, 0xCCA8

CLIENT_RANDOM, SERVER_RANDOM = bytes(range(32)), bytes(range(100, 132))


def record(content_type: int, body: bytes, *, version: int = TLS_1_2, length: int | None = None) -> bytes:
    return struct.pack(">BHH", content_type, version, len(body) if length is None else length) + body


def vector(length_bytes: int, data: bytes, *, length: int | None = None) -> bytes:
    """A vector of RFC 5246 section 4.3: its length in so many bytes, then the data."""
    return (len(data) if length is None else length).to_bytes(length_bytes, "big") + data


def words(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


# --- hellos ---------------------------------------------------------------------------------------------------------


def handshake(message_type: int, body: bytes, *, length: int | None = None) -> bytes:
    return bytes([message_type]) + vector(3, body, length=length)


def extension(number: int, data: bytes = b"", *, length: int | None = None) -> bytes:
    return number.to_bytes(2, "big") + vector(2, data, length=length)


def heartbeat_extension(mode: int = 1) -> bytes:
    return extension(15, bytes([mode]))


def server_name(name: bytes) -> bytes:
    return extension(0, vector(2, b"\x00" + vector(2, name)))


def protocols(*names: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def groups(*numbers: int) -> bytes:
    return extension(10, vector(2, words(numbers)))


def point_formats(*numbers: int) -> bytes:
    return extension(11, vector(1, bytes(numbers)))


def signature_algorithms(*numbers: int) -> bytes:
    return extension(13, vector(2, words(numbers)))


def supported_versions(*numbers: int) -> bytes:
    return extension(43, vector(1, words(numbers)))


def selected_version(number: int) -> bytes:
    return extension(43, words([number]))


ENCRYPT_THEN_MAC, SESSION_TICKET = extension(22), extension(35)


def client_hello_body(
    *,
    version: int = TLS_1_2,
    random: bytes = CLIENT_RANDOM,
    session_id: bytes = b"",
    ciphers: Iterable[int] = (AES_GCM, AES_CBC),
    extensions: Iterable[bytes] | None = (heartbeat_extension(),),
) -> bytes:
    """``extensions`` None leaves out even their length, as SSL 3.0 does."""
    body = words([version]) + random + vector(1, session_id) + vector(2, words(ciphers)) + vector(1, b"\x00")
    return body if extensions is None else body + vector(2, b"".join(extensions))


def server_hello_body(
    *,
    version: int = TLS_1_2,
    random: bytes = SERVER_RANDOM,
    session_id: bytes = b"",
    cipher: int = AES_GCM,
    extensions: Iterable[bytes] | None = (heartbeat_extension(),),
) -> bytes:
    body = words([version]) + random + vector(1, session_id) + words([cipher]) + b"\x00"
    return body if extensions is None else body + vector(2, b"".join(extensions))


def client_hello(body: bytes | None = None, *, version: int = TLS_1_0) -> bytes:
    """A record with a whole ClientHello; ``version`` is the record's."""
    return record(HANDSHAKE, handshake(CLIENT_HELLO, client_hello_body() if body is None else body), version=version)


def server_hello(body: bytes | None = None) -> bytes:
    return record(HANDSHAKE, handshake(SERVER_HELLO, server_hello_body() if body is None else body))


def certificate() -> bytes:
    return record(HANDSHAKE, handshake(CERTIFICATE, bytes(700)) + handshake(14, b""))


# --- the rest of a session ------------------------------------------------------------------------------------------


def ccs() -> bytes:
    return record(CHANGE_CIPHER_SPEC, b"\x01")


def finished() -> bytes:
    """Sealed, so only its size shows."""
    return record(HANDSHAKE, noise(40))


def alert(level: int = 1, description: int = 0) -> bytes:
    return record(ALERT, bytes([level, description]))


def application_data(length: int = 100) -> bytes:
    return record(APPLICATION_DATA, noise(length))


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that look sealed, the same in every run."""
    return random.Random(seed * 100_000 + length).randbytes(length)  # noqa: S311  data, not secrets


# --- heartbeats -----------------------------------------------------------------------------------------------------


def heartbeat(message_type: int, claimed: int, carried: bytes = b"", *, version: int = TLS_1_2) -> bytes:
    """A clear heartbeat in one record: ``claimed`` is its payload_length, ``carried`` its payload and padding."""
    return record(HEARTBEAT, bytes([message_type]) + words([claimed]) + carried, version=version)


def request(claimed: int, carried: bytes = b"") -> bytes:
    return heartbeat(REQUEST, claimed, carried)


def honest_request(payload: bytes = b"18 bytes of payload"[:18]) -> bytes:
    return request(len(payload), payload + noise(PADDING_BYTES))


def answer(claimed: int, *, fragment: int = FRAGMENT_BYTES, memory: bytes | None = None) -> list[bytes]:
    """What a vulnerable peer sends: header, ``claimed`` bytes, 16 of padding, cut into records of ``fragment``."""
    memory = noise(claimed) if memory is None else (memory + noise(claimed))[:claimed]
    message = bytes([RESPONSE]) + words([claimed]) + memory + noise(PADDING_BYTES, seed=2)
    return [record(HEARTBEAT, message[at : at + fragment]) for at in range(0, len(message), fragment)]


def sealed(*lengths: int) -> bytes:
    """Sealed heartbeat records of these lengths, back to back."""
    return b"".join(record(HEARTBEAT, noise(length, seed)) for seed, length in enumerate(lengths, 3))


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    """The pieces between these offsets."""
    edges = [0, *at, len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]
