"""What is known of the TLS session on one flow: its records, who seals them, and whether it is TLS at all.

Heartbeats count only on TLS. A flow seen from its first byte is TLS once it says hello; heartbeats before that are held
back, and dropped (counted) if no hello comes. A flow joined in mid-stream is believed when its records prove to be
records, and says so in its rows.
"""

from __future__ import annotations

from typing import Protocol

from hbids.decode.reference.handshake import TLS_1_3, Handshake, HandshakeFlow
from hbids.decode.reference.heartbeat import Heartbeats
from hbids.decode.reference.heartbeat_message import Message
from hbids.decode.reference.heartbeat_row import HeartbeatRows, message_fields
from hbids.decode.reference.record import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEARTBEAT,
    SSLV2_HELLO,
)
from hbids.decode.reference.run import Run
from hbids.decode.reference.upgrade import Upgrade
from hbids.facts import CONTENT_TYPES, Direction, Phase, Protection, TlsStart, Transport

__all__ = ["Session", "SessionFlow"]


class SessionFlow(HandshakeFlow, Protocol):
    """What a session needs of its flow."""

    midstream: bool
    packets: list[int]
    """Of each side."""

    def so_far_fields(self) -> dict[str, int | bytes]:
        """Packet number, start and counters, as columns."""

    def direction(self, side: int) -> Direction:
        """Which way this side's packets go."""

    def is_client(self, side: int) -> bool:
        """Whether this side is the client, as far as is known."""

    def has_lost(self, side: int) -> bool:
        """Whether bytes of this side were acknowledged that the capture lacks."""


