"""The exposure of endpoints over all runs: since when they were seen to be vulnerable, until when, and what was taken.

Only first and last times and sums are kept, so that the order in which things are told changes nothing, and the numbers
of two sensors add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hbids.keyed import MOST_ENTRIES, KeyedTable, keys_of
from hbids.parties import of_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.facts import Rows
    from hbids.keyed import Integers, Keys
    from hbids.measures import Measured
    from hbids.state import Part
    from hbids.stats.refusals import Refusals

__all__ = ["EXPOSURE_TIMES", "ExposureTimeline"]

EXPOSURE_TIMES = (
    "heartbeat_first_accepted",
    "heartbeat_last_accepted",
    "first_leak",
    "last_leak",
    "first_patched",
    "last_patched",
    "exposed_from",
    "exposed_until",
)
"""Those of the keys that are times."""

_EVENTS = ("accepted", "leaks", "patched")
"""The extension was accepted; an answer leaked; a request was refused as a patched peer does."""
_BYTES = ("leaked_bytes", "leaked_bytes_estimated")
_EARLY = {name: name.replace("leaked", "leaked_before_disclosure") for name in _BYTES}
_FIELDS = [
    ("last_ns", "<i8"),
    *((name, "<u8") for name in _EVENTS),
    *((f"{name}_{which}_ns", "<i8") for name in _EVENTS for which in ("first", "last")),
    *((name, "<i8") for name in (*_BYTES, *_EARLY.values())),
]
_UNKNOWN = -1
"""Of bytes before the disclosure: earlier runs counted them by another day."""


class ExposureTimeline:
    """One row an endpoint."""

    def __init__(self, endpoints: int, disclosure_ns: int | None = None) -> None:
        self._table = KeyedTable(_FIELDS, endpoints)
        self._disclosure_ns = disclosure_ns

    @property
    def evicted(self) -> int:
        """Endpoints that had to make room for others."""
        return self._table.evicted

    def add_sessions(self, sessions: Rows) -> None:
        """Note who accepts the extension; at most :data:`~hbids.keyed.MOST_ENTRIES` rows."""
        accepted = sessions[sessions["heartbeat_accepted"] >= 0]
        if len(accepted):
            times_ns = accepted["time_ns"]
            self._note("accepted", of_rows(accepted, np.ones(len(accepted), bool)).victims, times_ns, times_ns)

    def add_leaks(self, heartbeats: Measured, index: Integers) -> None:
        """Count leaking answers that have ended, and that no run has counted before."""
        if not len(index):
            return
        begun_ns, ended_ns = (heartbeats.rows[name][index] for name in ("time_ns", "end_time_ns"))
        numbers = self._note("leaks", heartbeats.parties[index].victims, begun_ns, ended_ns)
        groups = self._table.groups(numbers)
        taken = self._table.rows[groups.members]
        leaked = dict(zip(_BYTES, (heartbeats.leaked[index], heartbeats.leaked_estimated[index]), strict=True))
        for name, amounts in leaked.items():
            taken[name] += groups.sums(amounts)
            if self._disclosure_ns is not None:
                early = groups.sums(np.where(ended_ns < self._disclosure_ns, amounts, 0))
                taken[_EARLY[name]] += np.where(taken[_EARLY[name]] == _UNKNOWN, 0, early)
        self._table.rows[groups.members] = taken

    def add_refusals(self, refusals: Refusals) -> None:
        """Note who refused what a vulnerable peer answers."""
        if len(refusals.times_ns):
            self._note("patched", refusals.endpoints, refusals.times_ns, refusals.times_ns)

    def exposures(self, endpoints: Keys) -> list[dict[str, Any]]:
        """What is known of some endpoints: times in nanoseconds, None where nothing is known."""
        numbers = self._table.find(endpoints)
        rows = self._table.rows[numbers]
        rows[numbers < 0] = np.zeros((), rows.dtype)
        return [self._told(row) for row in rows]

    def merge(self, other: ExposureTimeline) -> None:
        """Add what another sensor has seen; both must know the same day of disclosure."""
        for start in range(0, len(other._table), MOST_ENTRIES):
            theirs = other._table.used[start : start + MOST_ENTRIES]
            numbers = self._table.locate(keys_of(theirs))
            rows = self._table.rows[numbers]
            new = ~np.any([rows[name] > 0 for name in _EVENTS], axis=0)
            for name in _EVENTS:
                _extend(rows, name, theirs[f"{name}_first_ns"], theirs[f"{name}_last_ns"], theirs[name])
            for name in (*_BYTES, *_EARLY.values()):
                unknown = (rows[name] == _UNKNOWN) | (theirs[name] == _UNKNOWN)
                rows[name] = np.where(unknown, _UNKNOWN, rows[name] + theirs[name])
            rows["last_ns"] = np.where(new, theirs["last_ns"], np.maximum(rows["last_ns"], theirs["last_ns"]))
            self._table.rows[numbers] = rows

    def parts(self) -> dict[str, Part]:
        """All that is known, for the state."""
        return {"exposure": self._table.used, "exposure disclosure": {"time_ns": self._disclosure_ns}}

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on from what an earlier run knew."""
        rows, disclosure = parts.get("exposure"), parts.get("exposure disclosure")
        if not isinstance(rows, np.ndarray) or not isinstance(disclosure, dict):
            return
        self._table.restore(rows)
        self.adopt(self._disclosure_ns, instead_of=disclosure["time_ns"])

    def adopt(self, disclosure_ns: int | None, *, instead_of: int | None) -> None:
        """From now on count by this day of disclosure; what was counted by another says nothing of it."""
        self._disclosure_ns = disclosure_ns
        if disclosure_ns != instead_of:
            rows = self._table.used
            for name in _EARLY.values():
                rows[name][rows["leaks"] > 0] = _UNKNOWN

    def _note(self, name: str, endpoints: Keys, first_ns: Integers, last_ns: Integers) -> Integers:
        numbers = self._table.locate(endpoints)
        groups = self._table.groups(numbers)
        rows = self._table.rows[groups.members]
        new = ~np.any([rows[each] > 0 for each in _EVENTS], axis=0)
        _extend(rows, name, -groups.largest(-first_ns), groups.largest(last_ns), groups.counts)
        latest_ns = rows[f"{name}_last_ns"]
        rows["last_ns"] = np.where(new, latest_ns, np.maximum(rows["last_ns"], latest_ns))
        self._table.rows[groups.members] = rows
        return numbers

    def _told(self, row: np.void) -> dict[str, Any]:
        accepted, leaks, patched = (_Span.of(row, name) for name in _EVENTS)
        both = leaks.last_ns is not None and patched.first_ns is not None and patched.first_ns < leaks.last_ns
        counts_early = self._disclosure_ns is not None and row["leaked_before_disclosure_bytes"] != _UNKNOWN
        return {
            "heartbeat_first_accepted": accepted.first_ns,
            "heartbeat_last_accepted": accepted.last_ns,
            "first_leak": leaks.first_ns,
            "last_leak": leaks.last_ns,
            "first_patched": patched.first_ns,
            "last_patched": patched.last_ns,
            "exposed_from": _exposed_from(accepted, leaks, patched),
            "exposed_until": None if both or leaks.last_ns is None else patched.first_ns,
            "leaking_and_patched": both,
            **{name: int(row[name]) for name in _BYTES},
            **{name: int(row[name]) if counts_early else None for name in _EARLY.values()},
        }


