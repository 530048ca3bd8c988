"""What each endpoint was asked for and gave away over time, and by whom: what a report draws.

Counts are kept in cells: of one source at one endpoint in one window of packet time. Windows are as short as an
endpoint's story allows: when it outgrows so many windows as a picture shows apart, they become longer. With too many
cells, sources that took least become "others", and then all windows longer; only after that cells go, and are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hbids.facts import Kind
from hbids.keyed import fingerprint

if TYPE_CHECKING:
    from hbids.config import Report
    from hbids.keyed import Integers, Words
    from hbids.measures import Measured

__all__ = ["CELL_DTYPE", "WINDOW_LENGTHS_NS", "Timelines", "window_length"]

Cells = npt.NDArray[np.void]

SUMS = ("requests", "overreads", "answers", "leaked_bytes", "leaked_bytes_estimated")

CELL_DTYPE = np.dtype(
    [
        ("endpoint", "<u8", (3,)),  # as in Parties.victims
        ("source", "<u8", (2,)),  # the address in two words; zeros: others
        ("window_ns", "<i8"),  # when the window begins
        ("window_length_ns", "<i8"),
        ("first_ns", "<i8"),  # end of the first message counted here
        ("last_ns", "<i8"),
        *((name, "<i8") for name in SUMS),
    ]
)
"""``requests`` are clear and sealed ones, ``overreads`` those clear ones that ask for memory, ``answers`` leaking
ones."""

_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
WINDOW_LENGTHS_NS = np.array(
    [
        *(_SECOND_NS * seconds for seconds in (1, 5, 15, 60, 300, 900, 3_600, 10_800, 43_200)),
        *(_DAY_NS * days for days in (1, 5, 30, 360, 3_600, 36_000)),
    ],
    np.int64,
)
"""From seconds over minutes, hours and days to months of 30 days and beyond; each a multiple of the one before, so that
longer windows are sums of shorter ones. They begin at multiples of their length since 1970."""


class Timelines:
    """Cells of all endpoints."""

    def __init__(self, bounds: Report) -> None:
        self._most = bounds.cells
        self._windows = bounds.windows
        self._parts: list[Cells] = []
        self._waiting = 0
        self._merged = np.zeros(0, CELL_DTYPE)
        self.dropped = 0
        """Requests and leaking answers that found no room."""

    def add(self, heartbeats: Measured) -> None:
        """Count messages that have ended."""
        taken = np.flatnonzero(heartbeats.final & (~heartbeats.answers | heartbeats.leaks))
        if not len(taken):
            return
        self._parts.append(_merge(_cells_of(heartbeats, taken)))
        self._waiting += len(self._parts[-1])
        if self._waiting > self._most // 2:
            self._settle()

    def cells(self) -> Cells:
        """All there are, in order of time."""
        self._settle()
        return self._merged[np.lexsort((*self._merged["source"].T, self._merged["window_ns"]))]

    def _settle(self) -> None:
        """Merge what has come since the last time, and see to it that half of the room is free."""
        cells = np.concatenate([self._merged, *self._parts])
        self._parts, self._waiting = [], 0
        if not len(cells):
            return
        cells = _merge(_lengthened(cells, self._windows))
        room = self._most // 2
        if len(cells) > room:
            small = _by_harm(cells)[room // 2 :]
            cells["source"][small] = 0
            cells = _merge(cells)
        while len(cells) > room and self._windows > 1:
            self._windows //= 2
            cells = _merge(_lengthened(cells, self._windows))
        if len(cells) > room:  # one window each, and yet: sources are told apart nowhere
            cells["source"] = 0
            cells = _merge(cells)
        if len(cells) > room:
            order = _by_harm(cells)
            gone = cells[order[room:]]
            self.dropped += int(gone["requests"].sum() + gone["answers"].sum())
            cells = cells[order[:room]]
        self._merged = cells


def window_length(first_ns: Integers, last_ns: Integers, windows: int) -> Integers:
    """The shortest length of which at most so many windows hold all from the first to the last (n,), in ns."""
    first, last = first_ns[:, None] // WINDOW_LENGTHS_NS, last_ns[:, None] // WINDOW_LENGTHS_NS
    fits = last - first < windows
    fits[:, -1] = True
    lengths: Integers = WINDOW_LENGTHS_NS[np.argmax(fits, axis=1)]
    return lengths


def _cells_of(heartbeats: Measured, taken: Integers) -> Cells:
    """One for each message."""
    rows, parties = heartbeats.rows, heartbeats.parties[taken]
    cells = np.zeros(len(taken), CELL_DTYPE)
    cells["endpoint"], cells["source"] = np.column_stack(parties.victims), np.column_stack(parties.sources)
    end_ns = rows["end_time_ns"][taken]
    cells["first_ns"] = cells["last_ns"] = end_ns
    cells["window_length_ns"] = WINDOW_LENGTHS_NS[0]
    cells["window_ns"] = end_ns - end_ns % WINDOW_LENGTHS_NS[0]
    asks = ~heartbeats.answers[taken] & (heartbeats.sealed[taken] | (rows["kind"][taken] == Kind.REQUEST))
    cells["requests"] = asks
    cells["overreads"] = asks & (heartbeats.overread[taken] > 0)
    cells["answers"] = heartbeats.leaks[taken]
    cells["leaked_bytes"], cells["leaked_bytes_estimated"] = (
        heartbeats.leaked[taken],
        heartbeats.leaked_estimated[taken],
    )
    return cells


def _lengthened(cells: Cells, windows: int) -> Cells:
    """Each endpoint's cells in windows of one length."""
    _, of = np.unique(_endpoint_marks(cells), return_inverse=True)
    first_ns = np.full(of.max() + 1, np.iinfo(np.int64).max)
    last_ns = np.full(of.max() + 1, np.iinfo(np.int64).min)
    np.minimum.at(first_ns, of, cells["first_ns"])
    np.maximum.at(last_ns, of, cells["last_ns"])
    cells["window_length_ns"] = window_length(first_ns, last_ns, windows)[of]
    cells["window_ns"] -= cells["window_ns"] % cells["window_length_ns"]
    return cells


def _merge(cells: Cells) -> Cells:
    """Of each endpoint, source and window one."""
    marks = fingerprint(_endpoint_marks(cells), *cells["source"].T, cells["window_ns"].view(np.uint64))
    order = np.argsort(marks, kind="stable")
    marks = marks[order]
    starts = np.flatnonzero(np.concatenate([[True], marks[1:] != marks[:-1]]))
    merged = cells[order[starts]]
    for name in SUMS:
        merged[name] = np.add.reduceat(cells[name][order], starts)
    merged["first_ns"] = np.minimum.reduceat(cells["first_ns"][order], starts)
    merged["last_ns"] = np.maximum.reduceat(cells["last_ns"][order], starts)
    return merged


def _by_harm(cells: Cells) -> Integers:
    """The order in which cells matter."""
    leaked = cells["leaked_bytes"] + cells["leaked_bytes_estimated"]
    order: Integers = np.lexsort((cells["first_ns"], -cells["requests"], -leaked))
    return order


def _endpoint_marks(cells: Cells) -> Words:
    return fingerprint(*cells["endpoint"].T)
