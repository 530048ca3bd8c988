"""Running totals: what stands in a table's row up to and with each of the entries counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbids.facts import Rows
from hbids.tallies import TALLY_DTYPE

if TYPE_CHECKING:
    import numpy.typing as npt

    from hbids.keyed import Flags, Groups, Integers

__all__ = ["SUMS", "Running"]

SUMS = ("requests", "suspicious", "answers", "leaked_bytes", "leaked_bytes_estimated")


class Running:
    """Totals up to each of n entries, worked out when they are asked for. ``before`` (g,) are the groups' rows as they
    stood before; ``events`` says what each entry adds, by name."""

    def __init__(self, groups: Groups, before: npt.NDArray[np.void], events: dict[str, Integers]) -> None:
        self.groups = groups
        self.before = before
        self._events = events
        self._columns: dict[str, Integers] = {}

    @property
    def numbers(self) -> Integers:
        """Of the rows in the table (n,)."""
        return self.groups.members[self.groups.of]

    def __getitem__(self, name: str) -> Integers:
        """The totals of one name, shape (n,)."""
        if name not in self._columns:
            before = self.before[name].astype(np.int64)
            if name == "first_ns":
                self._columns[name] = -self.groups.running_largest(-self._events["start_ns"], -before)
            elif name == "last_ns":
                self._columns[name] = self.groups.running_largest(self._events["end_ns"], before)
            elif name in self._events:
                self._columns[name] = self.groups.running_sums(self._events[name], before)
            else:
                self._columns[name] = before[self.groups.of]
        return self._columns[name]

    def __setitem__(self, name: str, values: Integers) -> None:
        self._columns[name] = values

    def at(self, index: Integers) -> Rows:
        """All totals of some entries, as :data:`~hbids.tallies.TALLY_DTYPE`."""
        tallies = np.zeros(len(index), TALLY_DTYPE)
        if len(index):
            tallies["key"] = self.before["key"][self.groups.of[index]]
            for name in (TALLY_DTYPE.names or ())[1:]:
                tallies[name] = self[name][index]
        return tallies

    def changes(self, name: str) -> Flags:
        """Where one of the totals is another than after the entry before (n,)."""
        return np.asarray(self[name] != self.groups.previous(self[name], self.before[name].astype(np.int64)))
