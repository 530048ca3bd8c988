"""Fact rows on their way out: packed field by field, exactly as the dtypes of :mod:`hbids.facts` lay them out."""

from __future__ import annotations

from struct import Struct

import numpy as np

from hbids.facts import FLOW_DTYPE, HEARTBEAT_DTYPE, SESSION_DTYPE, Facts

__all__ = ["RowWriter", "Rows"]

_CODES = {"i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}


def _layout(dtype: np.dtype[np.void]) -> Struct:
    """One code per field; arrays and text are passed as bytes."""
    codes = []
    for name in dtype.names or ():
        field = dtype[name]
        scalar = field.subdtype is None and field.kind != "S"
        codes.append(_CODES[f"{field.kind}{field.itemsize}"] if scalar else f"{field.itemsize}s")
    return Struct("<" + "".join(codes))


class RowWriter:
    """Collects rows of one table."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._dtype = dtype
        self._names = dtype.names or ()
        self._struct = _layout(dtype)
        self._rows = bytearray()

    def pack(self, fields: dict[str, int | bytes]) -> bytes:
        """One row; every field must be there."""
        return self._struct.pack(*[fields[name] for name in self._names])

    def append(self, row: bytes) -> None:
        """Add a packed row."""
        self._rows += row

    def __len__(self) -> int:
        return len(self._rows) // self._struct.size

    def take(self) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """All rows since the last call."""
        rows, self._rows = self._rows, bytearray()
        return np.frombuffer(bytes(rows), self._dtype)


class Rows:
    """The three tables."""

    def __init__(self) -> None:
        self.heartbeats = RowWriter(HEARTBEAT_DTYPE)
        self.sessions = RowWriter(SESSION_DTYPE)
        self.flows = RowWriter(FLOW_DTYPE)

    def take(self, at_least: int = 0) -> Facts:
        """Everything since the last time, if it is so many rows; else it goes on waiting."""
        if sum(map(len, (self.heartbeats, self.sessions, self.flows))) < at_least:
            return Facts.empty()
        return Facts(self.heartbeats.take(), self.sessions.take(), self.flows.take())
