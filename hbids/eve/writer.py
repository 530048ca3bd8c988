"""EVE events as JSON lines, to a file or to standard output."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EveWriter", "open_output"]

_MODE = 0o640
"""Whoever reads what a sensor writes learns who is vulnerable."""


class EveWriter:
    """Writes events to ``path`` (``-`` is standard output), replacing what was there, or behind it.

    Every method raises OSError when the output cannot be written.
    """

    def __init__(self, path: str, *, append: bool = False) -> None:
        self._stream = open_output(path, append=append)

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one line. It is out at once: alerts are few, and someone may be waiting for them."""
        self._stream.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        self._stream.flush()

    def close(self) -> None:
        """Close what was opened here."""
        self._stream.close()


def open_output(path: str, *, append: bool = False) -> IO[bytes]:
    """Open a new file for writing, or the one that is there, not readable for others; ``-`` is standard output. Raises
    OSError."""
    if path == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    how = os.O_APPEND if append else os.O_TRUNC
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC, _MODE), "wb")
