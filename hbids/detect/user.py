"""Signatures of the user's own.

They match rows of facts by their columns (:mod:`hbids.conditions`) and say nothing of harm: no verdict rests on them.
Their alerts keep to the discipline of all others, in a memory of their own: a wide one makes no other forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.bursts import BURST_FIELDS, count_bursts
from hbids.columns import TABLES, shown
from hbids.detect.common import MEMORY_ENTRIES, describe, flow_context, forgotten
from hbids.detect.discipline import Discipline
from hbids.facts import Direction, EndReason, Finding, Kind, Series, Verdict
from hbids.keyed import KeyedTable, fingerprint
from hbids.measures import Measured
from hbids.parties import of_rows

if TYPE_CHECKING:
    from hbids.conditions import Match
    from hbids.config import Thresholds
    from hbids.detect.common import Step
    from hbids.facts import Rows
    from hbids.keyed import Flags, Integers, Words
    from hbids.parties import Parties
    from hbids.user_signatures import AddedSignature

__all__ = ["UserDetection"]

_MOST_SOURCES = 8
"""Of one step and endpoint, those that findings are made of: as many as alerts may tell apart (``alert_sources``)."""
_TIMES = {"heartbeats": "end_time_ns", "sessions": "time_ns", "flows": "end_time_ns"}
_ENDPOINT_FIELDS = [("last_ns", "<i8"), ("begun_ns", "<i8"), ("matches", "<i8"), ("told", "<i8"), ("windows", "<i8")]
_SOURCE_FIELDS = [("last_ns", "<i8"), *BURST_FIELDS]
_DIGITS = 10 ** np.arange(19, dtype=np.int64)


class UserDetection:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds, added: tuple[AddedSignature, ...]) -> None:
        self._added = added
        self._window_ns = thresholds.alert_window_ns
        self._endpoints = KeyedTable(_ENDPOINT_FIELDS, MEMORY_ENTRIES)
        self._sources = KeyedTable(_SOURCE_FIELDS, MEMORY_ENTRIES)
        self._discipline = Discipline(thresholds)

    @property
    def forgotten(self) -> int:
        """What had to make room."""
        return self._endpoints.evicted + self._sources.evicted + forgotten(self._discipline)

    def find(self, step: Step) -> list[Finding]:
        """What the rows of a step match: of each signature all that may have to be told, in the order of its rows."""
        sources = {"heartbeats": step.heartbeats, "sessions": step.sessions, "flows": step.flows}
        return [
            finding
            for signature in self._added
            if len(_rows_of(sources[signature.match.table]))
            for finding in self._find(signature, sources[signature.match.table])
        ]

    def tell(self, findings: list[Finding]) -> list[Finding]:
        """Those that are told."""
        return [told for finding in findings for told in self._discipline.tell(f"signature {finding.sid}", [finding])]

    def totals(self) -> list[Finding]:
        """What remains to be told at the end of a run."""
        return self._discipline.totals(lambda _: None)

    def _find(self, signature: AddedSignature, table: Any) -> list[Finding]:
        rows = _rows_of(table)
        index = np.flatnonzero(signature.match.rows(table, _asked_about(signature.match, table)))
        if not len(index):
            return []
        parties = _parties_of(table, rows)[index]
        news, matches = self._count(signature, parties, rows[_TIMES[signature.match.table]][index])
        columns = {name: TABLES[signature.match.table][name] for name in signature.shown}
        values = {name: column.values(table) for name, column in columns.items()}
        findings = []
        for at in news.tolist():
            numbers = {name: shown(column, values[name][index[at]]) for name, column in columns.items()}
            known = {name: value for name, value in numbers.items() if value is not None}
            findings.append(_finding(signature, rows[index[at]], known | {"matches": int(matches[at])}))
        return findings

    def _count(self, signature: AddedSignature, parties: Parties, times_ns: Integers) -> tuple[Integers, Integers]:
        """Count n matching rows: which of them may have to be told, and the matches at the endpoint up to each (n,)."""
        sids, zeros = np.full(len(times_ns), signature.sid, np.uint64), np.zeros(len(times_ns), np.uint64)
        numbers = self._endpoints.locate((parties.endpoints, sids, zeros))
        groups = self._endpoints.groups(numbers)
        before = self._endpoints.rows["matches"][groups.members]
        matches = groups.running_sums(np.ones(len(numbers), np.int64), before)
        self._endpoints.rows["matches"][groups.members] = matches[groups.last]
        last_ns = np.maximum(self._endpoints.rows["last_ns"][groups.members], groups.largest(times_ns))
        self._endpoints.rows["last_ns"][groups.members] = last_ns
        if signature.count > 1:
            hits = np.flatnonzero(self._bursts(signature, parties, sids, times_ns) == signature.count)
        else:
            hits = np.arange(len(numbers))
        if len(hits):
            hits = hits[self._news(numbers[hits], times_ns[hits], matches[hits], parties.marks[hits])]
        return hits, matches

    def _bursts(self, signature: AddedSignature, parties: Parties, sids: Words, times_ns: Integers) -> Integers:
        """How many came so far in the window that each row falls into."""
        numbers = self._sources.locate((parties.endpoints, parties.marks, sids))
        groups = self._sources.groups(numbers)
        rows = self._sources.rows[groups.members]
        bursts = count_bursts(rows, groups, times_ns, signature.within_ns)
        rows["last_ns"] = np.maximum(rows["last_ns"], groups.largest(times_ns))
        self._sources.rows[groups.members] = rows
        return bursts

    def _news(self, numbers: Integers, times_ns: Integers, matches: Integers, marks: Words) -> Flags:
        """Of n hits, those that the discipline must see to tell the same however rows are cut into steps: the first in
        each window, of each of some sources, of each number of digits, and the last so far."""
        groups = self._endpoints.groups(numbers)
        rows = self._endpoints.rows[groups.members]
        begun_ns = np.where(rows["windows"] == 0, times_ns[groups.first], rows["begun_ns"])
        windows = np.maximum(0, times_ns - begun_ns[groups.of]) // self._window_ns + 1
        windows = groups.running_largest(windows, rows["windows"])
        digits = np.searchsorted(_DIGITS, matches, side="right")
        news = windows > groups.previous(windows, rows["windows"])
        news |= digits > groups.previous(digits, np.searchsorted(_DIGITS, rows["told"], side="right"))
        _, first = np.unique(fingerprint(groups.of.astype(np.uint64), marks), return_index=True)
        of_source = np.zeros(len(numbers), np.int64)
        of_source[first] = 1
        so_far = groups.running_sums(of_source, np.zeros(len(rows), np.int64))
        news |= (of_source == 1) & (so_far <= _MOST_SOURCES)
        news[groups.last] = True
        rows["begun_ns"], rows["windows"], rows["told"] = begun_ns, windows[groups.last], matches[groups.last]
        self._endpoints.rows[groups.members] = rows
        return news


def _rows_of(table: Any) -> Rows:
    rows: Rows = table.rows if isinstance(table, Measured) else table
    return rows


def _asked_about(match: Match, table: Any) -> Flags:
    """Messages that have ended, and flows of TLS or DTLS that have, if not asked otherwise."""
    if isinstance(table, Measured):
        return table.final
    if match.table == "sessions":
        return np.ones(len(table), bool)
    flags = np.asarray(table["transport"] != 0)
    return flags if "end_reason" in match.columns else flags & (table["end_reason"] != EndReason.CHECKPOINT)


def _parties_of(table: Any, rows: Rows) -> Parties:
    return table.parties if isinstance(table, Measured) else of_rows(rows, np.ones(len(rows), bool))


def _finding(signature: AddedSignature, row: np.void, numbers: dict[str, Any]) -> Finding:
    way = victim = Direction.TO_SERVER
    if signature.match.table == "heartbeats":
        way = Direction(int(row["direction"]))
        asks_server = (way == Direction.TO_SERVER) != (row["kind"] == Kind.RESPONSE)
        victim = Direction.TO_SERVER if asks_server else Direction.TO_CLIENT
    if signature.count > 1:
        numbers["window_s"] = signature.within_ns / 1e9
    return Finding(
        signature.sid,
        int(row[_TIMES[signature.match.table]]),
        flow_context(row),
        way,
        victim,
        Verdict.CLEAR,
        describe(row) | numbers,
        Series(growth="matches", tells_tool=False),
    )
