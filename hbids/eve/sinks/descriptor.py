"""Writing lines to a file descriptor, and how many of them are out when it fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["whole_lines", "write_bytes"]


def write_bytes(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    """Write all of ``data``; how many bytes are out, and what stopped the rest."""
    view, written = memoryview(data), 0
    try:
        while written < len(view):
            written += os.write(descriptor, view[written:])
    except OSError as error:
        return written, error
    return written, None


def whole_lines(lines: Iterable[bytes], written: int) -> tuple[int, int]:
    """Of ``written`` bytes of ``lines``: the lines that are whole, and the bytes of the one that is not."""
    count = 0
    for line in lines:
        if len(line) > written:
            break
        written -= len(line)
        count += 1
    return count, written
