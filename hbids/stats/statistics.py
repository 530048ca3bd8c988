"""What was asked for and taken, counted of all sides: each endpoint, each source and each network at an endpoint, each
behaviour at an endpoint.

Everything counted adds up: the statistics of two sensors that share the traffic between them, merged, are those of one
that sees it all.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hbids.bursts import BURST_FIELDS, count_bursts
from hbids.facts import ABSENT, Protection, Reach, Rows, Verdict
from hbids.keyed import MOST_ENTRIES, Flags, Integers, KeyedTable, Words, fingerprint, keys_of
from hbids.networks import Networks
from hbids.parties import networks_of, victim_key
from hbids.stats import news
from hbids.stats.counters import Counters
from hbids.stats.distinct import CountersOfMany
from hbids.stats.running import Running
from hbids.stats.sources import Sources
from hbids.stats.standing import standing
from hbids.tallies import TALLY_DTYPE, Tallies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hbids.config import Memory, Thresholds
    from hbids.facts import Finding
    from hbids.keyed import Keys
    from hbids.measures import Measured
    from hbids.state import Part

__all__ = ["Statistics"]


_LOW_HALF = 0xFFFFFFFF
_KEY_WORDS = 3
_NAMES = ("endpoints", "sources", "networks", "behaviours")
"""In the order of :class:`~hbids.facts.Reach`."""


_FLOW_FIELDS = [
    ("last_ns", "<i8"),
    ("before_ns", "<i8"),  # the same, when this run began
]


class Statistics:
    """Counters of heartbeats. Each table's key ends with the endpoint; before it stands what is counted there."""

    def __init__(self, memory: Memory, thresholds: Thresholds, scanners: Networks | None = None) -> None:
        """``scanners`` are our own: what they take counts, but is no harvest."""
        self.thresholds = thresholds
        """May be replaced at any time."""
        self.scanners = scanners or Networks(())
        """Likewise."""
        self._quiet_ns = memory.quiet_ns
        self.endpoints = CountersOfMany(memory.endpoints, memory.quiet_ns, news.ENDPOINT_FIELDS)
        """By address, and port, side and transport."""
        source_fields = [*BURST_FIELDS, *news.SOURCE_FIELDS, ("behaviour", "<u8")]
        self.sources = Sources(memory.sources, memory.quiet_ns, source_fields)
        """By the source's address."""
        self.networks = Counters(memory.networks, memory.quiet_ns)
        """By the network's address."""
        self.behaviours = CountersOfMany(memory.behaviours, memory.quiet_ns)
        """By lengths: of request record and claim, or of request record and answer."""
        self._flows = KeyedTable(_FLOW_FIELDS, memory.flows)
        """Until when each flow was counted; in use where there is a state to go on from."""
        self._is_kept = False
        self.repeated = 0
        """Messages that an earlier run counted already."""

    @property
    def evicted(self) -> int:
        """Rows given up because their table was full."""
        return sum(table.evicted for table in self._tables())

    def take_all_as_new(self) -> None:
        """Whoever brings the rows knows what an earlier run counted, and brings none of it again."""
        self._is_kept = False

    def pieces(self, heartbeats: Rows) -> Iterator[Rows]:
        """The rows in pieces that can be counted: of at most :data:`~hbids.keyed.MOST_ENTRIES`, and not too long."""
        for start in range(0, len(heartbeats), MOST_ENTRIES):
            yield from self._short(heartbeats[start : start + MOST_ENTRIES])

    def count(self, heartbeats: Measured) -> Tallies:
        """Count one of the :meth:`pieces`: requests, and answers that leaked, of messages that have ended."""
        taken = np.flatnonzero((heartbeats.final & ~heartbeats.answers) | heartbeats.leaks | heartbeats.betraying)
        if not len(taken):
            return _no_news()
        entries = _Entries(heartbeats, taken, self._repeated(heartbeats, taken))
        parties, events = entries.parties, entries.events
        endpoint = self.endpoints.count(parties.victims, events)
        source = self.sources.count((*parties.sources, parties.endpoints), events)
        burst = self._bursts(source, entries)
        new = burst == self.thresholds.flood_messages
        newcomers = self._newcomers(source, entries)
        new |= self._new_at_endpoint(endpoint, entries) | self._first(endpoint, newcomers, "newcomers")

        reaped = entries.leaked & ~self.scanners.have(parties.sources)
        leaks = np.flatnonzero(reaped)
        place = np.zeros(len(taken), np.int64)
        place[leaks] = np.arange(len(leaks))
        of_network = of_behaviour = None
        if entries.leaked.any():
            self._count_sources(endpoint, entries, source)
        if len(leaks):
            leaking = _Entries(heartbeats, taken[leaks], entries.repeated[leaks])
            of_source = self._only(source, leaks)
            of_network = self._count_networks(leaking, of_source)
            of_behaviour = self._count_behaviours(leaking, of_source)
            harvesters = np.zeros(len(taken), bool)
            for reach, taken_by in enumerate((of_source, of_network, of_behaviour), Reach.SOURCE):
                harvesters[leaks] |= self._judge(Reach(reach), taken_by)
            source["standing"][leaks] = of_source["standing"]
            new |= self._first(endpoint, harvesters, "harvesters")

        chosen = np.flatnonzero(new)
        return Tallies(
            taken[chosen],
            taken[newcomers],
            taken[events["answers"] > 0],
            burst[chosen],
            endpoint.at(chosen),
            source.at(chosen),
            _at(of_network, place[chosen], reaped[chosen]),
            _at(of_behaviour, place[chosen], reaped[chosen]),
        )

    def current(self, finding: Finding) -> Rows | None:
        """What stands in the row of a finding's series now, as :data:`~hbids.tallies.TALLY_DTYPE`, shape (1,)."""
        series = finding.series
        if series is None:
            return None
        key = victim_key(finding) if series.reach == Reach.ENDPOINT else series.key
        if len(key) != _KEY_WORDS:  # not one of ours
            return None
        table = self._tables()[series.reach]
        one, two, three = (np.array([word], np.uint64) for word in key)
        number = table.find((one, two, three))
        tally = np.zeros(1, TALLY_DTYPE)
        if number[0] < 0:
            return None
        for name in TALLY_DTYPE.names or ():
            tally[name] = table.rows[name][number]
        return tally

    def merge(self, other: Statistics) -> None:
        """Add what other statistics have counted. Bursts are each sensor's own, and so is what is news."""
        for mine, theirs in zip(self._tables(), other._tables(), strict=True):
            sketches = theirs.sketches() if isinstance(theirs, CountersOfMany) else {}
            for start in range(0, len(theirs), MOST_ENTRIES):
                rows = theirs.used[start : start + MOST_ENTRIES]
                if isinstance(mine, CountersOfMany):
                    mine.merge(rows, sketches)
                else:
                    mine.merge(rows)
        self.sources.merge_gone(other.sources)
        self._recount_networks()

    def _tables(self) -> tuple[Counters, ...]:
        """In the order of :class:`~hbids.facts.Reach`."""
        return self.endpoints, self.sources, self.networks, self.behaviours

    def _short(self, rows: Rows) -> Iterator[Rows]:
        """No piece spans more than what is remembered."""
        times_ns = rows["end_time_ns"]
        if len(rows) > 1 and times_ns.max() - times_ns.min() > self._quiet_ns:
            half = len(rows) // 2
            yield from self._short(rows[:half])
            yield from self._short(rows[half:])
        elif len(rows):
            yield rows

    def parts(self) -> dict[str, Part]:
        """All that is counted, for the state."""
        parts: dict[str, Part] = {}
        for name, table in zip(_NAMES, self._tables(), strict=True):
            parts[name] = table.used
            if isinstance(table, CountersOfMany):
                parts[f"{name} sketches"] = {
                    str(key): b64encode(sketch).decode() for key, sketch in table.sketches().items()
                }
        parts["sources gone"] = {"sketch": b64encode(self.sources.gone()).decode()}
        newest_ns = self._flows.used["last_ns"].max(initial=0)
        parts["flows"] = self._flows.used[self._flows.used["last_ns"] >= newest_ns - self._quiet_ns]
        return parts

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on from what an earlier run has counted. From now on flows are remembered, so that none counts twice."""
        self._is_kept = True
        for name, table in zip(_NAMES, self._tables(), strict=True):
            rows = parts.get(name)
            if not isinstance(rows, np.ndarray):
                continue
            rows = rows.copy()
            for column in set(news.OF_A_RUN) & set(rows.dtype.names or ()):
                rows[column] = 0
            table.restore(rows)
            sketches = parts.get(f"{name} sketches")
            if isinstance(table, CountersOfMany) and isinstance(sketches, dict):
                table.restore_sketches({int(key): b64decode(sketch) for key, sketch in sketches.items()})
        gone = parts.get("sources gone")
        if isinstance(gone, dict):
            self.sources.restore_gone(b64decode(gone["sketch"]))
        flows = parts.get("flows")
        if isinstance(flows, np.ndarray):
            flows = flows.copy()
            flows["before_ns"] = flows["last_ns"]
            self._flows.restore(flows)

    def _repeated(self, heartbeats: Measured, taken: Integers) -> Flags:
        """Messages of a flow that an earlier run counted up to then or longer."""
        repeated = np.zeros(len(taken), bool)
        if not self._is_kept:
            return repeated
        ended = np.flatnonzero(heartbeats.final[taken])
        if len(ended):
            rows = heartbeats.rows
            numbers = self._flows.locate(_flow_keys(heartbeats, taken[ended]))
            end_ns = rows["end_time_ns"][taken[ended]]
            repeated[ended] = end_ns <= self._flows.rows["before_ns"][numbers]
            groups = self._flows.groups(numbers)
            last_ns = np.maximum(self._flows.rows["last_ns"][groups.members], groups.largest(end_ns))
            self._flows.rows["last_ns"][groups.members] = last_ns
            self.repeated += int(np.count_nonzero(repeated))
        return repeated

    def _bursts(self, source: Running, entries: _Entries) -> Integers:
        requests = np.flatnonzero(~entries.answers)
        burst = np.zeros(len(entries.answers), np.int64)
        if len(requests):
            groups = self.sources.groups(source.numbers[requests])
            rows = self.sources.rows[groups.members]
            times_ns = entries.events["start_ns"][requests]
            burst[requests] = count_bursts(rows, groups, times_ns, self.thresholds.flood_window_ns)
            for name, *_ in BURST_FIELDS:
                self.sources.rows[name][groups.members] = rows[name]
        return burst

    def _newcomers(self, source: Running, entries: _Entries) -> Flags:
        """Where a source does what it did not do before: a request, or one that gets an answer."""
        newcomers = np.zeros(len(entries.answers), bool)
        for column, chosen in enumerate((entries.told & ~entries.answers, entries.answers)):
            index = np.flatnonzero(chosen)
            if len(index):
                groups = self.sources.groups(source.numbers[index])
                newcomers[index] = news.unlike_before(self.sources, groups, column, entries.likes[index])
        return newcomers

    def _new_at_endpoint(self, endpoint: Running, entries: _Entries) -> Flags:
        """What makes a round number, what makes an endpoint's verdict worse, and what begins a window."""
        told, answers, groups = entries.told, entries.answers, endpoint.groups
        rows = self.endpoints.rows[groups.members]
        new = told & ~answers & news.power_of_ten(endpoint["suspicious"])
        new |= (entries.events["answers"] == 1) & news.power_of_ten(endpoint["answers"])
        before = rows["verdict"].astype(np.int64)
        worst = groups.running_largest(entries.verdicts, before)
        new |= worst != groups.previous(worst, before)
        rows["verdict"] = worst[groups.last]
        worth = np.flatnonzero(told)
        times_ns = entries.events["end_ns"][worth]
        window_ns = self.thresholds.alert_window_ns
        kinds = answers[worth].astype(np.int64) + entries.leaked[worth]
        new[worth] |= news.begin_windows(rows, groups.of[worth].astype(np.int64), times_ns, kinds, window_ns)
        for name in ("verdict", "begun_ns", "next_ns"):
            self.endpoints.rows[name][groups.members] = rows[name]
        return new

    def _first(self, endpoint: Running, flags: Flags, name: str) -> Flags:
        """The first of the flagged entries of each endpoint, as many as detectors look at."""
        if not flags.any():
            return flags
        groups = endpoint.groups
        so_far = groups.running_sums(flags.astype(np.int64), self.endpoints.rows[name][groups.members])
        self.endpoints.rows[name][groups.members] = so_far[groups.last]
        return flags & (so_far <= news.MOST_NEWCOMERS)

    def _only(self, source: Running, leaks: Integers) -> Running:
        """The sources' totals at leaking answers."""
        groups = self.sources.groups(source.numbers[leaks])
        only = Running(groups, self.sources.rows[groups.members], {})
        for name in ("first_ns", "last_ns", "answers", "leaked_bytes", "leaked_bytes_estimated"):
            only[name] = source[name][leaks]
        only["sources"] = np.ones(len(leaks), np.int64)
        return only

    def _count_sources(self, endpoint: Running, entries: _Entries, source: Running) -> None:
        first_leaks = (entries.events["answers"] == 1) & (source["answers"] == 1)
        source["sources"] = np.minimum(source["answers"], 1)
        self.sources.keep(source, "sources")
        self.endpoints.count_sources(endpoint, entries.parties.marks, first_leaks)

    def _count_networks(self, leaking: _Entries, of_source: Running) -> Running:
        """A source is in one network, so that its first leak makes it new there."""
        parties = leaking.parties
        network = self.networks.count((*networks_of(parties.sources), parties.endpoints), leaking.events)
        first_leaks = (of_source["answers"] == 1).astype(np.int64)
        network["sources"] = network.groups.running_sums(first_leaks, network.before["sources"])
        self.networks.keep(network, "sources")
        return network

    def _count_behaviours(self, leaking: _Entries, of_source: Running) -> Running:
        """A source that does what it did last is not new to its behaviour."""
        shapes = _shapes(leaking.heartbeats.rows, leaking.index)
        behaviour = self.behaviours.count((*shapes, leaking.parties.endpoints), leaking.events)
        marks = fingerprint(*shapes, leaking.parties.endpoints)
        groups = of_source.groups
        changes = groups.previous(marks, of_source.before["behaviour"]) != marks
        self.sources.rows["behaviour"][groups.members] = marks[groups.last]
        self.behaviours.count_sources(behaviour, leaking.parties.marks, changes)
        return behaviour

    def _judge(self, reach: Reach, taken: Running) -> Flags:
        """Where it becomes a harvest, or another kind of it, and where a harvest makes a larger round number."""
        taken["standing"] = standing(reach, taken, self.thresholds)
        self._tables()[reach].keep(taken, "standing")
        return taken.changes("standing") | ((taken["standing"] > 0) & news.power_of_ten(taken["answers"]))

    def _recount_networks(self) -> None:
        """A source may have been seen by both who are merged: the networks' sources are counted anew."""
        self.networks.used["sources"] = 0
        for start in range(0, len(self.sources), MOST_ENTRIES):
            rows = self.sources.used[start : start + MOST_ENTRIES]
            high, low, endpoints = keys_of(rows)
            reaps = (rows["answers"] > 0) & ~self.scanners.have((high, low))
            high, low, endpoints = high[reaps], low[reaps], endpoints[reaps]
            numbers = self.networks.find((*networks_of((high, low)), endpoints))
            np.add.at(self.networks.rows["sources"], numbers[numbers >= 0], 1)


