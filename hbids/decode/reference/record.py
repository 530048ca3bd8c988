"""One direction's TLS records (RFC 5246 section 6.2.1), wherever they begin.

The walker is always in one of these modes:

- START: nothing read yet of a stream seen from its first byte. The first header decides: TLS or PLAIN.
- PLAIN: not TLS so far. A ClientHello at the start of a segment (STARTTLS and its kin) begins TLS; once the other side
  has said hello, SEARCH follows.
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

__all__ = ["MAX_RECORD_BYTES", "RecordReader", "RecordWalker"]

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

    def may_begin_tls(self, side: int) -> bool:
        """Whether this side may send a ClientHello after plain text."""

    def upgraded(self) -> None:
        """TLS began after plain text."""

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

    def start(self) -> None:
        """The stream is seen from its first byte."""
        self._mode = Mode.START
        self._from_first_byte = True

    @property
    def at_first_byte(self) -> bool:
        """Whether nothing has been read yet of a stream seen from its first byte."""
        return self._mode is Mode.START and not self._header

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
                self._mode = Mode.PLAIN
                self._header = b""
                return len(data) - at
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
        """Match a hello's first six bytes, begun at a segment start, over as many segments as it takes."""
        wanted = HEADER_BYTES + 1
        carried = len(self._header)
        if not carried and self._reader.said_hello:
            self._mode = Mode.SEARCH
            return self._search(data, at, fresh)
        if not carried and not fresh:
            return len(data) - at
        if not carried:
            self._header_ns = self._run.time_ns
        taken = min(wanted - carried, len(data) - at)
        self._header += data[at : at + taken]
        if not self._is_hello_start(self._header):
            self._header = b""
            return self._plain(data, at, fresh) if carried else len(data) - at
        if len(self._header) == wanted:
            message_type = self._header[HEADER_BYTES:]
            self._header = self._header[:HEADER_BYTES]
            self._reader.upgraded()
            self._begin_header()
            self._body(message_type, 0)
        return taken

    def _is_hello_start(self, seen: bytes) -> bool:
        if not is_opening(seen) or seen[0] != HANDSHAKE or seen[3:5] == b"\x00\x00":
            return False
        if len(seen) <= HEADER_BYTES:
            return True
        return seen[HEADER_BYTES] == CLIENT_HELLO and self._reader.may_begin_tls(self._side)

    def _lose_place(self) -> None:
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
