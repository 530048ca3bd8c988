"""DTLS as bytes, honest or not, and the datagrams that carry it. Whatever is not named here is as in TLS."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.capture.build import Frame
from tests.support import framing, tls
from tests.support.conversation import START_NS, STEP_NS, TO_CLIENT, TO_SERVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hbids.facts import Direction

DTLS_1_0, DTLS_1_2, DTLS_1_3, BAD_VERSION = 0xFEFF, 0xFEFD, 0xFEFC, 0x0100
HEADER_BYTES = 13
HELLO_VERIFY_REQUEST, TLS12_CID = 3, 25
PROTOCOL_UDP = 17
COOKIE = b"twenty bytes of cook"


def record(
    content_type: int,
    body: bytes,
    sequence: int,
    *,
    epoch: int = 0,
    version: int = DTLS_1_2,
    length: int | None = None,
) -> bytes:
    length = len(body) if length is None else length
    numbers = struct.pack(">HHHIH", version, epoch, sequence >> 32, sequence & 0xFFFF_FFFF, length)
    return bytes([content_type]) + numbers + body


def fragment(message_type: int, body: bytes, number: int, begin: int = 0, end: int | None = None) -> bytes:
    """Bytes ``begin`` to ``end`` of a handshake message, with their header."""
    data = body[begin:end]
    lengths = b"".join(value.to_bytes(3, "big") for value in (begin, len(data)))
    return bytes([message_type]) + len(body).to_bytes(3, "big") + number.to_bytes(2, "big") + lengths + data


def client_hello_body(
    *,
    cookie: bytes = b"",
    version: int = DTLS_1_2,
    random: bytes = tls.CLIENT_RANDOM,
    extensions: Sequence[bytes] = (tls.heartbeat_extension(),),
) -> bytes:
    ciphers = tls.vector(2, tls.words([tls.AES_GCM, tls.AES_CBC]))
    hello = tls.words([version]) + random + tls.vector(1, b"") + tls.vector(1, cookie)
    return hello + ciphers + tls.vector(1, b"\x00") + tls.vector(2, b"".join(extensions))


def server_hello_body(
    *,
    version: int = DTLS_1_2,
    random: bytes = tls.SERVER_RANDOM,
    cipher: int = tls.AES_GCM,
    extensions: Sequence[bytes] = (tls.heartbeat_extension(),),
) -> bytes:
    return tls.server_hello_body(version=version, random=random, cipher=cipher, extensions=extensions)


def heartbeat(message_type: int, claimed: int, carried: bytes = b"") -> bytes:
    """The message alone."""
    return bytes([message_type]) + tls.words([claimed]) + carried


HELLO = client_hello_body(cookie=COOKIE)
LIE = heartbeat(tls.REQUEST, 0x4000)
HONEST = heartbeat(tls.REQUEST, 18, bytes(18 + tls.PADDING_BYTES))


@dataclass(slots=True)
class Exchange:
    """Datagrams between two endpoints, a millisecond apart. Records are numbered by direction and epoch."""

    client: tuple[str, int] = ("10.0.0.1", 40_000)
    server: tuple[str, int] = ("10.0.0.2", 4_433)
    now_ns: int = START_NS
    frames: list[Frame] = field(default_factory=list)
    numbers: dict[tuple[Direction, int], int] = field(default_factory=dict)
    checksums: bool = False
    """Whether datagrams have right ones, or none."""

    # --- what happens ---

    def send(self, way: Direction, payload: bytes, *, captured_bytes: int | None = None) -> Frame:
        """Any datagram; ``captured_bytes`` of its payload, when a snap length cuts it."""
        (source, source_port), (target, target_port) = (
            (self.client, self.server) if way == TO_SERVER else (self.server, self.client)
        )
        datagram = struct.pack(">HHHH", source_port, target_port, 8 + len(payload), 0) + payload
        if self.checksums:
            datagram = framing.with_checksum(source, target, datagram, PROTOCOL_UDP)
        if ":" in source:
            packet = framing.ipv6(source, target, 64, datagram, first=PROTOCOL_UDP)
        else:
            packet = framing.ipv4(source, target, 64, datagram, protocol=PROTOCOL_UDP)
        data = framing.ETHERNET.wrap(packet)
        cut = None if captured_bytes is None else len(data) - len(payload) + captured_bytes
        frame = Frame(self.now_ns, data[:cut], len(data))
        self.frames.append(frame)
        self.now_ns += STEP_NS
        return frame

    def next(self, way: Direction, content_type: int, body: bytes, *, epoch: int = 0, version: int = DTLS_1_2) -> bytes:
        """The side's next record, not sent."""
        number = self.numbers.get((way, epoch), 0)
        self.numbers[way, epoch] = number + 1
        return record(content_type, body, number, epoch=epoch, version=version)

    def say(self, way: Direction, content_type: int, body: bytes, *, epoch: int = 0) -> Frame:
        """A datagram of one record."""
        return self.send(way, self.next(way, content_type, body, epoch=epoch))

    def beat(self, way: Direction, body: bytes = LIE, *, epoch: int = 0) -> Frame:
        """A heartbeat; ``body`` is what is on the wire, clear or sealed."""
        return self.say(way, tls.HEARTBEAT, body, epoch=epoch)

    def ask(self, body: bytes, number: int = 0) -> Frame:
        """A ClientHello in one piece."""
        return self.say(TO_SERVER, tls.HANDSHAKE, fragment(tls.CLIENT_HELLO, body, number))

    def answer(self, body: bytes | None = None, number: int = 0) -> Frame:
        """A ServerHello in one piece."""
        body = server_hello_body() if body is None else body
        return self.say(TO_CLIENT, tls.HANDSHAKE, fragment(tls.SERVER_HELLO, body, number))

    def demand_cookie(self) -> Frame:
        body = tls.words([DTLS_1_0]) + tls.vector(1, COOKIE)
        return self.say(TO_CLIENT, tls.HANDSHAKE, fragment(HELLO_VERIFY_REQUEST, body, 0))

    def greet(self, server: bytes | None = None) -> Exchange:
        """Both hellos, with a cookie."""
        self.ask(client_hello_body())
        self.demand_cookie()
        self.ask(client_hello_body(cookie=COOKIE), 1)
        self.answer(server, 1)
        return self

    def finish(self) -> Exchange:
        """From here on both sides seal."""
        for way in (TO_SERVER, TO_CLIENT):
            change = self.next(way, tls.CHANGE_CIPHER_SPEC, b"\x01")
            self.send(way, change + self.next(way, tls.HANDSHAKE, tls.noise(64), epoch=1))
        return self


def greeted() -> Exchange:
    """Heartbeats are clear, in the handshake."""
    return Exchange().greet()


def sealing(cipher: int = tls.AES_GCM, version: int = DTLS_1_2) -> Exchange:
    """Heartbeats are sealed."""
    return Exchange().greet(server_hello_body(cipher=cipher, version=version)).finish()