class _Entries:
    """The rows that are counted, ``index`` among a step's heartbeats; every array has shape (n,). What is ``repeated``
    adds nothing."""

    def __init__(self, heartbeats: Measured, index: Integers, repeated: Flags) -> None:
        self.heartbeats = heartbeats
        self.index = index
        self.repeated = repeated
        self.answers = heartbeats.answers[index]
        self.parties = heartbeats.parties[index]
        self.told = heartbeats.suspicious[index] | self.answers
        """What detectors speak of; the rest is honest."""
        self.leaked = heartbeats.final[index] & heartbeats.leaks[index]
        """Leaking answers that have ended."""
        adds = self.leaked & ~repeated
        self.events = {
            "start_ns": heartbeats.rows["time_ns"][index],
            "end_ns": heartbeats.rows["end_time_ns"][index],
            "requests": (~self.answers & ~repeated).astype(np.int64),
            "suspicious": (heartbeats.suspicious[index] & ~repeated).astype(np.int64),
            "answers": adds.astype(np.int64),
            "leaked_bytes": np.where(adds, heartbeats.leaked[index], 0),
            "leaked_bytes_estimated": np.where(adds, heartbeats.leaked_estimated[index], 0),
        }

    @cached_property
    def likes(self) -> Words:
        """See :func:`~hbids.stats.news.likes`."""
        return news.likes(self.heartbeats.rows, self.index, self.answers)

    @property
    def verdicts(self) -> Integers:
        """What each row makes of its endpoint by itself."""
        asked = np.where(self.heartbeats.overread[self.index] > 0, Verdict.ATTEMPTED, Verdict.PROBED)
        return np.where(self.heartbeats.leaks[self.index], Verdict.LEAKED, np.where(self.told, asked, Verdict.CLEAR))


