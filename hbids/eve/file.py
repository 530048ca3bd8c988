"""One file of EVE lines, plain and growing or compressed and done, and how it is known again under another name."""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from io import FileIO
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard

from hbids.eve.lines import LineCutter
from hbids.eve.values import number_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNREADABLE", "EveFile", "Place"]

HEAD_BYTES = 1_024
"""So much of a file's beginning tells it from others: the first line alone has its time to the microsecond."""
_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
UNREADABLE = (OSError, EOFError, zstandard.ZstdError, zlib.error)
"""What reading a damaged or unfinished file may raise."""


class Place(NamedTuple):
    """How far a file was read, and how to know it again. A compressed file counts as what is in it."""

    path: str
    device: int
    inode: int
    head: str
    """A fingerprint of its first ``head_bytes``."""
    head_bytes: int
    offset: int
    """Behind the last whole line that was read."""
    mtime_ns: int
    done: bool
    """Nothing more was to come when it was left."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Place | None:
        """As :meth:`_asdict` gave it."""
        numbers = [number_of(document, name) for name in ("device", "inode", "head_bytes", "offset", "mtime_ns")]
        device, inode, head_bytes, offset, mtime_ns = numbers
        if device is None or inode is None or head_bytes is None or offset is None or mtime_ns is None:
            return None
        path, head, done = text_of(document, "path"), text_of(document, "head"), document.get("done") is True
        return cls(path, device, inode, head, head_bytes, offset, mtime_ns, done)


@dataclass(slots=True)
class _Opened:
    """A file, and what is in it."""

    raw: FileIO
    stream: FileIO | gzip.GzipFile | zstandard.ZstdDecompressionReader
    compressed: bool

    @classmethod
    def open(cls, path: str) -> _Opened:
        raw = FileIO(path, "rb")
        magic = os.pread(raw.fileno(), 4, 0)
        opened = cls(raw, raw, magic.startswith(_GZIP_MAGIC) or magic == _ZSTD_MAGIC)
        if opened.compressed:
            opened.rewind()
        return opened

    def rewind(self) -> None:
        """Begin again."""
        self.raw.seek(0)
        if not self.compressed:
            return
        if os.pread(self.raw.fileno(), 4, 0) == _ZSTD_MAGIC:
            decompressor = zstandard.ZstdDecompressor()
            self.stream = decompressor.stream_reader(self.raw, read_across_frames=True, closefd=False)
        else:
            self.stream = gzip.GzipFile(fileobj=self.raw)

    def skip(self, count: int) -> None:
        """Leave bytes out."""
        if not self.compressed:
            self.raw.seek(count)
            return
        while count > 0 and (data := self.stream.read(min(count, _CHUNK_BYTES))):
            count -= len(data)


class EveFile:
    """An open file. Raises one of :data:`UNREADABLE` when it cannot be opened."""

    def __init__(self, path: str, most_line_bytes: int) -> None:
        self.path = path
        self._opened = _Opened.open(path)
        status = os.fstat(self._opened.raw.fileno())
        self.device, self.inode, self.mtime_ns = status.st_dev, status.st_ino, status.st_mtime_ns
        self._cutter = LineCutter(most_line_bytes)
        self._most_line_bytes = most_line_bytes
        self._at = 0
        self._head = b""
        self._fingerprint = ""
        self.done = False
        self.too_long = 0
        """Lines that were left out."""
        try:
            self.look_at_head()
        except BaseException:
            self.close()
            raise

    @property
    def compressed(self) -> bool:
        """It does not grow."""
        return self._opened.compressed

    @property
    def is_gone(self) -> bool:
        """It has no name any more."""
        return os.fstat(self._opened.raw.fileno()).st_nlink == 0

    @property
    def offset(self) -> int:
        """Behind the last whole line that was read."""
        return self._at - self._cutter.waiting_bytes

    @property
    def lag_bytes(self) -> int:
        """What is there and was not read; of a compressed file nobody knows."""
        return 0 if self.compressed else max(0, self._size() - self._at)

    @property
    def place(self) -> Place:
        """Where reading stands."""
        head, head_bytes = self._fingerprint, len(self._head)
        return Place(self.path, self.device, self.inode, head, head_bytes, self.offset, self.mtime_ns, self.done)

    def look_at_head(self) -> None:
        """Learn more of the beginning, if there is more."""
        if len(self._head) < HEAD_BYTES:
            self._head = self._first_bytes(HEAD_BYTES)
            self._fingerprint = _fingerprint(self._head)

    def is_at(self, place: Place) -> bool:
        """Whether this is the file of that place, perhaps renamed, copied or compressed. Of an empty one nobody
        knows."""
        if not 0 < place.head_bytes <= len(self._head):
            return False
        return _fingerprint(self._head[: place.head_bytes]) == place.head

    def was_replaced(self) -> bool:
        """Whether something else stands in the file than before: it was truncated, and perhaps has grown again. Of one
        that was empty nobody can tell, once it was written to."""
        status = os.fstat(self._opened.raw.fileno())
        if self._at == 0:
            return status.st_mtime_ns != self.mtime_ns
        return status.st_size < self._at or self._first_bytes(len(self._head)) != self._head

    def seek(self, offset: int) -> None:
        """Go on from there."""
        self.too_long += self._cutter.too_long
        self._cutter = LineCutter(self._most_line_bytes)
        self._opened.rewind()
        self._opened.skip(offset)
        self._at = offset

    def read(self) -> bytes:
        """More whole lines; empty when there are none for now."""
        lines = b""
        while not lines and (data := self._opened.stream.read(_CHUNK_BYTES)):
            self._at += len(data)
            lines = self._cutter.push(data)
        if lines:
            self.mtime_ns = os.fstat(self._opened.raw.fileno()).st_mtime_ns
            self.look_at_head()
        return lines

    def rest(self) -> bytes:
        """The last line without its end: nothing more will come."""
        self.done = True
        return self._cutter.finish()

    def close(self) -> None:
        """Let go of it."""
        self.too_long += self._cutter.too_long
        with suppress(OSError):
            self._opened.stream.close()
        self._opened.raw.close()

    def _size(self) -> int:
        return os.fstat(self._opened.raw.fileno()).st_size

    def _first_bytes(self, count: int) -> bytes:
        if not self.compressed:
            return os.pread(self._opened.raw.fileno(), count, 0)
        if self._at:
            return self._head
        head = self._opened.stream.read(count)
        self._opened.rewind()
        return head


def _fingerprint(head: bytes) -> str:
    return blake2b(head, digest_size=16).hexdigest()
