"""How many flows of each shape a TLS service has a day, and on which days before.

The shape of a flow is its bytes and packets each way, coarsely: two flows that do the same have the same shape. Only
flows count in which no heartbeat was seen; of the others more is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hbids.facts import EndReason, Rows
from hbids.keyed import MOST_ENTRIES, Flags, Integers, KeyedTable, Words, fingerprint, keys_of
from hbids.parties import Parties, of_rows
from hbids.stats.news import power_of_ten
from hbids.tallies import ShapeTallies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hbids.config import Memory, Thresholds
    from hbids.state import Part

__all__ = ["DAYS", "FlowShapes", "shape_marks"]

DAYS = 28
"""Days that are remembered: four weeks, since services have their weekdays."""

_DAY_NS = 86_400_000_000_000
_SERVICE_FIELDS = [("last_ns", "<i8"), ("first_day", "<i4"), ("known", "u1")]
_SHAPE_FIELDS = [
    ("last_ns", "<i8"),
    ("day", "<i4"),  # until which the counts reach
    ("flows", "<u4", (DAYS,)),  # by day modulo DAYS
    ("usual", "<f4"),  # flows of a day, the median of those before
    ("most", "<f4"),  # flows of a day that are not out of line with that
    ("sources", "<u4"),  # today
    ("told", "u1"),  # whether today is out of line
]
_TAKER_FIELDS = [("last_ns", "<i8"), ("day", "<i4")]
_STEPS_A_DOUBLING = (("bytes_to_client", 8), ("bytes_to_server", 4), ("packets_to_client", 2), ("packets_to_server", 2))
"""How finely each number is told apart: what the server sends is what tells; acknowledgements come as they like."""
_CONSISTENT = 1.4826
"""Times the median absolute deviation is the standard deviation, where things are normally distributed."""


class FlowShapes:
    """Counts of the last days."""

    def __init__(self, memory: Memory, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        """May be replaced at any time."""
        self._services = KeyedTable(_SERVICE_FIELDS, memory.services)
        self._shapes = KeyedTable(_SHAPE_FIELDS, memory.shapes)
        """By shape and service."""
        self._takers = KeyedTable(_TAKER_FIELDS, memory.shapes)
        """By source, and shape and service: who was counted among today's sources."""
        self._today = 0
        """The newest day on which a flow ended. What ends late counts for its day, but raises nothing."""

    @property
    def evicted(self) -> int:
        """Rows given up because their table was full."""
        return self._services.evicted + self._shapes.evicted

    def count(self, flows: Rows) -> ShapeTallies:
        """Count flows that have ended, at most :data:`~hbids.keyed.MOST_ENTRIES` rows; which of them are news."""
        tls = (flows["transport"] != 0) & (flows["end_reason"] != EndReason.CHECKPOINT)
        silent = (flows["heartbeats_to_server"] == 0) & (flows["heartbeats_to_client"] == 0)
        index = np.flatnonzero(tls & silent)
        news = [self._count_day(flows, piece, day) for piece, day in self._days(flows, index)]
        return ShapeTallies.together(news)

    def _days(self, flows: Rows, index: Integers) -> Iterator[tuple[Integers, Integers]]:
        """The flows in pieces during which it stays the same day, and the day each flow counts for."""
        if not len(index):
            return
        days = flows["end_time_ns"][index] // _DAY_NS
        clock = np.maximum(np.maximum.accumulate(days), self._today)
        for start in np.flatnonzero(np.diff(clock, prepend=-1)):
            piece = clock == clock[start]
            self._today = int(clock[start])
            yield index[piece], days[piece]

    def _count_day(self, flows: Rows, index: Integers, days: Integers) -> ShapeTallies:
        parties, end_ns = of_rows(flows, np.ones(len(flows), bool))[index], flows["end_time_ns"][index]
        known_days = self._today - self._first_days(parties, end_ns)
        marks = shape_marks(flows, index)
        numbers = self._shapes.locate((marks, parties.endpoints, np.zeros_like(marks)))
        groups = self._shapes.groups(numbers)
        rows = self._shapes.rows[groups.members]
        self._turn_over(rows, known_days[groups.first])
        today = days == self._today
        so_far = groups.running_sums(today.astype(np.int64), rows["flows"][:, self._today % DAYS])
        recent = days > self._today - DAYS
        np.add.at(rows["flows"], (groups.of[recent].astype(np.int64), days[recent] % DAYS), 1)
        rows["last_ns"] = np.maximum(rows["last_ns"], groups.largest(end_ns))

        judged = today & (known_days >= self.thresholds.anomaly_days)
        sources = groups.running_sums(self._new_takers(parties, marks, end_ns, judged), rows["sources"])
        unusual = judged & (so_far >= np.maximum(self.thresholds.anomaly_flows, rows["most"][groups.of]))
        unusual &= so_far >= sources * self.thresholds.anomaly_flows_per_source
        told = groups.running_largest(unusual.astype(np.int64), rows["told"].astype(np.int64))
        news = np.flatnonzero(
            (told > groups.previous(told, rows["told"].astype(np.int64))) | (unusual & power_of_ten(so_far))
        )
        rows["sources"], rows["told"] = sources[groups.last], told[groups.last]
        self._shapes.rows[groups.members] = rows
        return ShapeTallies(
            index[news], so_far[news], sources[news], _whole(rows["usual"][groups.of[news]]), marks[news]
        )

    def _first_days(self, parties: Parties, end_ns: Integers) -> Integers:
        """The day on which each flow's service was first seen."""
        groups = self._services.groups(self._services.locate(parties.victims))
        rows = self._services.rows[groups.members]
        rows["first_day"] = np.where(rows["known"] == 1, rows["first_day"], self._today)
        rows["known"] = 1
        rows["last_ns"] = np.maximum(rows["last_ns"], groups.largest(end_ns))
        self._services.rows[groups.members] = rows
        return rows["first_day"][groups.of].astype(np.int64)

    def _turn_over(self, rows: npt.NDArray[np.void], known_days: Integers) -> None:
        """Begin the day for shapes that were not seen on it yet: what is usual of them is what was so far."""
        begun = np.flatnonzero(rows["day"] < self._today)
        if not len(begun):
            return
        columns = np.arange(DAYS)
        day_of_column = self._today - (self._today - columns) % DAYS
        flows = np.where(day_of_column > rows["day"][begun, None], 0, rows["flows"][begun])
        rows["flows"][begun] = flows
        rows["day"][begun], rows["sources"][begun], rows["told"][begun] = self._today, 0, 0
        days = np.clip(known_days[begun], 0, DAYS - 1)
        for count in np.flatnonzero(np.bincount(days)).tolist():
            if count < self.thresholds.anomaly_days:
                continue
            chosen = days == count
            before = flows[chosen][:, (self._today - np.arange(1, count + 1)) % DAYS]
            usual = np.median(before, axis=1)
            spread = _CONSISTENT * np.median(np.abs(before - usual[:, None]), axis=1)
            rows["usual"][begun[chosen]] = usual
            # Counts of rare things spread by their root, whatever the deviations of some days happen to be.
            spread = np.maximum(spread, np.sqrt(usual))
            rows["most"][begun[chosen]] = usual + self.thresholds.anomaly_deviations * spread

    def _new_takers(self, parties: Parties, marks: Words, end_ns: Integers, judged: Flags) -> Integers:
        """1 for the first of the judged flows of a source today."""
        new = np.zeros(len(marks), np.int64)
        index = np.flatnonzero(judged)
        if len(index):
            taken = fingerprint(marks[index], parties.endpoints[index])
            groups = self._takers.groups(self._takers.locate((*parties[index].sources, taken)))
            rows = self._takers.rows[groups.members]
            new[index[groups.first[rows["day"] != self._today]]] = 1
            rows["day"] = self._today
            rows["last_ns"] = np.maximum(rows["last_ns"], groups.largest(end_ns[index]))
            self._takers.rows[groups.members] = rows
        return new

    def merge(self, other: FlowShapes) -> None:
        """Add what another sensor has counted; who took today is each sensor's own."""
        self._today = max(self._today, other._today)
        for start in range(0, len(other._services), MOST_ENTRIES):
            theirs = other._services.used[start : start + MOST_ENTRIES]
            numbers = self._services.locate(keys_of(theirs))
            rows = self._services.rows[numbers]
            first_day = np.minimum(rows["first_day"], theirs["first_day"])
            rows["first_day"] = np.where(rows["known"] == 1, first_day, theirs["first_day"])
            rows["known"] = 1
            rows["last_ns"] = np.maximum(rows["last_ns"], theirs["last_ns"])
            self._services.rows[numbers] = rows
        for start in range(0, len(other._shapes), MOST_ENTRIES):
            theirs = other._shapes.used[start : start + MOST_ENTRIES].copy()
            numbers = self._shapes.locate(keys_of(theirs))
            rows = self._shapes.rows[numbers]
            day = np.maximum(rows["day"], theirs["day"])
            rows["flows"] = _until(rows, day) + _until(theirs, day)
            newer = theirs["day"] > rows["day"]
            for name in ("usual", "most"):
                rows[name] = np.where(newer, theirs[name], rows[name])
            rows["day"], rows["last_ns"] = day, np.maximum(rows["last_ns"], theirs["last_ns"])
            self._shapes.rows[numbers] = rows

    def parts(self) -> dict[str, Part]:
        """All that is counted, for the state."""
        return {
            "services": self._services.used,
            "shapes": self._shapes.used,
            "takers": self._takers.used,
            "shapes today": {"day": self._today},
        }

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on from what an earlier run has counted."""
        for name, table in (("services", self._services), ("shapes", self._shapes), ("takers", self._takers)):
            rows = parts.get(name)
            if isinstance(rows, np.ndarray):
                table.restore(rows)
        today = parts.get("shapes today")
        if isinstance(today, dict):
            self._today = int(today["day"])


def shape_marks(flows: Rows, index: Integers) -> Words:
    """The shape of each flow in one word, a byte for each number."""
    marks = np.zeros(len(index), np.uint64)
    for name, steps in _STEPS_A_DOUBLING:
        size = np.floor(steps * np.log2(flows[name][index].astype(np.float64) + 1)).astype(np.uint64)
        marks = marks << np.uint64(16) | size
    return marks


def _until(rows: npt.NDArray[np.void], day: Integers) -> npt.NDArray[np.uint32]:
    """The counts of rows as they stand when their newest day is ``day``."""
    day_of_column = day[:, None] - (day[:, None] - np.arange(DAYS)) % DAYS
    flows: npt.NDArray[np.uint32] = np.where(day_of_column > rows["day"][:, None], 0, rows["flows"])
    return flows


def _whole(numbers: npt.NDArray[np.float32]) -> Integers:
    return np.rint(numbers).astype(np.int64)
