"""Tables whose rows are found by key, many at a time: what statistics and detectors count in.

A key is three 64-bit words; many keys are three arrays of words. Nothing here loops over rows.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MOST_ENTRIES",
    "Flags",
    "Groups",
    "Integers",
    "KeyedTable",
    "Keys",
    "Words",
    "fingerprint",
    "keys_from",
    "keys_of",
    "taken",
]

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Keys = tuple[Words, Words, Words]
"""The words of n keys, each array of shape (n,)."""

MOST_ENTRIES = 1 << 15
"""Entries that may be looked up or grouped at once: what a processor's cache holds, and numpy sorts 16 bits best."""

_KEY_WORDS = 3
_FIRST_CELLS = 1 << 10
_FACTORS = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)))
"""Odd numbers that mix well (those of SplitMix64)."""


def fingerprint(*words: Words, seed: int = 0) -> Words:
    """One word for several, the same on every machine. Among a million, two alike are a chance of 1 in 37 million."""
    mixed = np.full(len(words[0]), seed, np.uint64)
    for number, word in enumerate(words):
        mixed = (mixed ^ word) * _FACTORS[number % len(_FACTORS)]
        mixed ^= mixed >> np.uint64(31)
    mixed *= _FACTORS[1]
    return mixed ^ (mixed >> np.uint64(29))


