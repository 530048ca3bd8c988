"""DTLS records in UDP datagrams (RFC 6347), and the hellos that lie in them in fragments.

A UDP flow is DTLS once a hello was read, or once two records filled their datagrams exactly (joined late: its rows say
``midstream``). Before that, a datagram that is anything else costs a look at its first bytes; after it, other protocols
may share the ports (STUN, RTP: RFC 7983) and are counted.

Each record says by its epoch whether it is sealed, and each heartbeat record is a message. A client may begin anew on
the same ports (section 4.2.8): its ClientHello has another random. Records of DTLS 1.3 (RFC 9147) and with a connection
id (RFC 9146) are recognised and counted, but not read: their type is sealed.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple, Protocol

from hbids.decode.reference.handshake import Handshake
from hbids.decode.reference.handshake_fragments import Pieces
from hbids.decode.reference.hello import MINIMUM_BYTES
from hbids.decode.reference.record import (
    CHANGE_CIPHER_SPEC,
    CLIENT_HELLO,
    HANDSHAKE,
    HEARTBEAT,
    MAX_RECORD_BYTES,
    SERVER_HELLO,
)
from hbids.decode.reference.run import Run

__all__ = ["DatagramReader", "DatagramWalker"]

HEADER_BYTES = 13
FRAGMENT_HEADER_BYTES = 12
HELLO_VERIFY_REQUEST = 3
TLS12_CID = 25
UNIFIED_HEADERS = range(0x20, 0x40)
UNIFIED_HAS_CID, UNIFIED_LONG_SEQUENCE, UNIFIED_HAS_LENGTH = 0x10, 0x08, 0x04
VERSIONS = (0xFEFF, 0xFEFD)
BAD_VERSION = 0x0100
"""OpenSSL before 0.9.8f and Cisco AnyConnect: believed only after a hello, as other protocols have these bytes."""
MOST_EPOCH, MOST_SEQUENCE = 0xFF, (1 << 40) - 1
"""Beyond these a header is no evidence: no session renegotiates that often, none lives that long."""
WINDOW_BITS = 64
PROOF_RECORDS = 2
MOST_HELLOS = 4
"""Hellos in the making in one direction: real clients make one at a time."""
MOST_RUNS = 256
"""Runs of a hello that were begun out of order; reordering on the way makes a few."""
DATAGRAMS_BYTES = 512
"""What the native engine needs beside hellos in the making."""
RANDOM_AT, RANDOM_BYTES = 2, 32

_HEADER = Struct(">BHH6sH")


class DatagramReader(Protocol):
    """Who is told about records, and about hellos that cannot be read."""

    said_hello: bool
    """Whether either side sent a hello since the flow began."""

    @property
    def is_tls(self) -> bool:
        """Whether the flow is believed to be DTLS."""

    def joined_late(self) -> None:
        """Something else came before any hello."""

    def epoch(self, side: int, *, sealed: bool) -> None:
        """Whether the side's next record is sealed."""

    def record_began(self, side: int, content_type: int, version: int, length: int, began_ns: int) -> None:
        """A whole header was read."""

    def record_body(self, side: int, data: bytes) -> None:
        """What the datagram holds of its body."""

    def record_gap(self, side: int, length: int) -> None:
        """What the datagram does not hold of it."""

    def record_ended(self, side: int) -> None:
        """The record is over."""

    def boundary_verified(self) -> None:
        """The records are records."""

    def renew(self) -> None:
        """The client begins anew."""

    def say_hello(self, side: int) -> None:
        """A hello that cannot be read."""

    def asked_for_cookie(self, side: int) -> None:
        """A HelloVerifyRequest."""


class Record(NamedTuple):
    """A header."""

    content_type: int
    version: int
    epoch: int
    sequence: int
    length: int


class Window:
    """Which records of an epoch were seen lately (section 4.1.2.6).

    A peer discards what lies before the window. Here it is read, and the window begins anew at it: who could move the
    window far ahead by one forged record would else hide all that follows.
    """

    def __init__(self) -> None:
        self._epoch = self._highest = self._seen = 0

    def admits(self, epoch: int, sequence: int) -> bool:
        """Whether this record is new; from now on it was seen."""
        ahead = sequence - self._highest
        if not self._seen or epoch != self._epoch or abs(ahead) >= WINDOW_BITS:
            self._epoch, self._highest, self._seen = epoch, sequence, 1
            return True
        if ahead > 0:
            self._highest = sequence
            self._seen = (self._seen << ahead | 1) & (1 << WINDOW_BITS) - 1
            return True
        bit = 1 << -ahead
        if self._seen & bit:
            return False
        self._seen |= bit
        return True


