"""From the bytes of a capture file to frames: the splitter as its callers see it, and the one written in Python.

A splitter is fed a file in chunks of any size. It walks whole records and says how many bytes they took; the caller
presents the rest again with more behind it. Frame bytes are never copied: rows point into the chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from hbids.capture.pcap import Pcap
from hbids.capture.pcapng import Pcapng
from hbids.capture.problems import FaultKind
from hbids.capture.split import Split, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PythonSplitter", "Splitter", "open_splitter"]

FaultNumbers: TypeAlias = tuple[int, int, int, int, int]
"""The fields of :class:`hbids.capture.problems.Fault`."""


class Splitter(Protocol):
    """Splits one file."""

    def push(self, chunk: bytes, *, last: bool) -> tuple[bytes | bytearray, int, Sequence[FaultNumbers]]:
        """Walk a chunk of less than 4 GiB that begins where the previous one was consumed up to.

        Gives rows of ``FRAME_DTYPE`` whose offsets point into ``chunk``, the bytes consumed, and the faults met. With
        ``last`` no bytes will follow: a record still incomplete is then a fault. After a fault that is an error nothing
        is consumed any more. Never raises on any content.
        """


def open_splitter(*, native: bool) -> Splitter:
    """Make a splitter for one file. Raises ImportError when the native one is asked for and not installed."""
    if native:
        from hbids._native import Splitter as NativeSplitter

        return NativeSplitter()
    return PythonSplitter()


class PythonSplitter:
    """The executable specification of the native splitter, and what runs where that is not installed."""

    def __init__(self) -> None:
        self._offset = 0
        self._walker: Pcap | Pcapng | None = None
        self._stopped = False

    def push(self, chunk: bytes, *, last: bool) -> tuple[bytearray, int, Sequence[FaultNumbers]]:
        """See :meth:`Splitter.push`."""
        split = Split(chunk, self._offset)
        if not self._stopped:
            try:
                wanted = self._walk(split)
                if last:
                    self._end(split, wanted)
            except UnreadableError as unreadable:
                split.fault(*unreadable.args)
                self._stopped = True
        self._offset += split.consumed
        return split.rows, split.consumed, list(split.faults.values())

    def _walk(self, split: Split) -> int:
        magic = split.chunk[:4]
        if self._walker is None:
            if len(magic) < 4:
                return 4
            self._walker = Pcap.recognise(magic) or Pcapng.recognise(magic)
            if self._walker is None:
                raise UnreadableError(FaultKind.NOT_A_CAPTURE, 0, int.from_bytes(magic, "big"), 0)
        return self._walker.walk(split)

    def _end(self, split: Split, wanted: int) -> None:
        rest_bytes = len(split.chunk) - split.consumed
        if split.offset + split.consumed == 0:
            raise UnreadableError(FaultKind.ENDS_IN_HEADER if rest_bytes else FaultKind.EMPTY, 0, rest_bytes, wanted)
        if rest_bytes:
            split.fault(FaultKind.TRUNCATED, split.consumed, rest_bytes, wanted)