class KeyedTable:
    """Rows of counters by key, ``capacity`` at most; a new key gets a row of zeros.

    ``rows`` is a structured array with the field ``key`` before those given; the first ``len(table)`` of it are in use.
    When there is no room for a new key, an eighth of the rows goes, those with the smallest ``last_ns``.
    """

    def __init__(self, fields: Sequence[tuple[Any, ...]], capacity: int) -> None:
        self.rows = np.zeros(capacity, np.dtype([("key", "<u8", (_KEY_WORDS,)), *fields]))
        """Takes memory as rows come into use."""
        self.evicted = 0
        """Rows that had to go."""
        self._size = 0
        self._seed = secrets.randbits(64)  # nobody outside can choose keys that collide
        self._most_cells = 1 << (2 * capacity - 1).bit_length()
        self._cells = np.zeros(min(_FIRST_CELLS, self._most_cells), np.uint32)
        """Open addressing with linear probing: a cell holds the number of a row, counted from 1, or 0. At least twice
        as many as rows in use, and not many more: a few keys in many cells would each take a page of memory."""
        self._scratch = np.empty(capacity, np.uint32)

    def __len__(self) -> int:
        return self._size

    @property
    def used(self) -> npt.NDArray[np.void]:
        """The rows in use; a view."""
        return self.rows[: self._size]

    def locate(self, keys: Keys) -> Integers:
        """The number of each key's row, shape (n,), n being at most :data:`MOST_ENTRIES`. Numbers hold until the next
        call."""
        count = len(keys[0])
        if 2 * (self._size + count) > len(self._cells) < self._most_cells:
            self._spread(count)
        found = np.zeros(count, np.int64)
        cells = self._first_cells(keys)
        searched: Integers | slice = slice(None)
        while True:
            at, wanted = cells[searched], taken(keys, searched)
            numbers = self._cells[at]
            if not numbers.all():
                newcomers = np.flatnonzero(numbers == 0)
                if not self._insert(at[newcomers], taken(wanted, newcomers)):
                    self._make_room(count)
                    return self.locate(keys)
                numbers = self._cells[at]
            rows = numbers.astype(np.int64) - 1
            same = self._alike(rows, wanted)
            if same.all():
                found[searched] = rows
                return found
            places = np.arange(count) if isinstance(searched, slice) else searched
            found[places[same]] = rows[same]
            searched = places[~same]
            cells[searched] = (cells[searched] + 1) & (len(self._cells) - 1)

    def find(self, keys: Keys) -> Integers:
        """As :meth:`locate`, but a key that is not there gets no row: its number is -1."""
        found = np.full(len(keys[0]), -1, np.int64)
        cells = self._first_cells(keys)
        searched = np.arange(len(found))
        while len(searched):
            rows = self._cells[cells[searched]].astype(np.int64) - 1
            there = rows >= 0
            searched, rows = searched[there], rows[there]
            same = self._alike(rows, taken(keys, searched))
            found[searched[same]] = rows[same]
            searched = searched[~same]
            cells[searched] = (cells[searched] + 1) & (len(self._cells) - 1)
        return found

    def groups(self, numbers: Integers) -> Groups:
        """Entries by the row they belong to, ``numbers`` being what :meth:`locate` gave."""
        return Groups(numbers, self._scratch)

    def restore(self, rows: npt.NDArray[np.void]) -> None:
        """Take these rows in place of all there are; beyond the capacity, the newest."""
        if len(rows) > len(self.rows):
            rows = rows[np.argsort(-rows["last_ns"], kind="stable")[: len(self.rows)]]
        self.rows[len(rows) : self._size] = np.zeros((), self.rows.dtype)
        self._cells[:] = 0
        self._size = 0
        for start in range(0, len(rows), MOST_ENTRIES):
            piece = rows[start : start + MOST_ENTRIES].copy()  # ``rows`` may be our own
            self.rows[self.locate(keys_of(piece))] = piece

    def forget(self, rows: npt.NDArray[np.void]) -> None:
        """Called with the rows that must go."""

    def _first_cells(self, keys: Keys) -> Integers:
        return (fingerprint(*keys, seed=self._seed) & np.uint64(len(self._cells) - 1)).astype(np.int64)

    def _alike(self, rows: Integers, wanted: Keys) -> Flags:
        """Whether rows have these keys."""
        keys = self.rows["key"][rows]
        same: Flags = keys[:, 0] == wanted[0]
        for word in range(1, _KEY_WORDS):
            same &= keys[:, word] == wanted[word]
        return same

    def _insert(self, at: Integers, keys: Keys) -> bool:
        """Rows for keys whose cells are empty; where several want one cell, the first gets it. False without room."""
        claims = np.arange(1, len(at) + 1, dtype=np.uint32)
        self._cells[at[::-1]] = claims[::-1]
        first = np.flatnonzero(self._cells[at] == claims)
        self._cells[at] = 0
        if self._size + len(first) > len(self.rows):
            return False
        numbers = np.arange(self._size, self._size + len(first))
        self._cells[at[first]] = numbers + 1
        self.rows["key"][numbers] = np.column_stack(taken(keys, first))
        self._size += len(first)
        return True

    def _spread(self, newcomers: int) -> None:
        """Over more cells, with so many rows to come."""
        wanted = 1 << (2 * (self._size + newcomers) - 1).bit_length()
        self._cells = np.zeros(min(wanted, self._most_cells), np.uint32)
        self.restore(self.used)

    def _make_room(self, newcomers: int) -> None:
        used = self.used
        going = max(len(self.rows) // 8, len(used) + newcomers - len(self.rows))
        oldest_first = np.lexsort((*keys_of(used)[::-1], used["last_ns"]))
        staying = np.ones(len(used), bool)
        staying[oldest_first[:going]] = False
        self.forget(used[~staying])
        self.evicted += min(going, len(used))
        kept = 0
        for start in range(0, len(used), MOST_ENTRIES):  # where they are: a second table would take as much again
            piece = used[start : start + MOST_ENTRIES][staying[start : start + MOST_ENTRIES]]
            self.rows[kept : kept + len(piece)] = piece
            kept += len(piece)
        self.restore(self.rows[:kept])


def keys_of(rows: npt.NDArray[np.void]) -> Keys:
    """The keys of a table's rows."""
    first, second, third = rows["key"].T
    return first, second, third


def keys_from(words: Sequence[tuple[int, int, int]]) -> Keys:
    """Keys that are given one by one."""
    first, second, third = np.array(words, np.uint64).reshape(-1, _KEY_WORDS).T
    return first, second, third


def taken(keys: Keys, index: Integers | slice) -> Keys:
    """Some of the keys."""
    return keys[0][index], keys[1][index], keys[2][index]


class Groups:
    """Entries (n of them) of the same number belong together; in a group they keep the order in which they came.

    ``members`` (g,) are the distinct numbers; ``of`` (n,) says which of them is an entry's.
    """

    def __init__(self, numbers: Integers, scratch: npt.NDArray[np.uint32]) -> None:
        entries = np.arange(len(numbers), dtype=np.uint32)
        scratch[numbers] = entries
        self.last = np.flatnonzero(scratch[numbers] == entries)
        """Index of each group's last entry (g,)."""
        self.members = numbers[self.last]
        scratch[self.members] = entries[: len(self.members)]
        self.of = scratch[numbers].astype(np.uint16)
        self.order = np.argsort(self.of, kind="stable")
        """The entries, group by group."""
        self.counts = np.bincount(self.of, minlength=len(self.members))
        self.starts = np.cumsum(self.counts) - self.counts
        """Where each group begins in ``order`` (g,)."""

    @property
    def first(self) -> Integers:
        """Index of each group's first entry (g,)."""
        first: Integers = self.order[self.starts]
        return first

    def sums(self, values: Integers) -> Integers:
        """Of each group (g,)."""
        sums: Integers = np.add.reduceat(values[self.order], self.starts)
        return sums

    def largest(self, values: Integers) -> Integers:
        """Of each group (g,)."""
        largest: Integers = np.maximum.reduceat(values[self.order], self.starts)
        return largest

    def running_sums(self, values: Integers, before: Integers) -> Integers:
        """``before`` (g,) and the sum of each entry's group up to this entry (n,)."""
        sums = np.cumsum(values[self.order])
        lead = before.astype(np.int64)
        lead[1:] -= sums[self.starts[1:] - 1]
        return self._put_back(sums + np.repeat(lead, self.counts))

    def running_largest(self, values: Integers, before: Integers) -> Integers:
        """The largest of ``before`` (g,) and each entry's group up to this entry (n,)."""
        low, high = int(values.min()), int(values.max())
        lift = high - low + 1
        if lift * len(self.members) < np.iinfo(np.int64).max:
            lifts = np.repeat(np.arange(len(self.members)) * lift - low, self.counts)
            running = np.maximum.accumulate(values[self.order] + lifts) - lifts
        else:
            running = values[self.order]
            for start, count in zip(self.starts, self.counts, strict=True):
                np.maximum.accumulate(running[start : start + count], out=running[start : start + count])
        return self._put_back(np.maximum(running, np.repeat(before, self.counts)))

    def previous(self, values: npt.NDArray[Any], before: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The value of the entry before in the group (n,), for a group's first entry that of ``before`` (g,)."""
        shifted = np.empty_like(values)
        shifted[1:] = values[self.order[:-1]]
        shifted[self.starts] = before
        return self._put_back(shifted)

    def _put_back(self, in_order: npt.NDArray[Any]) -> npt.NDArray[Any]:
        result = np.empty_like(in_order)
        result[self.order] = in_order
        return result
