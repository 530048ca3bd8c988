"""One direction's TLS records (RFC 5246 section 6.2.1), wherever they begin.

The walker is always in one of these modes:

- START: nothing read yet of a stream seen from its first byte. The first header decides: TLS or PLAIN.
- PLAIN: not TLS so far. A ClientHello begins TLS where a segment starts or where words that ask for TLS end (STARTTLS
  and its kin); so does the ServerHello that answers one. Once the other side's hello is believed, SEARCH follows.
- HEADER, BODY: walking records. Bodies are skipped, not buffered.
- SEARCH: in the middle of something. The next believable record header is looked for; GUESS collects one that a short
  segment cut.

A header that cannot be one sends a walking direction to SEARCH, or to PLAIN if it was read from its first byte on and
the flow never said hello.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from hbids.decode.reference.run import Run

__all__ = ["MAX_RECORD_BYTES", "RecordReader", "RecordWalker", "may_be_client_hello"]

HEADER_BYTES = 5
MAX_RECORD_BYTES = 16_384 + 2_048
"""RFC 5246 section 6.2.3: plaintext limit plus what sealing may add."""
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
SSLV2_HELLO = 0
"""Stands for the content type of a hello in SSLv2 framing (RFC 5246 appendix E.2)."""
CLIENT_HELLO, SERVER_HELLO = 1, 2


class RecordReader(Protocol):
    """Who is told about records."""

    said_hello: bool
    """Whether either side of the flow sent a hello."""

    def expects_server_hello(self, side: int) -> bool:
        """Whether the other side has sent a ClientHello."""

    def may_begin_tls(self, side: int) -> bool:
        """Whether this side may send a ClientHello after plain text."""

    def agreed_on_tls(self) -> bool:
        """Whether nothing but TLS may come next."""

    def is_bulk(self, side: int, length: int) -> bool:
        """Whether so many more bytes of plain text from this side are not worth a look."""

    def may_end_plain_text(self, side: int) -> bool:
        """Whether TLS may follow plain text of this side."""

    def ends_plain_text(self, side: int) -> bool:
        """Whether TLS follows the plain text so far."""

    def plain_text(self, side: int, data: bytes) -> None:
        """Not TLS."""

    def is_skipped(self, side: int) -> bool:
        """Whether nothing is read of the body of this side's record."""

    def plain_gap(self, side: int) -> bool:
        """Some of the plain text is missing; whether TLS may have begun there."""

    def upgraded(self, side: int) -> None:
        """TLS begins after plain text."""

    def is_tentative(self, side: int) -> bool:
        """Whether what this side sends only looks like TLS so far."""

    def not_tls(self, side: int) -> None:
        """What looked like records was something else."""

    def record_began(self, side: int, content_type: int, version: int, length: int, began_ns: int) -> None:
        """A whole header was read."""

    def record_body(self, side: int, data: bytes) -> None:
        """Some of its body."""

    def record_gap(self, side: int, length: int) -> None:
        """Some of its body is missing."""

    def record_ended(self, side: int) -> None:
        """The body is over."""

    def boundary_verified(self) -> None:
        """Two records, or a record and a segment, ended together: these are records."""

    def lost_place(self, side: int) -> None:
        """The next bytes are not known to continue the last record."""


class Mode(Enum):
    """See the module's docstring."""

    START = auto()
    PLAIN = auto()
    HEADER = auto()
    BODY = auto()
    SEARCH = auto()
    GUESS = auto()