def _flow_keys(heartbeats: Measured, index: Integers) -> Keys:
    """What tells flows apart, in any run: both ends and the start."""
    rows, parties = heartbeats.rows, heartbeats.parties[index]
    ports = rows["client_port"][index].astype(np.uint64) << np.uint64(16) | rows["server_port"][index]
    ends = fingerprint(*parties.victims, *parties.sources, ports)
    start_ns = rows["flow_start_ns"][index].astype(np.uint64)
    return ends, start_ns, np.zeros_like(ends)


def _shapes(rows: Rows, answers: Integers) -> tuple[Words, Words]:
    """The shapes of exchanges, by their answers, in two words. Of clear ones: what the request claimed and how long it
    was. Of sealed ones, and of answers whose request was not seen: how long the request was, and the power of two that
    the answer stayed below."""
    length, claimed, seen, protection = (
        rows[name][answers] for name in ("request_record_length", "request_claimed_length", "bytes_seen", "protection")
    )
    _, power = np.frexp(seen.astype(np.float64))
    told = (protection == Protection.CLEAR) & (claimed != ABSENT)
    second = np.where(told, claimed.astype(np.int64) & _LOW_HALF, power.astype(np.int64) | 1 << 32)
    return (length.astype(np.int64) & _LOW_HALF).astype(np.uint64), second.astype(np.uint64)


def _at(running: Running | None, place: Integers, counted: Flags) -> Rows:
    """Totals at places where something was counted; zeros elsewhere."""
    tallies = np.zeros(len(place), TALLY_DTYPE)
    if running is not None:
        tallies[counted] = running.at(place[counted])
    return tallies


def _no_news() -> Tallies:
    nothing, nobody = np.zeros(0, np.int64), np.zeros(0, TALLY_DTYPE)
    return Tallies(nothing, nothing, nothing, nothing, nobody, nobody, nobody, nobody)
