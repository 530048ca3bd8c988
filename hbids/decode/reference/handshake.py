"""The hellos of one session (RFC 5246 section 7.4.1), what they agree on, and the session's row."""

from __future__ import annotations

from typing import Protocol

from hbids.decode.reference.hello import (
    FULL_FRAGMENT,
    ClientHello,
    ServerHello,
    parse_client_hello,
    parse_server_hello,
)
from hbids.decode.reference.record import CLIENT_HELLO, SERVER_HELLO
from hbids.decode.reference.run import Run
from hbids.decode.reference.upgrade import Upgrade
from hbids.facts import ABSENT, NO_SUITE, NO_VERSION, NOT_SEEN, Answer, Transport

__all__ = ["Handshake", "HandshakeFlow"]

TLS_1_3, DTLS_1_3 = 0x0304, 0xFEFC
MESSAGE_HEADER_BYTES = 4  # handshake type and 24-bit length
CLIENT_HELLO_BYTES = 768
"""What the native engine needs to remember a ClientHello, at most."""

NOTHING_NEGOTIATED: dict[str, int | bytes] = {
    "cipher_suite": NO_SUITE,
    "tls_version": NO_VERSION,
    "encrypt_then_mac": Answer.UNKNOWN,
    "heartbeat_accepted": NOT_SEEN,
}
NO_CLIENT_HELLO: dict[str, int | bytes] = {
    "client_record_version": NO_VERSION,
    "client_version": NO_VERSION,
    "client_hello_length": NOT_SEEN,
    "heartbeat_offered": NOT_SEEN,
    "client_random": bytes(32),
    "sni": b"",
    "alpn_offered": b"",
    "ja3": b"",
    "ja4": b"",
}
NO_SERVER_HELLO: dict[str, int | bytes] = {
    "server_version": NO_VERSION,
    "server_random": bytes(32),
    "alpn_selected": b"",
    "ja3s": b"",
    "resumed": Answer.UNKNOWN,
}


class HandshakeFlow(Protocol):
    """What it needs of its flow."""

    def endpoint_fields(self) -> dict[str, int | bytes]:
        """flow_id, addresses, ports and VLANs, as columns."""

    def set_client(self, side: int) -> None:
        """This side is the client."""


class HandshakeSession(Protocol):
    """What it needs of its session."""

    transport: Transport
    midstream: bool
    record_version: list[int]
    """Of each side's record at hand."""

    def say_hello(self, side: int) -> None:
        """A hello, which need not be readable."""


