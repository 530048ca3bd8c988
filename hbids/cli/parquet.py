"""The fact tables as Parquet files (``--facts DIR``): one file a table, one row group a batch.

Columns are those of :mod:`hbids.facts`, sentinels and all, so that a file holds exactly what the decoder learnt. Times
become timestamps (UTC, ns), byte arrays fixed-size binaries, text columns text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from hbids.facts import FLOW_DTYPE, HEARTBEAT_DTYPE, SESSION_DTYPE

if TYPE_CHECKING:
    from hbids.facts import Facts, Rows

__all__ = ["FactsWriter"]

_TABLES = {"heartbeats": HEARTBEAT_DTYPE, "sessions": SESSION_DTYPE, "flows": FLOW_DTYPE}


class FactsWriter:
    """Writes ``heartbeats.parquet``, ``sessions.parquet`` and ``flows.parquet`` into ``directory``, made if need be.

    Raises OSError when they cannot be written. The files are readable after ``close``.
    """

    def __init__(self, directory: str) -> None:
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        self._writers = {
            name: parquet.ParquetWriter(
                folder / f"{name}.parquet", _table(np.zeros(0, dtype)).schema, compression="zstd"
            )
            for name, dtype in _TABLES.items()
        }

    def write(self, facts: Facts) -> None:
        """Append one batch; of a heartbeat only its final row."""
        self._write("heartbeats", facts.heartbeats[facts.heartbeats["is_final"] == 1])
        self._write("sessions", facts.sessions)
        self._write("flows", facts.flows)

    def _write(self, name: str, rows: Rows) -> None:
        if len(rows):
            self._writers[name].write_table(_table(rows))

    def close(self) -> None:
        """Complete the files."""
        for writer in self._writers.values():
            writer.close()


def _table(rows: Rows) -> Any:
    names = rows.dtype.names or ()
    return pa.table({name: _column(name, np.ascontiguousarray(rows[name])) for name in names})


def _column(name: str, values: np.ndarray[Any, Any]) -> Any:
    if values.dtype.kind == "S":
        return pa.array([text.decode("utf-8", "backslashreplace") for text in values.tolist()], pa.string())
    if values.ndim == 1:
        return pa.array(values.view("<M8[ns]"), pa.timestamp("ns", "UTC")) if name.endswith("_ns") else pa.array(values)
    width = values.shape[1]
    if values.dtype == np.uint8:
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), len(values), [None, pa.py_buffer(values.tobytes())]
        )
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
