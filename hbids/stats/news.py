"""Which rows bring something new, so that detectors need not look at the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hbids.keyed import Flags, Integers, KeyedTable, Words, fingerprint
from hbids.windows import window_begin, window_number

if TYPE_CHECKING:
    from hbids.facts import Rows
    from hbids.keyed import Groups

__all__ = ["ENDPOINT_FIELDS", "OF_A_RUN", "SOURCE_FIELDS", "begin_windows", "likes", "power_of_ten", "unlike_before"]

MOST_NEWCOMERS = 64
"""Sources, or ways of one, that detectors look at for each endpoint, and as many that become harvesters; more only
count. Alerts name far fewer."""

SOURCE_FIELDS = [("likes", "<u4", (2,))]
"""What a source did last: a fingerprint of its last request, and of the last request that was answered."""
ENDPOINT_FIELDS = [
    ("verdict", "u1"),  # gravest so far
    ("newcomers", "<u4"),
    ("harvesters", "<u4"),
    ("begun_ns", "<i8"),  # of its first window; 0: nothing was seen yet
    ("next_ns", "<i8", (3,)),  # when its next window begins: for requests, answers, and leaking answers at their end
]

OF_A_RUN = ("likes", "standing", "verdict", "newcomers", "harvesters", "burst", "burst_ns")
"""Columns that a new run begins anew with: to it all is news."""

_POWERS = 10 ** np.arange(19, dtype=np.int64)


def likes(rows: Rows, index: Integers, answers: Flags) -> Words:
    """What makes two of these rows alike: the request, and how it stood in its session. A fingerprint of 32 bits, never
    0."""
    length = np.where(answers, rows["request_record_length"][index], rows["record_length"][index])
    claimed = np.where(answers, rows["request_claimed_length"][index], rows["claimed_length"][index])
    manner = np.zeros(len(index), np.uint64)
    for name in ("phase", "kind", "protection"):
        manner = manner << np.uint64(8) | rows[name][index]
    manner = manner << np.uint64(16) | rows["heartbeat_accepted"][index].astype(np.uint16)
    lengths = length.astype(np.uint32).astype(np.uint64) << np.uint64(32) | claimed.astype(np.uint32)
    return fingerprint(lengths, manner) >> np.uint64(32) | np.uint64(1)


def unlike_before(table: KeyedTable, groups: Groups, column: int, marks: Words) -> Flags:
    """Where a source does another thing than it did last; what it did is kept in ``likes[column]``."""
    stored = table.rows["likes"][groups.members, column].astype(np.uint64)
    changed = groups.previous(marks, stored) != marks
    table.rows["likes"][groups.members, column] = marks[groups.last]
    return np.asarray(changed)


def power_of_ten(counts: Integers) -> Flags:
    """1, 10, 100 ..."""
    return np.asarray(_POWERS[np.searchsorted(_POWERS, counts)] == counts)


def begin_windows(
    rows: npt.NDArray[np.void], of: Integers, times_ns: Integers, kinds: Integers, window_ns: int
) -> Flags:
    """The first entry of each kind in each new window of an endpoint, among n entries worth telling.

    ``rows`` (g,) are the endpoints' rows, which are brought up to date; ``of`` (n,) says which is an entry's, ``kinds``
    (n,) which ``next_ns`` counts for it.
    """
    begins = np.zeros(len(times_ns), bool)
    while True:
        due = np.flatnonzero(times_ns >= rows["next_ns"][of, kinds])
        if not len(due):
            return begins
        _, first = np.unique(of[due].astype(np.int64) << 2 | kinds[due], return_index=True)
        for entry in due[np.sort(first)].tolist():
            row, time_ns = rows[of[entry]], int(times_ns[entry])
            if row["begun_ns"] == 0:
                row["begun_ns"] = time_ns
            window = window_number((time_ns - int(row["begun_ns"])) // window_ns)
            row["next_ns"][kinds[entry]] = int(row["begun_ns"]) + window_begin(window + 1) * window_ns
            begins[entry] = True