class Handshake:
    """The hellos of both sides."""

    def __init__(self, run: Run, flow: HandshakeFlow, session: HandshakeSession, upgrade: Upgrade) -> None:
        self._run = run
        self._flow = flow
        self._session = session
        self._upgrade = upgrade
        is_stream = session.transport is Transport.TLS  # datagrams have messages in fragments, put together elsewhere
        self._messages: list[bytearray | None] = [bytearray(), bytearray()] if is_stream else [None, None]
        """Bytes of the first handshake messages, until the direction's hello is read; then None."""
        self.began_ns: int | None = None
        """When the first hello did."""
        self.client_side: int | None = None
        """Which side sent a ClientHello."""
        self._client_hello: ClientHello | None = None
        self._client_fields: dict[str, int | bytes] = dict(NO_CLIENT_HELLO)
        self.server_said_hello = False
        self.negotiated: dict[str, int | bytes] = dict(NOTHING_NEGOTIATED)
        """Columns that say what was agreed on."""
        self.fragment_bytes = FULL_FRAGMENT
        """Largest plaintext of a record."""
        self._is_written = False

    def held_bytes(self) -> int:
        """What hellos in the making hold (in the native engine what grows has room for as much again), and what waits
        for the session's row."""
        waits_for_row = self.began_ns is not None and not self._is_written
        messages = 2 * sum(len(buffer) for buffer in self._messages if buffer)
        return messages + (CLIENT_HELLO_BYTES if waits_for_row else 0)

    def read_sslv2(self, side: int, version: int, length: int) -> None:
        """A ClientHello in SSLv2 framing."""
        self._session.say_hello(side)
        self._client_said_hello(
            side,
            {
                **NO_CLIENT_HELLO,
                "client_record_version": version,
                "client_version": version,
                "client_hello_length": length,
                "heartbeat_offered": ABSENT,
            },
        )

    def await_again(self, side: int) -> None:
        """What was taken for this side's hello was none."""
        self.give_up(side)
        self._messages[side] = bytearray()

    def forget_client(self) -> None:
        """What was taken for a ClientHello was none."""
        self.client_side = self._client_hello = self.began_ns = None
        self._client_fields = dict(NO_CLIENT_HELLO)

    def renew(self) -> None:
        """The client begins another session."""
        self.server_said_hello = self._is_written = False
        self.began_ns = self._client_hello = None
        self._client_fields = dict(NO_CLIENT_HELLO)
        self.negotiated = dict(NOTHING_NEGOTIATED)
        self.fragment_bytes = FULL_FRAGMENT

    def end(self) -> None:
        """The flow is over, and it was TLS."""
        if not self._is_written:
            self._write(NO_SERVER_HELLO)

    def collect(self, side: int, data: bytes) -> None:
        """Bytes of handshake records, not yet sealed."""
        buffer = self._messages[side]
        if buffer is None:
            return
        buffer += data
        while len(buffer) >= MESSAGE_HEADER_BYTES:
            length = int.from_bytes(buffer[1:4], "big")
            if buffer[0] not in (CLIENT_HELLO, SERVER_HELLO) and length == 0:
                del buffer[:MESSAGE_HEADER_BYTES]  # HelloRequest and the like
                continue
            if buffer[0] not in (CLIENT_HELLO, SERVER_HELLO):
                self._messages[side] = None  # the hello was before
            elif length > self._run.limits.hello_bytes:
                self._run.counters["hello_too_long"] += 1
                self._messages[side] = None
                self._session.say_hello(side)
            elif len(buffer) >= MESSAGE_HEADER_BYTES + length:
                self._messages[side] = None
                self.read(side, buffer[0], bytes(buffer[MESSAGE_HEADER_BYTES : MESSAGE_HEADER_BYTES + length]))
            return

    def has_begun(self, side: int) -> bool:
        """Whether a hello is there in part."""
        buffer = self._messages[side]
        return bool(buffer and buffer[0] in (CLIENT_HELLO, SERVER_HELLO))

    def is_over(self, side: int) -> bool:
        """Whether nothing more is read of this side."""
        return self._messages[side] is None

    def give_up(self, side: int) -> None:
        """The direction's hello will not be whole."""
        if self._messages[side]:
            self._run.counters["hello_incomplete"] += 1
        self._messages[side] = None

    def read(self, side: int, message_type: int, body: bytes) -> None:
        """A whole ClientHello or ServerHello."""
        hello = self._parse(message_type, body)
        if hello is None:
            self._run.counters["hello_malformed"] += 1
            return
        if isinstance(hello, ServerHello):
            self._upgrade.is_tentative = False
        self._session.say_hello(side)
        if isinstance(hello, ClientHello):
            self._client_hello = hello
            self._client_said_hello(
                side,
                {
                    "client_record_version": self._session.record_version[side],
                    "client_version": hello.version,
                    "client_hello_length": len(body),
                    "heartbeat_offered": hello.heartbeat_mode,
                    "client_random": hello.random,
                    "sni": hello.server_name[:255],
                    "alpn_offered": b",".join(hello.protocols)[:64],
                    "ja3": hello.ja3().encode(),
                    "ja4": hello.ja4().encode(),
                },
            )
        else:
            self._server_hello(side, hello)

    def _parse(self, message_type: int, body: bytes) -> ClientHello | ServerHello | None:
        if message_type == CLIENT_HELLO:
            return parse_client_hello(body, is_dtls=self._session.transport is Transport.DTLS)
        return parse_server_hello(body)

    def _client_said_hello(self, side: int, fields: dict[str, int | bytes]) -> None:
        if self._is_written:
            return
        self._flow.set_client(side)
        self.client_side = side
        self._client_fields = fields

    def _server_hello(self, side: int, hello: ServerHello) -> None:
        if self.server_said_hello:
            return
        self.server_said_hello = True
        self._flow.set_client(1 - side)
        self.fragment_bytes = hello.fragment_bytes
        self.negotiated = {
            "cipher_suite": hello.cipher,
            "tls_version": hello.negotiated_version,
            "encrypt_then_mac": Answer.YES if hello.encrypt_then_mac else Answer.NO,
            "heartbeat_accepted": hello.heartbeat_mode,
        }
        self._write(
            {
                "server_version": hello.version,
                "server_random": hello.random,
                "alpn_selected": hello.protocol[:32],
                "ja3s": hello.ja3s().encode(),
                "resumed": self._resumed(hello),
            }
        )

    def _resumed(self, hello: ServerHello) -> Answer:
        client = self._client_hello
        if client is None:
            return Answer.UNKNOWN
        if hello.negotiated_version in (TLS_1_3, DTLS_1_3):
            return Answer.YES if hello.pre_shared_key else Answer.NO
        return Answer.YES if hello.session_id and hello.session_id == client.session_id else Answer.NO

    def _write(self, server_fields: dict[str, int | bytes]) -> None:
        self._is_written = True
        writer = self._run.rows.sessions
        writer.append(
            writer.pack(
                {
                    **self._flow.endpoint_fields(),
                    **self._client_fields,
                    **server_fields,
                    **self.negotiated,
                    "time_ns": self.began_ns or 0,
                    "transport": self._session.transport,
                    "start": self._upgrade.start,
                    "midstream": self._session.midstream,
                }
            )
        )
        self._client_hello = None