class Session:
    """The session of one flow; reads the records of both directions."""

    def __init__(
        self,
        run: Run,
        flow: SessionFlow,
        transport: Transport,
        *,
        midstream: bool,
        start: TlsStart = TlsStart.DIRECT,
    ) -> None:
        self._run = run
        self._flow = flow
        self.transport = transport
        self.midstream = midstream
        self.messages_span_records = transport is Transport.TLS
        self.heartbeats = Heartbeats(run, self)
        self.said_hello = False
        self.records = [[0] * len(CONTENT_TYPES), [0] * len(CONTENT_TYPES)]
        self.record_bytes = [[0] * len(CONTENT_TYPES), [0] * len(CONTENT_TYPES)]
        self._record_type = [0, 0]
        self.record_version = [0, 0]
        self._record_began_ns = [0, 0]
        self._changed_cipher = [False, False]
        self._sealed = [False, False]
        self._lost = [False, False]
        self._hello_may_be_missed = midstream or transport is Transport.DTLS
        """For DTLS, until a hello is read: datagrams do not tell where a flow begins."""
        self._verified = False
        self._upgrade = Upgrade(run, flow, start)
        self.handshake = Handshake(run, flow, self, self._upgrade)
        self._heartbeat_rows = HeartbeatRows(run)

    def held_bytes(self) -> int:
        """What hellos, plain text and heartbeats hold."""
        return (
            self.handshake.held_bytes()
            + self._upgrade.held_bytes()
            + self.heartbeats.held_bytes()
            + self._heartbeat_rows.held_bytes()
        )

    # --- records (RecordReader) ---

    def expects_server_hello(self, side: int) -> bool:
        """The other side has sent a ClientHello, or it was agreed that it will."""
        if self.handshake.client_side == 1 - side:
            return self._upgrade.may_be_answered()
        return not self._flow.is_client(side) and self._upgrade.agreed() is not None

    def may_begin_tls(self, side: int) -> bool:
        """STARTTLS is for the client to begin."""
        return self._upgrade.may_begin(side)

    def agreed_on_tls(self) -> bool:
        """In words."""
        return self._upgrade.agreed() is not None

    def is_bulk(self, side: int, length: int) -> bool:
        """More plain text than leads to TLS."""
        return self._upgrade.is_bulk(side, length)

    def may_end_plain_text(self, side: int) -> bool:
        """Words that ask for TLS, or grant it, may be said."""
        return self._upgrade.may_end_plain_text(side, client_said_hello=self.handshake.client_side == 1 - side)

    def ends_plain_text(self, side: int) -> bool:
        """The words that ask for TLS, or grant it, are said."""
        return self._upgrade.ends_plain_text(side, client_said_hello=self.handshake.client_side == 1 - side)

    def plain_text(self, side: int, data: bytes) -> None:
        """Words, perhaps those that grant what the client has begun already."""
        self._upgrade.hear(side, data)
        if self._upgrade.is_granted_now():
            self._upgrade.is_tentative = False
            if self.handshake.began_ns is not None:
                self.say_hello(side)

    def plain_gap(self, side: int) -> bool:
        """A hello may be missing where one was agreed on."""
        agreed = self.agreed_on_tls()
        if agreed and not self.said_hello:
            self._upgrade.begin(side)
        return agreed

    def upgraded(self, side: int) -> None:
        """TLS begins after plain text."""
        if not self.said_hello and not self._upgrade.is_tentative:
            self._upgrade.begin(side)
        if any(self.records[1 - side]):
            self._upgrade.forget()

    def is_tentative(self, side: int) -> bool:
        """The client said hello, but nobody answered."""
        return self._upgrade.is_tentative and self._flow.is_client(side)

    def not_tls(self, side: int) -> None:
        """What was taken for records is forgotten."""
        self.heartbeats.end()
        self._heartbeat_rows.drop()
        self.heartbeats = Heartbeats(self._run, self)
        self.records[side] = [0] * len(CONTENT_TYPES)
        self.record_bytes[side] = [0] * len(CONTENT_TYPES)
        self._changed_cipher[side] = self._sealed[side] = False
        self.handshake.await_again(side)
        if self._flow.is_client(side):
            self._upgrade.withdraw()
            self.handshake.forget_client()

    def record_began(self, side: int, content_type: int, version: int, length: int, began_ns: int) -> None:
        """A whole header was read."""
        self._record_type[side] = content_type
        self.record_version[side] = version
        self._record_began_ns[side] = began_ns
        if content_type == SSLV2_HELLO:
            self.handshake.read_sslv2(side, version, length)
            return
        self.records[side][content_type - CONTENT_TYPES[0]] += 1
        if content_type == HEARTBEAT:
            self.heartbeats.record_began(side, version, length, began_ns)
            return
        self.heartbeats.other_record_began(side, content_type, began_ns)
        if content_type == APPLICATION_DATA and self._hello_may_be_missed:
            self._sealed[side] = True
        elif content_type == CHANGE_CIPHER_SPEC and length == 1 and self._may_change_cipher(side):
            self._changed_cipher[side] = self._sealed[side] = True

    def _may_change_cipher(self, side: int) -> bool:
        """TLS 1.3 knows no ChangeCipherSpec, though it is sent to please middleboxes, by the client perhaps before the
        server has said a word (RFC 8446 appendix D.4)."""
        too_early = (
            self._flow.is_client(side) and not any(self.records[1 - side]) and not self.may_have_missed(1 - side)
        )
        return self.handshake.negotiated["tls_version"] != TLS_1_3 and not too_early

    def record_body(self, side: int, data: bytes) -> None:
        """Some of a body."""
        content_type = self._record_type[side]
        if content_type == SSLV2_HELLO:
            return
        self.record_bytes[side][content_type - CONTENT_TYPES[0]] += len(data)
        if content_type == HEARTBEAT:
            self.heartbeats.record_body(side, data)
        elif content_type == HANDSHAKE and not self._sealed[side]:
            self.handshake.collect(side, data)

    def is_skipped(self, side: int) -> bool:
        """Application data, and handshake messages behind the hello."""
        content_type = self._record_type[side]
        return content_type == APPLICATION_DATA or (content_type == HANDSHAKE and self.handshake.is_over(side))

    def record_gap(self, side: int, length: int) -> None:
        """Some of a body is missing."""
        self._lost[side] = True
        content_type = self._record_type[side]
        if content_type == HEARTBEAT:
            self.heartbeats.record_gap(side, length)
        elif content_type == HANDSHAKE:
            if self.handshake.has_begun(side):
                self.say_hello(side)  # what of it was captured is enough to know it is one
            self.handshake.give_up(side)

    def record_ended(self, side: int) -> None:
        """A body is over."""
        if self._record_type[side] == HEARTBEAT:
            self.heartbeats.record_ended(side)
        elif self._record_type[side] == HANDSHAKE and self.handshake.has_begun(side):
            self.say_hello(side)  # it goes on, and OpenSSL answers heartbeats meanwhile

    def boundary_verified(self) -> None:
        """The records are records."""
        if not self._verified:
            self._verified = True
            self._release_held()

    def lost_place(self, side: int) -> None:
        """Records may be missing, and the hello among them unless something else came first."""
        self._lost[side] = True
        self.handshake.give_up(side)
        began_otherwise = any(
            count for number, count in zip(CONTENT_TYPES, self.records[side], strict=True) if number != HANDSHAKE
        )
        if not self.said_hello and not began_otherwise:
            self._hello_may_be_missed = True
            self._verified = False
        self.heartbeats.lost_place(side)

    # --- records of DTLS (DatagramReader) ---

    def joined_late(self) -> None:
        """Something else came before any hello."""
        if not self.said_hello:
            self.midstream = self._flow.midstream = True
            self._upgrade.start = TlsStart.UNKNOWN

    def epoch(self, side: int, *, sealed: bool) -> None:
        """Whether the side's next record is sealed."""
        self._sealed[side] = sealed
        self._changed_cipher[side] |= sealed

    def asked_for_cookie(self, side: int) -> None:
        """A HelloVerifyRequest."""
        self._flow.set_client(1 - side)
        self.say_hello(side)

    def renew(self) -> None:
        """The client begins another session."""
        self._changed_cipher = [False, False]
        self.handshake.renew()

    # --- whether it is TLS ---

    @property
    def is_tls(self) -> bool:
        """Whether the flow is believed to be TLS."""
        return self.said_hello or (self._hello_may_be_missed and self._verified and any(map(any, self.records)))

    def say_hello(self, side: int) -> None:
        """A hello, which need not be readable."""
        if self.handshake.began_ns is None:
            self.handshake.began_ns = self._record_began_ns[side]
        if not self._upgrade.is_tentative:
            self.said_hello = True
            if self.transport is Transport.DTLS:
                self._hello_may_be_missed = False
            self._release_held()

    # --- heartbeats (HeartbeatFlow) ---

    @property
    def fragment_bytes(self) -> int:
        """Largest plaintext of a record, as far as is known."""
        return self.handshake.fragment_bytes

    def protection(self, side: int) -> Protection | None:
        """Sealed from ChangeCipherSpec on, or as the record's epoch says. None where that may be missing."""
        if self._sealed[side]:
            return Protection.SEALED
        if self.transport is Transport.DTLS:
            return Protection.CLEAR
        hello_missed = self._hello_may_be_missed and not self.said_hello
        change_missed = self._lost[side] and self._changed_cipher[1 - side]
        return None if hello_missed or change_missed else Protection.CLEAR

    def phase(self) -> Phase:
        """RFC 6520 section 3."""
        if all(self._changed_cipher):
            return Phase.AFTER
        if self.handshake.server_said_hello:
            return Phase.HANDSHAKE
        server = 0 if self._flow.is_client(1) else 1
        answers_missed = self.transport is Transport.TLS and self.may_have_missed(server)
        return Phase.UNKNOWN if self._hello_may_be_missed or answers_missed else Phase.BEFORE_SERVER_HELLO

    def is_client(self, side: int) -> bool:
        """As far as is known."""
        return self._flow.is_client(side)

    def may_have_missed(self, side: int) -> bool:
        """Requests of a side that was joined late, lost bytes, or was not captured."""
        has_lost = self._lost[side] or self._flow.has_lost(side)
        return self.midstream or has_lost or self._flow.packets[side] == 0

    def emit_heartbeat(self, side: int, message: Message, *, is_final: bool) -> None:
        """Write a row, or hold it back until the flow is known to be TLS."""
        fields = {
            **self._flow.endpoint_fields(),
            **self._flow.so_far_fields(),
            **self.handshake.negotiated,
            **message_fields(message),
            "transport": self.transport,
            "direction": self._flow.direction(side),
            "is_final": is_final,
            "midstream": self._hello_may_be_missed,
        }
        self._heartbeat_rows.write(fields, is_tls=self.is_tls)

    def _release_held(self) -> None:
        """The flow may be known to be TLS now."""
        if self.is_tls:
            self._heartbeat_rows.release()

    def end(self) -> None:
        """The flow is over."""
        self.heartbeats.end()
        self._heartbeat_rows.drop()
        if self.said_hello:
            self.handshake.end()