class RecordWalker:
    """Walks the records of one direction."""

    def __init__(self, run: Run, reader: RecordReader, side: int) -> None:
        self._run = run
        self._reader = reader
        self._side = side
        self._mode = Mode.SEARCH
        self._header = b""
        self._header_ns = 0
        self._remaining = 0
        self._searched = 0
        self._from_first_byte = False

    def start(self, *, may_be_plain: bool = True) -> None:
        """The stream is seen from its first byte, which need not be one of TLS."""
        self._mode = Mode.START
        self._from_first_byte = may_be_plain

    @property
    def at_first_byte(self) -> bool:
        """Whether nothing has been read yet of a stream seen from its first byte."""
        return self._mode is Mode.START and not self._header

    def skips(self, length: int) -> bool:
        """Whether nothing of the next ``length`` bytes will be read."""
        if self._mode is Mode.BODY:
            return self._remaining >= length and self._reader.is_skipped(self._side)
        return self._mode is Mode.PLAIN and not self._header and self._reader.is_bulk(self._side, length)

    @property
    def walks(self) -> bool:
        """Whether the next bytes are known to be of records."""
        return self._mode in (Mode.HEADER, Mode.BODY)

    def pass_over(self) -> None:
        """Bytes came that another protocol has taken."""
        if self._mode is Mode.START:
            self._mode = Mode.PLAIN

    def feed(self, data: bytes) -> None:
        """The next bytes; one call is one segment's worth, which PLAIN and SEARCH rely on."""
        at = 0
        fresh = True  # at the start of a segment
        while at < len(data):
            match self._mode:
                case Mode.BODY:
                    at += self._body(data, at)
                case Mode.START | Mode.HEADER | Mode.GUESS:
                    at += self._collect(data, at)
                case Mode.PLAIN:
                    at += self._plain(data, at, fresh)
                case Mode.SEARCH:
                    at += self._search(data, at, fresh)
            fresh = False

    def gap(self, length: int) -> None:
        """The next ``length`` bytes are missing."""
        if self._mode is Mode.PLAIN:
            self._header = b""
            if self._reader.plain_gap(self._side):
                self._lose_place()
            return
        if self._mode is Mode.BODY:
            skipped = min(length, self._remaining)
            self._reader.record_gap(self._side, skipped)
            self._remaining -= skipped
            length -= skipped
            if self._remaining == 0:
                self._end_record()
            if length == 0:
                return
        self._lose_place()

    def _body(self, data: bytes, at: int) -> int:
        taken = min(self._remaining, len(data) - at)
        self._reader.record_body(self._side, data[at : at + taken])
        self._remaining -= taken
        if self._remaining == 0:
            self._end_record()
            if at + taken == len(data):
                self._reader.boundary_verified()
        return taken

    def _end_record(self) -> None:
        self._mode = Mode.HEADER
        self._header = b""
        self._reader.record_ended(self._side)

    def _collect(self, data: bytes, at: int) -> int:
        if not self._header:
            self._header_ns = self._run.time_ns
        taken = min(HEADER_BYTES - len(self._header), len(data) - at)
        self._header += data[at : at + taken]
        believed = self._mode is Mode.HEADER
        if self._mode is Mode.START and is_sslv2_hello(self._header):
            if len(self._header) == HEADER_BYTES:
                length = int.from_bytes(self._header[:2], "big") & 0x7FFF
                version = int.from_bytes(self._header[3:5], "big")
                self._begin_record(SSLV2_HELLO, version, max(length - 3, 0))
        elif not may_be_header(self._mode, self._header):
            if self._from_first_byte and not self._reader.said_hello:
                if believed:
                    self._reader.not_tls(self._side)
                self._become_plain()
                return taken
            if believed:
                self._run.counters["record_desync"] += 1
            self._lose_place()
        elif len(self._header) == HEADER_BYTES:
            if believed:
                self._reader.boundary_verified()
            self._begin_header()
        return taken

    def _begin_header(self) -> None:
        self._begin_record(
            self._header[0], int.from_bytes(self._header[1:3], "big"), int.from_bytes(self._header[3:5], "big")
        )

    def _begin_record(self, content_type: int, version: int, length: int) -> None:
        if length > MAX_RECORD_BYTES:
            self._run.counters["record_overlong"] += 1
        self._mode = Mode.BODY
        self._remaining = length
        self._searched = 0
        self._reader.record_began(self._side, content_type, version, length, self._header_ns)
        if length == 0:
            self._end_record()

    def _plain(self, data: bytes, at: int, fresh: bool) -> int:
        """Pass plain text and match a hello's first six bytes, over as many segments as it takes."""
        if fresh and not self._header and self._reader.said_hello:
            self._mode = Mode.SEARCH
            return self._search(data, at, fresh)
        wanted = HEADER_BYTES + 1
        place = at
        if not self._header:
            place = self._pass_plain(data, at, fresh)
            if place == len(data):
                return place - at
            self._header_ns = self._run.time_ns
        carried = self._header
        self._header += data[place : place + wanted - len(carried)]
        if not self._is_hello_start(self._header):
            self._header = carried
            self._become_plain()
            return self._plain(data, at, fresh)
        if len(self._header) == wanted:
            message_type = self._header[HEADER_BYTES:]
            self._header = self._header[:HEADER_BYTES]
            self._reader.upgraded(self._side)
            self._begin_header()
            self._body(message_type, 0)
            return place - at + wanted - len(carried)
        return len(data) - at

    def _pass_plain(self, data: bytes, at: int, fresh: bool) -> int:
        """Where in the segment a hello begins, or its end; what comes before is plain text."""
        if self._reader.is_bulk(self._side, len(data) - at):
            return len(data)
        if fresh and self._is_hello_start(data[at : at + HEADER_BYTES + 1]):
            return at
        place = data.find(HANDSHAKE, at) if self._reader.may_end_plain_text(self._side) else -1
        while place >= 0:
            start = data[place : place + HEADER_BYTES + 1]
            if is_opening(start):
                self._reader.plain_text(self._side, data[at:place])
                at = place
                if self._reader.ends_plain_text(self._side) and self._is_hello_start(start):
                    return place
            place = data.find(HANDSHAKE, place + 1)
        self._reader.plain_text(self._side, data[at:])
        return len(data)

    def _is_hello_start(self, seen: bytes) -> bool:
        if not is_opening(seen) or seen[3:5] == b"\x00\x00":
            return False
        message_type = seen[HEADER_BYTES] if len(seen) > HEADER_BYTES else None
        match seen[0]:
            case 22:  # HANDSHAKE
                if message_type == CLIENT_HELLO:
                    return self._reader.may_begin_tls(self._side)
                if message_type == SERVER_HELLO:
                    return self._reader.expects_server_hello(self._side)
                return message_type is None
            case 21 | 24:  # ALERT, HEARTBEAT
                return message_type in (1, 2, None) and self._reader.agreed_on_tls()
        return False

    def _become_plain(self) -> None:
        """What was collected is no header, but one may begin within."""
        self._mode = Mode.PLAIN
        header, self._header = self._header, b""
        self._reader.plain_text(self._side, header[:1])
        self._plain(header[1:], 0, fresh=False)

    def _lose_place(self) -> None:
        if self._reader.is_tentative(self._side):
            self._reader.not_tls(self._side)
            self._become_plain()
            return
        self._mode = Mode.SEARCH
        self._header = b""
        self._searched = 0
        self._from_first_byte = False
        self._reader.lost_place(self._side)

    def _search(self, data: bytes, at: int, fresh: bool) -> int:
        available = len(data) - at
        if available < HEADER_BYTES:
            if fresh and is_first_header(data[at:]):
                self._mode = Mode.GUESS
                return 0
            self._searched += available
            return available
        if self._searched < self._run.limits.search_bytes:
            offsets = range(at, len(data) - HEADER_BYTES + 1)
        else:
            offsets = range(at, at + fresh)
        for offset in offsets:
            if self._believable(data, offset, fresh and offset == at):
                self._header = data[offset : offset + HEADER_BYTES]
                self._header_ns = self._run.time_ns
                self._begin_header()
                return offset - at + HEADER_BYTES
        self._searched += available
        return available

    def _believable(self, data: bytes, offset: int, at_segment_start: bool) -> bool:
        header = data[offset : offset + HEADER_BYTES]
        if not is_first_header(header):
            return False
        content_type, length = header[0], int.from_bytes(header[3:5], "big")
        if content_type == CHANGE_CIPHER_SPEC and length != 1:
            return False
        end = offset + HEADER_BYTES + length
        if end == len(data) or (end < len(data) and is_first_header(data[end : end + 3])):
            self._reader.boundary_verified()
            return True
        return end > len(data) and (
            at_segment_start or (self._reader.said_hello and content_type in (APPLICATION_DATA, HEARTBEAT))
        )


