"""Who did something worth telling to which endpoint, by address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbids.keyed import MOST_ENTRIES, KeyedTable, fingerprint, keys_of, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from hbids.keyed import Flags, Keys, Words

__all__ = ["Roster"]

MOST_SOURCES = 10_000
"""Source addresses kept for each endpoint; later ones are counted."""
MOST_PAIRS = 1_000_000
"""Of a source and an endpoint, over all endpoints: about 40 MB. Beyond it those met first go."""

_PAIR_FIELDS = [("last_ns", "<i8")]
"""A table lets those with the smallest go first. Here it numbers the pairs in the order in which they were met."""
_COUNT_FIELDS = [("last_ns", "<i8"), ("sources", "<i8")]


class Roster:
    """Sources of endpoints, in the order in which they were met. Endpoints are given by their fingerprints
    (:attr:`hbids.parties.Parties.endpoints`), sources by the words of their addresses."""

    def __init__(self, most_endpoints: int) -> None:
        self._counts = KeyedTable(_COUNT_FIELDS, most_endpoints)
        """Sources of each endpoint."""
        self._pairs = _Pairs(self._counts)
        self._met = 0
        self._refused = 0

    @property
    def dropped(self) -> int:
        """Times that a source found no room, or had to make room for others."""
        return self._refused + self._pairs.evicted

    def add(self, endpoints: Words, sources: tuple[Words, Words]) -> None:
        """Note that sources (n each, any n) did something to endpoints (n)."""
        for start in range(0, len(endpoints), MOST_ENTRIES):
            piece = slice(start, start + MOST_ENTRIES)
            self._add((sources[0][piece], sources[1][piece], endpoints[piece]))

    def of(self, endpoints: Words) -> Iterator[Sequence[tuple[int, int]]]:
        """The words of each endpoint's sources."""
        pairs = self._pairs.used
        high, low, whose = keys_of(pairs)
        order = np.lexsort((pairs["last_ns"], whose))
        whose = whose[order]
        starts = np.searchsorted(whose, endpoints, "left").tolist()
        ends = np.searchsorted(whose, endpoints, "right").tolist()
        for start, end in zip(starts, ends, strict=True):
            some = order[start:end]
            yield list(zip(high[some].tolist(), low[some].tolist(), strict=True))

    def _add(self, keys: Keys) -> None:
        new = np.flatnonzero(self._pairs.find(keys) < 0)
        if not len(new):
            return
        _, first = np.unique(fingerprint(*taken(keys, new)), return_index=True)
        met = new[np.sort(first)]
        met = met[self._has_room(keys[2][met])]
        self._pairs.rows["last_ns"][self._pairs.locate(taken(keys, met))] = self._met + np.arange(len(met))
        self._met += len(met)
        self._refused += int(np.count_nonzero(self._pairs.find(taken(keys, new)) < 0))

    def _has_room(self, endpoints: Words) -> Flags:
        """For which of some new sources there is room at their endpoints; they are counted there."""
        nothing = np.zeros_like(endpoints)
        groups = self._counts.groups(self._counts.locate((endpoints, nothing, nothing)))
        rows = self._counts.rows[groups.members]
        room = groups.running_sums(np.ones(len(endpoints), np.int64), rows["sources"]) <= MOST_SOURCES
        rows["sources"] += groups.sums(room.astype(np.int64))
        rows["last_ns"] = self._met
        self._counts.rows[groups.members] = rows
        return room


class _Pairs(KeyedTable):
    """Takes those that have to go off the counts."""

    def __init__(self, counts: KeyedTable) -> None:
        super().__init__(_PAIR_FIELDS, MOST_PAIRS)
        self._counts = counts

    def forget(self, rows: npt.NDArray[np.void]) -> None:
        for start in range(0, len(rows), MOST_ENTRIES):
            _, _, endpoints = keys_of(rows[start : start + MOST_ENTRIES])
            nothing = np.zeros_like(endpoints)
            numbers = self._counts.find((endpoints, nothing, nothing))
            np.subtract.at(self._counts.rows["sources"], numbers[numbers >= 0], 1)
