"""EVE lines on standard output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hbids.eve.sinks.descriptor import whole_lines, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StdoutSink"]

_STANDARD_OUTPUT = 1


class StdoutSink:
    """Whatever standard output is: a terminal, a pipe, a file of the shell's."""

    name = "-"
    must_open = True

    def open(self) -> None:
        """It is open; a closed one is an error at once."""
        os.fstat(_STANDARD_OUTPUT)

    def write(self, lines: Sequence[bytes]) -> int:
        """Unbuffered, so that nothing is left to flush."""
        written, failure = write_bytes(_STANDARD_OUTPUT, b"".join(lines))
        count, _ = whole_lines(lines, written)
        if failure and not count:
            raise failure
        return count

    def close(self) -> None:
        """Standard output belongs to the process."""
