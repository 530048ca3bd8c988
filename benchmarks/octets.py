"""Numbers written into rows of bytes, and the Internet checksum over such rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from benchmarks.template import Bytes

__all__ = ["Numbers", "checksum", "ones_sum", "put"]

Numbers = npt.NDArray[np.int64]


def put(rows: Bytes, at: int, width: int, value: Numbers | int) -> None:
    """Write ``value`` big-endian into ``width`` columns."""
    for column in range(width):
        rows[:, at + column] = value >> 8 * (width - 1 - column) & 0xFF


def ones_sum(octets: Bytes) -> Numbers:
    """The big-endian words of each row summed as RFC 1071 does, the carries added back in.

    The sum is done on little-endian words, several times faster here, and swapped at the end (RFC 1071 section 2 B).
    """
    even = octets.shape[1] // 2 * 2
    total: Numbers = np.ascontiguousarray(octets[:, :even]).view("<u2").sum(axis=1, dtype=np.int64)
    if even < octets.shape[1]:
        total += octets[:, even]
    total = _fold(total)
    return (total & 0xFF) << 8 | total >> 8


def checksum(total: Numbers) -> Numbers:
    """What goes into a header whose words, with zero in its place, sum up to this."""
    return ~_fold(total) & 0xFFFF


def _fold(total: Numbers) -> Numbers:
    while (total >> 16).any():
        total = (total & 0xFFFF) + (total >> 16)
    return total
