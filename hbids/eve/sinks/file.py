"""EVE lines in a file, which may be rotated, truncated or deleted meanwhile, on a disk that may be full."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hbids.eve.sinks.descriptor import whole_lines, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileSink"]

_MODE = 0o640
"""Whoever reads what a sensor writes learns who is vulnerable."""


class FileSink:
    """A file or FIFO by its path.

    ``replace`` starts the file anew, as a run over captures does; a sensor goes on with what is there. Lines are always
    appended, so that a file truncated meanwhile (logrotate's ``copytruncate``) goes on from its start, and the path is
    looked at before each write, so that a file that was renamed or deleted is followed by a new one.
    """

    must_open = True

    def __init__(self, path: str, *, replace: bool) -> None:
        self.name = path
        self._replace = replace
        self._descriptor = -1
        self._identity = (0, 0)
        self._is_regular = False
        self._torn = False
        """Whether the file ends within a line."""

    def open(self) -> None:
        """A FIFO without a reader is waited for where a file is replaced, and refused elsewhere."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        flags |= os.O_TRUNC if self._replace else os.O_NONBLOCK
        self._descriptor = os.open(self.name, flags, _MODE)
        os.set_blocking(self._descriptor, True)
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)
        self._is_regular = stat.S_ISREG(status.st_mode)
        self._torn = self._is_regular and status.st_size > 0 and not _ends_with_newline(self.name)
        self._replace = False

    def write(self, lines: Sequence[bytes]) -> int:
        """A line that did not fit as a whole is taken back."""
        if self._moved_away():
            self.close()
            self.open()
        mend = b"\n" if self._torn else b""
        written, failure = write_bytes(self._descriptor, mend + b"".join(lines))
        self._torn = self._torn and not written
        if failure is None:
            return len(lines)
        count, torn_bytes = whole_lines(lines, max(0, written - len(mend)))
        if torn_bytes:
            self._torn = not self._take_back(torn_bytes)
        if not count:
            raise failure
        return count

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _moved_away(self) -> bool:
        try:
            status = Path(self.name).stat()
        except PermissionError:  # privileges were given up: what is open stays good
            return False
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _take_back(self, torn_bytes: int) -> bool:
        """Cut what was written last off the end of the file, if it still is its end."""
        if not self._is_regular:
            return False
        try:
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if os.fstat(self._descriptor).st_size == end:
                os.ftruncate(self._descriptor, end - torn_bytes)
                return True
        except OSError:
            pass
        return False


def _ends_with_newline(path: str) -> bool:
    """Also where it cannot be read: an empty line in the middle is worse than none."""
    try:
        with Path(path).open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"
    except OSError:
        return True