class DatagramWalker:
    """Walks the datagrams of both directions of a flow."""

    def __init__(self, run: Run, reader: DatagramReader, handshake: Handshake) -> None:
        self._run = run
        self._reader = reader
        self._handshake = handshake
        self._windows = [[Window(), Window()], [Window(), Window()]]
        """By side, then clear and sealed."""
        self._hellos: list[dict[tuple[int, int, int], Pieces]] = [{}, {}]
        """By side, then by type, number and length: a retransmission may be cut differently."""
        self._client_random = b""
        self._proofs = 0
        self.seems_dtls = False
        """Whether any datagram looked like it."""

    def held_bytes(self) -> int:
        """From the first datagram on that looks like DTLS."""
        hellos = sum(pieces.held_bytes() for hellos in self._hellos for pieces in hellos.values())
        return DATAGRAMS_BYTES + hellos if self.seems_dtls else 0

    def feed(self, side: int, data: bytes, length: int) -> None:
        """A datagram's payload, ``length`` on the wire; ``data`` is shorter when a snap length cut it."""
        fills = False
        if not self._reader.is_tls:
            fills = fills_exactly(data, length)
            if not fills and not begins_with_hello(data, length):
                return
        self.seems_dtls = True
        if len(data) < length:
            self._run.counters["datagrams_cut"] += 1
        at = 0
        while at < len(data):
            if data[at] in UNIFIED_HEADERS:
                self._run.counters["dtls13_records"] += 1
                at += unified_bytes(data[at:], length - at)
                continue
            record = read_header(data[at : at + HEADER_BYTES])
            if record is None:
                if at == 0:
                    self._run.counters["datagrams_foreign"] += 1
                elif len(data) - at >= HEADER_BYTES or len(data) == length:
                    self._run.counters["record_desync"] += 1
                return
            if record.content_type == TLS12_CID:
                self._run.counters["dtls_cid_records"] += 1
                return  # where it ends only the peers know
            at += HEADER_BYTES
            if record.length > length - at:
                self._run.counters["dtls_records_overrun"] += 1
            self._record(side, record, data[at : at + record.length], proves=fills)
            at += record.length

    def end(self) -> None:
        """The flow is over."""
        for hellos in self._hellos:
            for message in list(hellos):
                self._give_up(hellos, message)

    def _record(self, side: int, record: Record, body: bytes, *, proves: bool) -> None:
        windows = self._windows[side]
        if not windows[record.epoch > 0].admits(record.epoch, record.sequence):
            if not self._begins_anew(record, body):
                self._run.counters["dtls_records_replayed"] += 1
                return
            windows[0] = Window()
            windows[0].admits(record.epoch, record.sequence)
        hellos = record.epoch == 0 and record.content_type == HANDSHAKE
        if not (hellos and body[:1] and body[0] in (CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST)):
            self._reader.joined_late()
        if record.length > MAX_RECORD_BYTES:
            self._run.counters["record_overlong"] += 1
        self._reader.epoch(side, sealed=record.epoch > 0)
        self._reader.record_began(side, record.content_type, record.version, record.length, self._run.time_ns)
        if body:
            self._reader.record_body(side, body)
        if hellos:
            self._read_messages(side, body)
        if len(body) < record.length:
            self._reader.record_gap(side, record.length - len(body))
        self._reader.record_ended(side)
        if proves:
            self._proofs += 1
            if self._proofs == PROOF_RECORDS:
                self._reader.boundary_verified()

    # --- hellos ---

    def _begins_anew(self, record: Record, body: bytes) -> bool:
        """Whether a record whose number was used before begins another session's numbers."""
        if record.epoch or record.content_type != HANDSHAKE or not self._handshake.server_said_hello:
            return False
        fragment = body[FRAGMENT_HEADER_BYTES:]
        return (
            body[:1] == bytes([CLIENT_HELLO])
            and body[6:9] == bytes(3)
            and len(fragment) >= RANDOM_AT + RANDOM_BYTES
            and random_of(fragment) != self._client_random
        )

    def _read_messages(self, side: int, body: bytes) -> None:
        while len(body) >= FRAGMENT_HEADER_BYTES:
            message_type, number = body[0], int.from_bytes(body[4:6], "big")
            length, offset, fragment_length = (int.from_bytes(body[at : at + 3], "big") for at in (1, 6, 9))
            data = body[FRAGMENT_HEADER_BYTES : FRAGMENT_HEADER_BYTES + fragment_length]
            body = body[FRAGMENT_HEADER_BYTES + fragment_length :]
            if message_type == HELLO_VERIFY_REQUEST:
                self._windows[side][0] = Window()  # a server that keeps no state begins to count after it
                self._reader.asked_for_cookie(side)
            elif message_type in (CLIENT_HELLO, SERVER_HELLO):
                self._fragment(side, (message_type, number, length), offset, data)

    def _fragment(self, side: int, message: tuple[int, int, int], offset: int, data: bytes) -> None:
        message_type, _, length = message
        if length > self._run.limits.hello_bytes:
            if offset == 0:
                self._run.counters["hello_too_long"] += 1
            self._reader.say_hello(side)
            return
        if offset + len(data) > length:
            self._run.counters["hello_malformed"] += 1
            return
        whole = data if len(data) == length else self._put_together(side, message, offset, data)
        if whole is None:
            return
        self._hellos[side].pop(message, None)
        if message_type == CLIENT_HELLO:
            self._meet_client(random_of(whole))
        self._handshake.read(side, message_type, whole)

    def _put_together(self, side: int, message: tuple[int, int, int], offset: int, data: bytes) -> bytes | None:
        """All bytes of a message that comes in pieces, once they are there."""
        if not data:
            return None
        hellos, length = self._hellos[side], message[2]
        if message not in hellos and len(hellos) == MOST_HELLOS:
            self._give_up(hellos, next(iter(hellos)))
        if length >= MINIMUM_BYTES:
            self._reader.say_hello(side)  # even if it never ends: OpenSSL answers meanwhile
        pieces = hellos.setdefault(message, Pieces())
        pieces.add(offset, data)
        whole = pieces.whole(length)
        if whole is None and len(pieces) > MOST_RUNS:
            self._give_up(hellos, message)
        return whole

    def _meet_client(self, random: bytes) -> None:
        if self._handshake.server_said_hello and random != self._client_random:
            self._reader.renew()
            for windows in self._windows:
                windows[0] = Window()
        self._client_random = random

    def _give_up(self, hellos: dict[tuple[int, int, int], Pieces], message: tuple[int, int, int]) -> None:
        del hellos[message]
        self._run.counters["hello_incomplete"] += 1


