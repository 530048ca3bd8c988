"""What the user named: one file, standard input, or a directory that holds the files of one rolling capture."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hbids.capture.problems import Problem, shown
from hbids.capture.reader import FileReader
from hbids.capture.source import STDIN

if TYPE_CHECKING:
    from collections.abc import Generator

    from hbids.facts import FrameBatch

__all__ = ["Capture", "open_capture"]

_GLANCE_BYTES = 1 << 16
"""Enough to find the first packet of nearly every file without reading far."""

_AFTER_ALL_NS = 1 << 63
"""Files without packets come last; what is wrong with them is said when their turn comes."""

_MOST_NAMES = 5
"""So many skipped files are named; the rest are counted."""


def open_capture(argument: str, *, native: bool) -> Capture:
    """Find out what ``argument`` names: a file, ``-`` for standard input, or a directory.

    ``native`` chooses the splitter; ImportError when the native one is not installed. Nothing else raises: whatever is
    wrong with the input is told in :attr:`Capture.problems`.
    """
    capture = Capture([argument], native=native)
    if argument != STDIN and os.path.isdir(argument):  # noqa: PTH112  Path("") is the working directory
        paths, problems = _captures_within(argument, native=native)
        capture = Capture(paths, native=native)
        capture.problems += problems
    return capture


class Capture:
    """Some files read as one capture, once, in the order given."""

    def __init__(self, paths: list[str], *, native: bool) -> None:
        self.sources: list[str] = []
        """The files read so far."""
        self.problems: list[Problem] = []
        """What was wrong so far; those of a file are here once its reading has ended."""
        self._native = native
        self._sizes = {path: _size(path) for path in paths}
        self._done_bytes = 0
        self._reader: FileReader | None = None

    @property
    def total_bytes(self) -> int | None:
        """Bytes of all files as they lie on disk; None when that is not known (a pipe)."""
        sizes = list(self._sizes.values())
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def bytes_read(self) -> int:
        """How many of :attr:`total_bytes` have been read."""
        return self._done_bytes + (self._reader.bytes_read if self._reader else 0)

    def batches(self) -> Generator[FrameBatch, None, None]:
        """Every frame that can be read. Never raises on any content; a bad file does not stop the others."""
        for path, size in self._sizes.items():
            reader = self._reader = FileReader(path, native=self._native)
            try:
                yield from reader.batches()
            finally:
                if reader.opened:
                    self.sources.append(shown(path))
                self.problems += reader.problems()
                self._done_bytes += reader.bytes_read if size is None else size
                self._reader = None


def _size(path: str) -> int | None:
    try:
        status = os.fstat(0) if path == STDIN else os.stat(path)  # noqa: PTH116  as above
    except (OSError, ValueError):
        return 0  # reading it will say why
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _captures_within(directory: str, *, native: bool) -> tuple[list[str], list[Problem]]:
    """Find the capture files in and below a directory, in the order of their first packets; say what else was met."""
    problems: list[Problem] = []

    def cannot_list(error: OSError) -> None:
        message = f"cannot be listed: {error.strerror}; check its permissions"
        problems.append(Problem("error", shown(str(error.filename)), None, message))

    begun_at: list[tuple[int, str]] = []
    skipped: list[str] = []
    for folder, _, names in os.walk(directory, onerror=cannot_list):
        for path in (str(Path(folder, name)) for name in names):
            time_ns = _first_time_ns(path, native=native) if _size(path) else None
            if time_ns is None:
                skipped.append(path)
            else:
                begun_at.append((time_ns, path))
    if skipped:
        named = ", ".join(shown(os.path.relpath(path, directory)) for path in sorted(skipped)[:_MOST_NAMES])
        more = f" and {len(skipped) - _MOST_NAMES} more" if len(skipped) > _MOST_NAMES else ""
        message = f"skipped what is no capture file: {named}{more}"
        problems.append(Problem("warning", shown(directory), None, message))
    if not begun_at:
        problems.append(Problem("error", shown(directory), None, "holds no capture files: give a directory that does"))
    return [path for _, path in sorted(begun_at)], problems


def _first_time_ns(path: str, *, native: bool) -> int | None:
    """When a capture file begins, None when it is no capture."""
    reader = FileReader(path, native=native, chunk_bytes=_GLANCE_BYTES)
    with closing(reader.batches()) as batches:
        for batch in batches:
            return int(batch.frames["time_ns"][0])
    return _AFTER_ALL_NS if reader.is_capture else None