class _Span(NamedTuple):
    """Of one kind of events."""

    first_ns: int | None
    last_ns: int | None

    @classmethod
    def of(cls, row: np.void, name: str) -> _Span:
        """None and None if there were none."""
        return cls(int(row[f"{name}_first_ns"]), int(row[f"{name}_last_ns"])) if row[name] else cls(None, None)


def _exposed_from(accepted: _Span, leaks: _Span, patched: _Span) -> int | None:
    """Who leaks, and accepted heartbeats before, leaked then, too, if it was not patched meanwhile."""
    if leaks.first_ns is None or accepted.first_ns is None:
        return leaks.first_ns
    if patched.first_ns is not None and patched.first_ns < leaks.first_ns:
        return leaks.first_ns
    return min(leaks.first_ns, accepted.first_ns)


def _extend(rows: Rows, name: str, first_ns: Integers, last_ns: Integers, counts: Integers) -> None:
    """Let the spans of rows reach so far; where ``counts`` is 0 there is nothing to add."""
    first, last = rows[f"{name}_first_ns"], rows[f"{name}_last_ns"]
    new, adds = rows[name] == 0, counts > 0
    rows[f"{name}_first_ns"] = np.where(adds, np.where(new, first_ns, np.minimum(first, first_ns)), first)
    rows[f"{name}_last_ns"] = np.where(adds, np.where(new, last_ns, np.maximum(last, last_ns)), last)
    rows[name] += counts.astype(np.uint64)
