"""The bytes of one input, plain or compressed, file or pipe, as a window that moves over them.

Files are read, never mapped: a mapped file that is truncated meanwhile kills the process.
"""

from __future__ import annotations

import fcntl
import io
import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from hbids.capture.inflate import GZIP_MAGIC, ZSTD_MAGIC, BrokenStreamError, gunzip, unzstd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

__all__ = ["CHUNK_BYTES", "STDIN", "Source", "open_source"]

STDIN = "-"

CHUNK_BYTES = 1 << 20
"""Reading costs the same in pieces of 256 KiB to 4 MiB and more beyond, where the allocator gives each piece back to
the kernel. A mebibyte stays in the processor's cache until it is decoded; smaller batches cost more than they save."""

_PIPE_BYTES = 1 << 20
"""The most a pipe may hold unless root says otherwise: the more it holds, the fewer and larger the batches."""

_READ_BYTES = 1 << 18
"""A quarter of a pipe, so that writer and reader work at the same time."""


class Source(Protocol):
    """An open input."""

    compressed: bool

    def advance(self, consumed: int) -> bytes:
        """Move past ``consumed`` bytes of the last window: the rest of it with at least one byte more behind it.

        Gives the bare rest at the end. Raises OSError or BrokenStreamError when no more can be had but should be there.
        """

    def bytes_read(self) -> int:
        """How far into the file (of its compressed bytes, if it is compressed)."""

    def close(self) -> None:
        """Let go of the file."""


def open_source(path: str, chunk_bytes: int = CHUNK_BYTES) -> Source:
    """Open a file, a pipe, or standard input (:data:`STDIN`). What it is, its first bytes say, not its name.

    Raises OSError when it cannot be opened, ValueError when no path can look so.
    """
    fd = os.dup(0) if path == STDIN else os.open(path, os.O_RDONLY)
    try:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        if is_file:
            head = os.pread(fd, 4, os.lseek(fd, 0, os.SEEK_CUR))
        else:
            os.set_blocking(fd, True)  # whoever made the pipe may have said otherwise, and "not yet" is not the end
            with suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            head = _first_bytes(fd, 4)
    except BaseException:
        os.close(fd)
        raise
    file = _File(fd, given_again=b"" if is_file else head)
    decompress = gunzip if head.startswith(GZIP_MAGIC) else unzstd if head == ZSTD_MAGIC else None
    if is_file and decompress is None:
        return _SeekableFile(file, chunk_bytes)
    buffered = io.BufferedReader(file, _READ_BYTES)
    if decompress is not None:
        return _Stream(buffered, decompress(buffered.read), chunk_bytes, compressed=True)
    # What a pipe has is handed on at once: its writer may be capturing slowly.
    return _Stream(buffered, iter(partial(buffered.read1, _READ_BYTES), b""), 1, compressed=False)


def _first_bytes(fd: int, count: int) -> bytes:
    head = b""
    while len(head) < count and (more := os.read(fd, count - len(head))):
        head += more
    return head


class _File(io.FileIO):
    """An open file that counts what it gives, and gives again first what has been looked at already."""

    def __init__(self, fd: int, given_again: bytes) -> None:
        super().__init__(fd)
        self.bytes_read = 0
        self._given_again = given_again

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._given_again:
            count = io.BytesIO(self._given_again).readinto(buffer)
            self._given_again = self._given_again[count:]
        else:
            count = super().readinto(buffer) or 0
        self.bytes_read += count
        return count


class _SeekableFile:
    """A plain file. The rest of a window is read again instead of copied."""

    compressed = False

    def __init__(self, file: _File, chunk_bytes: int) -> None:
        self._file = file
        self._chunk_bytes = chunk_bytes
        self._position = file.tell()
        self._window_bytes = 0

    def advance(self, consumed: int) -> bytes:
        self._position += consumed
        rest_bytes = self._window_bytes - consumed
        # A record larger than a chunk makes the window grow until it fits.
        window = os.pread(self._file.fileno(), max(self._chunk_bytes, 2 * rest_bytes), self._position)
        self._window_bytes = len(window)
        return window

    def bytes_read(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()


class _Stream:
    """A pipe, or the decompressed bytes of a file. The rest of a window is kept."""

    def __init__(
        self, file: io.BufferedReader[_File], pieces: Iterator[bytes], least_bytes: int, *, compressed: bool
    ) -> None:
        self.compressed = compressed
        self._file = file
        self._pieces = pieces
        self._least_bytes = least_bytes
        self._window = b""
        self._failure: OSError | BrokenStreamError | None = None

    def advance(self, consumed: int) -> bytes:
        if self._failure is not None:
            raise self._failure
        gathered = [self._window[consumed:]]
        rest_bytes = gathered_bytes = len(gathered[0])
        # Growing by half at least keeps the copying of a large record linear.
        wanted_bytes = rest_bytes + max(self._least_bytes, rest_bytes // 2)
        try:
            while gathered_bytes < wanted_bytes:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                gathered.append(piece)
                gathered_bytes += len(piece)
        except (OSError, BrokenStreamError) as failure:
            self._failure = failure
            if gathered_bytes == rest_bytes:
                raise
        self._window = b"".join(gathered)
        return self._window

    def bytes_read(self) -> int:
        return self._file.raw.bytes_read

    def close(self) -> None:
        self._file.close()