def random_of(hello: bytes) -> bytes:
    """The random of a hello's body."""
    return hello[RANDOM_AT : RANDOM_AT + RANDOM_BYTES]


def read_header(header: bytes) -> Record | None:
    """A record header of an established flow: versions may lie, only 0xfe.. and 0x0100 hold. None when it is none."""
    if len(header) < HEADER_BYTES:
        return None
    content_type, version, epoch, sequence, length = _HEADER.unpack(header)
    if not CHANGE_CIPHER_SPEC <= content_type <= TLS12_CID or (version >> 8 != 0xFE and version != BAD_VERSION):
        return None
    return Record(content_type, version, epoch, int.from_bytes(sequence, "big"), length)


def read_first_header(header: bytes) -> Record | None:
    """As :func:`read_header`, where DTLS itself is in question."""
    record = read_header(header)
    believed = (
        record is not None
        and record.content_type <= HEARTBEAT
        and (record.version in VERSIONS or (record.version == BAD_VERSION and record.content_type == HANDSHAKE))
        and record.epoch <= MOST_EPOCH
        and record.sequence <= MOST_SEQUENCE
        and record.length <= MAX_RECORD_BYTES
    )
    return record if believed else None


def fills_exactly(data: bytes, length: int) -> bool:
    """Whether a datagram is nothing but records of DTLS 1.0 and 1.2, as far as it was captured."""
    at = 0
    while at < length:
        record = read_first_header(data[at : at + HEADER_BYTES])
        if record is None or record.version == BAD_VERSION:
            return len(data) < length and at > 0 and len(data) < at + HEADER_BYTES
        at += HEADER_BYTES + record.length
    return at == length and at > 0


def begins_with_hello(data: bytes, length: int) -> bool:
    """Whether a datagram begins with a record with a fragment of a hello; anything may follow."""
    record = read_first_header(data[:HEADER_BYTES])
    if record is None or record.content_type != HANDSHAKE or record.epoch or record.length > length - HEADER_BYTES:
        return False
    message = data[HEADER_BYTES : HEADER_BYTES + FRAGMENT_HEADER_BYTES]
    if len(message) < FRAGMENT_HEADER_BYTES or message[0] not in (CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST):
        return False
    fragment_length = int.from_bytes(message[9:12], "big")
    return (
        int.from_bytes(message[6:9], "big") + fragment_length <= int.from_bytes(message[1:4], "big")
        and FRAGMENT_HEADER_BYTES + fragment_length <= record.length
    )


def unified_bytes(data: bytes, length: int) -> int:
    """How much of a datagram this record of DTLS 1.3 takes (RFC 9147 section 4): without a length, or with a connection
    id, all."""
    first = data[0]
    length_at = 3 if first & UNIFIED_LONG_SEQUENCE else 2
    if first & UNIFIED_HAS_CID or not first & UNIFIED_HAS_LENGTH or len(data) < length_at + 2:
        return max(length, 1)
    return length_at + 2 + int.from_bytes(data[length_at : length_at + 2], "big")