def is_header(seen: bytes) -> bool:
    """Whether these up to five bytes can begin a record once TLS is established: versions may lie, only 3.x holds."""
    return CHANGE_CIPHER_SPEC <= seen[0] <= HEARTBEAT and (len(seen) < 2 or seen[1] == 3)


def is_opening(seen: bytes) -> bool:
    """As :func:`is_header`, for the first record: a length that is allowed. OpenSSL takes any version 3.x here."""
    return is_header(seen) and (
        len(seen) < HEADER_BYTES or int.from_bytes(seen[3:HEADER_BYTES], "big") <= MAX_RECORD_BYTES
    )


def is_first_header(seen: bytes) -> bool:
    """As :func:`is_opening`, where records are searched for: with a version that exists."""
    return is_opening(seen) and (len(seen) < 3 or seen[2] <= 4)


def may_be_header(mode: Mode, seen: bytes) -> bool:
    """The one of the three above that this mode asks for."""
    if mode is Mode.HEADER:
        return is_header(seen)
    return is_opening(seen) if mode is Mode.START else is_first_header(seen)


def is_sslv2_hello(seen: bytes) -> bool:
    """Whether these up to five bytes can begin an SSLv2-framed ClientHello for SSLv2 or 3.x."""
    return (
        seen[0] & 0x80 != 0
        and (len(seen) < 3 or seen[2] == CLIENT_HELLO)
        and (len(seen) < 4 or seen[3] == 3 or seen[3] == 0)
        and (len(seen) < 5 or seen[3] == 3 or seen[4] == 2)
    )


def may_be_client_hello(seen: bytes) -> bool:
    """Whether these up to six bytes can begin a record with a ClientHello, in either framing."""
    is_handshake = is_opening(seen[:HEADER_BYTES]) and seen[0] == HANDSHAKE
    return (is_handshake and seen[HEADER_BYTES:] in (b"", bytes([CLIENT_HELLO]))) or is_sslv2_hello(seen[:HEADER_BYTES])
