"""What one push of the Python splitter gathers."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hbids.capture.problems import Fault, FaultKind

__all__ = ["ROW", "Split", "UnreadableError"]

ROW = struct.Struct("<qIIIHH")
"""One row of ``hbids.facts.FRAME_DTYPE``."""


class UnreadableError(Exception):
    """Nothing from this record on can be read. ``args`` are those of :meth:`Split.fault`."""


@dataclass(slots=True)
class Split:
    """The frames of one chunk while they are collected."""

    chunk: bytes
    offset: int
    """Of the chunk in the file."""
    consumed: int = 0
    """Bytes of whole records walked so far."""
    rows: bytearray = field(default_factory=bytearray)
    faults: dict[FaultKind, Fault] = field(default_factory=dict)

    def fault(self, kind: FaultKind, at: int, seen: int, expected: int) -> None:
        """Note a fault of the record at ``at`` in the chunk.

        The first of a kind is kept with its numbers, the others are counted: however many lies a chunk holds, its notes
        stay few.
        """
        first = self.faults.get(kind)
        if first is None:
            self.faults[kind] = Fault(kind, self.offset + at, seen, expected)
        else:
            self.faults[kind] = first._replace(times=first.times + 1)
