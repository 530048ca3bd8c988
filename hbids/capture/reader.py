"""One capture file, read from its first frame to its end, or to where it can be followed no further."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from hbids.capture.inflate import BrokenStreamError
from hbids.capture.problems import Fault, FaultKind, Problem, describe, shown
from hbids.capture.recognise import looks_like
from hbids.capture.source import CHUNK_BYTES, Source, open_source
from hbids.capture.splitter import open_splitter
from hbids.facts import FRAME_DTYPE, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from hbids.capture.splitter import FaultNumbers

__all__ = ["FileReader"]

_HEAD_BYTES = 512


class FileReader:
    """Reads one file (or ``-``) once."""

    def __init__(self, path: str, *, native: bool, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.path = path
        self._splitter = open_splitter(native=native)
        self._chunk_bytes = chunk_bytes
        self._source: Source | None = None
        self._head = b""
        self._faults: dict[int, Fault] = {}
        self._failure: Problem | None = None

    def batches(self) -> Generator[FrameBatch, None, None]:
        """Every frame that can be read. Never raises on any content."""
        try:
            self._source = open_source(self.path, self._chunk_bytes)
        except (OSError, ValueError) as error:
            self._fail(None, f"cannot be opened: {_reason(error)}; check the path and its permissions")
            return
        with closing(self._source):
            yield from self._walk(self._source)

    @property
    def opened(self) -> bool:
        """Whether there was anything to read."""
        return self._source is not None

    @property
    def is_capture(self) -> bool:
        """Whether what has been read so far is (the beginning of) a capture."""
        return not {FaultKind.EMPTY, FaultKind.NOT_A_CAPTURE} & self._faults.keys()

    @property
    def bytes_read(self) -> int:
        """How far into the file."""
        return self._source.bytes_read() if self._source else 0

    def problems(self) -> list[Problem]:
        """Tell what was wrong with the part that has been read, each kind once."""
        found = [self._problem(fault) for fault in self._faults.values()]
        return found if self._failure is None else [*found, self._failure]

    def _walk(self, source: Source) -> Generator[FrameBatch, None, None]:
        consumed = rest_bytes = 0
        ended = False
        while not ended:
            try:
                window = source.advance(consumed)
            except OSError as error:
                self._fail(
                    source.bytes_read(), f"cannot be read further: {_reason(error)}; everything before it was read"
                )
                return
            except BrokenStreamError as error:
                self._fail(
                    source.bytes_read(),
                    f"the compressed data is broken: {error}; everything before it was read; "
                    "compress or copy the capture again",
                )
                return
            self._head = self._head or window[:_HEAD_BYTES]
            ended = len(window) <= rest_bytes
            rows, consumed, faults = self._splitter.push(window, last=ended)
            rest_bytes = len(window) - consumed
            ended = self._note(faults) or ended
            if rows:
                yield FrameBatch(window, np.frombuffer(rows, FRAME_DTYPE))

    def _note(self, faults: Iterable[FaultNumbers]) -> bool:
        """Keep the first fault of each kind and count the others; say whether reading must end."""
        for fault in map(Fault._make, faults):
            known = self._faults.get(fault.kind)
            self._faults[fault.kind] = known._replace(times=known.times + fault.times) if known else fault
        return any(FaultKind(kind).severity == "error" for kind, *_ in faults)

    def _problem(self, fault: Fault) -> Problem:
        message = describe(fault)
        if fault.kind == FaultKind.NOT_A_CAPTURE and (words := looks_like(self._head, self.path)):
            message = f"{message}; this looks like {words}"
        if self._source is not None and self._source.compressed:
            message = f"{message} (offset counted in the decompressed data)"
        return Problem(FaultKind(fault.kind).severity, shown(self.path), fault.offset, message)

    def _fail(self, offset: int | None, message: str) -> None:
        self._failure = Problem("error", shown(self.path), offset, message)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
