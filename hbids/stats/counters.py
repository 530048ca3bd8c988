"""Counters by key, in all and by minute, hour, day and month of packet time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hbids.keyed import Groups, Integers, KeyedTable, Keys, keys_of
from hbids.stats.running import SUMS, Running

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WINDOWS", "WINDOW_NS", "Counters"]

_MINUTE_NS = 60_000_000_000
WINDOWS = ("minute", "hour", "day", "month")
"""In the order of the columns below. A month has 30 days; windows begin at multiples of their length since 1970."""
WINDOW_NS = (_MINUTE_NS, 60 * _MINUTE_NS, 1_440 * _MINUTE_NS, 43_200 * _MINUTE_NS)

_FIELDS = [
    ("first_ns", "<i8"),
    ("last_ns", "<i8"),
    ("requests", "<u4"),
    ("suspicious", "<u4"),  # of the requests
    ("answers", "<u4"),  # leaking ones
    ("sources", "<u4"),  # that took something
    ("leaked_bytes", "<i8"),
    ("leaked_bytes_estimated", "<i8"),
    ("standing", "u1"),  # Standing
    ("window", "<i4", (len(WINDOWS),)),  # the newest window of each kind in which something was counted ...
    ("window_requests", "<u4", (len(WINDOWS),)),  # ... and what it was
    ("window_answers", "<u4", (len(WINDOWS),)),
    ("window_leaked_bytes", "<i8", (len(WINDOWS),)),  # estimates included
]
_NEVER_NS = np.iinfo(np.int64).max


class Counters(KeyedTable):
    """A table of counters. Who was quiet for longer than ``memory_ns`` begins anew."""

    def __init__(self, capacity: int, memory_ns: int, extra: Sequence[tuple[Any, ...]] = ()) -> None:
        super().__init__([*_FIELDS, *extra], capacity)
        self._memory_ns = memory_ns

    def count(self, keys: Keys, events: dict[str, Integers]) -> Running:
        """Count n events: ``start_ns`` and ``end_ns``, and what each adds to the :data:`~hbids.stats.running.SUMS`.

        From the first to the last must be no more than ``memory_ns``.
        """
        groups = self.groups(self.locate(keys))
        rows = self.rows[groups.members]
        last_ns = rows["last_ns"]
        stale = (events["end_ns"][groups.first] - last_ns > self._memory_ns) & (last_ns > 0)
        if stale.any():
            self.begin_anew(rows[stale])
            fresh = np.zeros(int(np.count_nonzero(stale)), rows.dtype)
            fresh["key"] = rows["key"][stale]
            rows[stale] = fresh
        new = rows["last_ns"] == 0
        if new.any():
            rows[new] = self._begun(rows[new])
        running = Running(groups, rows.copy(), events)
        rows["first_ns"] = np.minimum(rows["first_ns"], -groups.largest(-events["start_ns"]))
        rows["last_ns"] = np.maximum(rows["last_ns"], groups.largest(events["end_ns"]))
        sums = {name: groups.sums(events[name]) for name in SUMS if name in events}
        for name, added in sums.items():
            rows[name] += added.astype(rows[name].dtype)
        _count_windows(rows, groups, events, sums)
        self.rows[groups.members] = rows
        return running

    def _begun(self, rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        rows["first_ns"] = _NEVER_NS
        self.recall(rows)
        return rows

    def recall(self, rows: npt.NDArray[np.void]) -> None:
        """Called with new rows, for what is still known of them."""

    def keep(self, running: Running, name: str) -> None:
        """Write back a total that was worked out elsewhere."""
        self.rows[name][running.groups.members] = running[name][running.groups.last]

    def begin_anew(self, rows: npt.NDArray[np.void]) -> None:
        """Called with rows that were quiet for too long, before they are set to zero."""

    def merge(self, others: npt.NDArray[np.void]) -> Integers:
        """Add what another table has counted, at most :data:`~hbids.keyed.MOST_ENTRIES` rows; their numbers here."""
        numbers = self.locate(keys_of(others))
        rows = self.rows[numbers]
        ours = rows["last_ns"] > 0
        over = ours & (others["first_ns"] - rows["last_ns"] > self._memory_ns)
        outdated = ours & (rows["first_ns"] - others["last_ns"] > self._memory_ns)
        taken = ~ours | over
        rows[taken] = others[taken]
        both = ~taken & ~outdated
        rows[both] = _added(rows[both], others[both])
        self.rows[numbers] = rows
        return numbers


def _added(one: npt.NDArray[np.void], two: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    one["first_ns"] = np.minimum(one["first_ns"], two["first_ns"])
    one["last_ns"] = np.maximum(one["last_ns"], two["last_ns"])
    one["sources"] = np.maximum(one["sources"], two["sources"])  # who may have more than one counts them anew
    for name in SUMS:
        one[name] += two[name]
    newer, same = two["window"] > one["window"], two["window"] == one["window"]
    for name in ("window_requests", "window_answers", "window_leaked_bytes"):
        one[name] = np.where(newer, two[name], np.where(same, one[name] + two[name], one[name]))
    one["window"] = np.maximum(one["window"], two["window"])
    return one


def _count_windows(
    rows: npt.NDArray[np.void], groups: Groups, events: dict[str, Integers], sums: dict[str, Integers]
) -> None:
    """Into the newest window of each kind; what is late is counted in the totals only."""
    end_ns = events["end_ns"]
    first_ns, last_ns = int(end_ns.min()), int(end_ns.max())
    leaked = sums["leaked_bytes"] + sums["leaked_bytes_estimated"]
    in_all: tuple[Integers | None, ...] = (sums.get("requests"), sums["answers"], leaked)
    for kind, length_ns in enumerate(WINDOW_NS):
        newest: Integers | int = last_ns // length_ns
        added = in_all
        if first_ns // length_ns != newest:
            window = end_ns // length_ns
            newest = groups.largest(window)
            inside = window == newest[groups.of]
            leaks = events["leaked_bytes"] + events["leaked_bytes_estimated"]
            values = (events.get("requests"), events["answers"], leaks)
            added = tuple(None if each is None else groups.sums(np.where(inside, each, 0)) for each in values)
        before = rows["window"][:, kind]
        newer, current = newest > before, newest >= before
        names = ("window_requests", "window_answers", "window_leaked_bytes")
        for name, new in zip(names, added, strict=True):
            if new is not None:
                column = rows[name][:, kind]
                rows[name][:, kind] = np.where(newer, 0, column) + np.where(current, new, 0).astype(column.dtype)
        rows["window"][:, kind] = np.maximum(before, newest)
