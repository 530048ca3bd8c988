"""``python -m benchmarks.harvest_grid``: what each threshold costs, in time and in memory lost, before it tells.

Harvests of many kinds are simulated as rows of facts (seeded: the same numbers everywhere), and beside them what
checkers of good will do. For each threshold the tables say when the first harvest alert came, how much had leaked by
then, and which of the checkers would be called harvesters. The defaults in ``hbids/config.py`` were chosen from them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.simulation import (
    Addresses,
    Exchanges,
    address_bytes,
    flows_of,
    numbered_addresses,
    rows_of,
)
from hbids.config import Config, Thresholds
from hbids.facts import Facts, Finding, Rows
from hbids.pipeline import Analysis

__all__ = ["CHECKERS", "Caught", "Checker", "Harvest", "first_alert"]

_SEED = 20140407  # the day Heartbleed was told
_START_NS = 1_700_000_000_000_000_000
_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000
_MOST_ANSWERS = 1_000
_LONGEST_DAYS = 30
_VICTIM = address_bytes("203.0.113.1")

ANSWERS = (3, 5, 10, 20, 50, 100)
"""Values of ``harvest_answers`` that are tried."""
HARVESTS = tuple(range(1016300, 1016304))
SUSPICIONS = (1016400, 1016401)


@dataclass(frozen=True, slots=True)
class Harvest:
    """So many answers an hour in all, of so many bytes, to sources that take turns; each in a network of its own."""

    sources: int
    answers_an_hour: float
    answer_bytes: int

    def rows(self) -> Rows:
        """Times are as of independent requests (exponential gaps)."""
        random = np.random.default_rng([_SEED, self.sources, int(self.answers_an_hour * 1000), self.answer_bytes])
        gaps_ns = random.exponential(_HOUR_NS / self.answers_an_hour, _MOST_ANSWERS)
        times_ns = _START_NS + np.cumsum(gaps_ns).astype(np.int64)
        times_ns = times_ns[times_ns < _START_NS + _LONGEST_DAYS * _DAY_NS]
        sources = numbered_addresses(np.arange(len(times_ns)) % self.sources * 256)
        return _exchanges(times_ns, sources, np.full(len(times_ns), self.answer_bytes))


@dataclass(frozen=True, slots=True)
class Checker:
    """What somebody of good will does."""

    name: str
    times_days: npt.NDArray[np.float64]
    sources: npt.NDArray[np.int64]
    answer_bytes: npt.NDArray[np.int64]

    def rows(self) -> Rows:
        """A request each."""
        times_ns = _START_NS + (self.times_days * _DAY_NS).astype(np.int64)
        return _exchanges(times_ns, numbered_addresses(self.sources * 256), self.answer_bytes)


def _checker(
    name: str, times_days: list[float], answer_bytes: list[int] | int, sources: list[int] | int = 1
) -> Checker:
    count = len(times_days)
    return Checker(
        name,
        np.array(times_days, float),
        np.array([sources] * count if isinstance(sources, int) else sources),
        np.array([answer_bytes] * count if isinstance(answer_bytes, int) else answer_bytes),
    )


_MINUTE = 1 / 1_440
CHECKERS = (
    _checker(
        "every public checker once, in an afternoon",
        [number * 10 * _MINUTE for number in range(9)],
        [16_362, 16_381, 16_381, 16_384, 16_384, 65_517, 22, 1, 65_501],
    ),
    _checker("ssltest.py on four occasions of a day", [0, 0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3], 16_384),
    _checker("ssltest.py on every day of a week", [day for day in range(7) for _ in (1, 2)], 16_384),
    _checker("ssltest.py weekly, for a year", [7.0 * week for week in range(52) for _ in (1, 2)], 16_384),
    _checker("FiloSottile's checker (22 bytes) daily, for a month", [float(day) for day in range(30)], 22),
    _checker("nmap by 20 people within a month", [1.5 * day for day in range(20)], 16_362, list(range(20))),
    _checker(
        "ssltest.py by 20 people within a month",
        [1.5 * day for day in range(20) for _ in (1, 2)],
        16_384,
        [person for person in range(20) for _ in (1, 2)],
    ),
)


def _exchanges(times_ns: npt.NDArray[np.int64], sources: Addresses, answer_bytes: npt.NDArray[np.int64]) -> Rows:
    return rows_of(Exchanges(times_ns, sources, np.repeat(_VICTIM, len(times_ns), axis=0), answer_bytes))


@dataclass(frozen=True, slots=True)
class Caught:
    """When the first alert came: how long after the first answer (or flow), and with what in it."""

    delay_ns: int
    answers: int
    leaked_bytes: int


def first_alert(rows: Rows, thresholds: Thresholds, sids: tuple[int, ...] = HARVESTS) -> Caught | None:
    """The first alert of these signatures; None if there is none."""
    told: list[Finding] = []
    analysis = Analysis(Config(thresholds=thresholds), told.append)
    nothing = Facts.empty()
    if rows.dtype == nothing.flows.dtype:
        analysis.add(replace(nothing, flows=rows))
    else:
        analysis.add(replace(nothing, heartbeats=rows))
    first = next((finding for finding in told if finding.sid in sids), None)
    if first is None:
        return None
    context = first.context
    leaked = context.get("leaked_bytes", 0) + context.get("leaked_bytes_estimated", 0)
    return Caught(first.time_ns - int(rows["time_ns"][0]), context.get("answers", 0), leaked)


def _duration(nanoseconds: float) -> str:
    for unit, length_ns in (("d", _DAY_NS), ("h", _HOUR_NS), ("min", _HOUR_NS // 60)):
        if nanoseconds >= length_ns:
            return f"{nanoseconds / length_ns:.1f} {unit}"
    return f"{nanoseconds / 1e9:.1f} s"


def _table(title: str, first: str, columns: list[str]) -> Table:
    table = Table(first, title=title, title_justify="left", box=box.MARKDOWN, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _harvest_tables(console: Console) -> None:
    columns = [str(answers) for answers in ANSWERS]
    delays = _table("Delay until the first harvest alert, by harvest_answers", "harvest", columns)
    leaks = _table("Leaked bytes by then", "harvest", columns)
    for answer_bytes in (16_384, 64):
        for sources in (1, 4, 20):
            for rate in (3_600, 60, 1, 0.125):
                harvest = Harvest(sources, rate, answer_bytes)
                rows = harvest.rows()
                caught = [first_alert(rows, Thresholds(harvest_answers=answers)) for answers in ANSWERS]
                name = f"{sources} sources, {rate:g} an hour, {answer_bytes:,} bytes"
                delays.add_row(name, *("never" if each is None else _duration(each.delay_ns) for each in caught))
                leaks.add_row(name, *("" if each is None else f"{each.leaked_bytes:,}" for each in caught))
    console.print(delays, leaks)


def _checker_table(console: Console) -> None:
    columns = [str(answers) for answers in ANSWERS]
    table = _table("Checkers called harvesters, by harvest_answers", "checker", columns)
    for checker in CHECKERS:
        called = [first_alert(checker.rows(), Thresholds(harvest_answers=answers)) for answers in ANSWERS]
        table.add_row(checker.name, *("called" if each else "-" for each in called))
    console.print(table)


# --- flows alone ------------------------------------------------------------------------------------------------------

_KNOWN_DAYS = 14


def site(number: int, days: int, flows_a_day: int = 2_000) -> Rows:
    """A web site: downloads of its own sizes by many clients, fewer at weekends, and a monitor every five minutes."""
    random = np.random.default_rng([_SEED, number])
    counts = random.poisson([flows_a_day * (0.6 if day % 7 > 4 else 1) for day in range(days)])
    visits = int(counts.sum())
    times_ns = np.repeat(np.arange(days), counts) * _DAY_NS + random.integers(0, _DAY_NS, visits)
    pages = (random.lognormal(10, 1, 30)).astype(np.int64)
    to_client = pages[random.zipf(1.5, visits) % len(pages)] + random.integers(3_000, 5_000, visits)
    to_server = random.lognormal(7, 0.4, visits).astype(np.int64) + 500
    checks_ns = np.arange(0, days * _DAY_NS, 300_000_000_000)
    times_ns = np.concatenate([times_ns, checks_ns])
    sources = np.concatenate([random.integers(1, 800, visits), np.zeros(len(checks_ns), np.int64)])
    to_server = np.concatenate([to_server, np.full(len(checks_ns), 812)])
    to_client = np.concatenate([to_client, np.full(len(checks_ns), 4_321)])
    rows = flows_of(_START_NS + times_ns, numbered_addresses(sources), _VICTIM, (to_server, to_client))
    return rows[np.argsort(rows["end_time_ns"], kind="stable")]


def _reaping_flows(sources: int, flows_a_day: int) -> Rows:
    times_ns = _START_NS + _KNOWN_DAYS * _DAY_NS + np.arange(flows_a_day * 3) * (_DAY_NS // flows_a_day)
    addresses = numbered_addresses(np.arange(len(times_ns)) % sources * 256, "198.51.0.0")
    jitter = np.arange(len(times_ns)) % 2 * 54
    return flows_of(times_ns, addresses, _VICTIM, (780 + jitter, np.full(len(times_ns), 21_500)))


def _suspicion_table(console: Console, sites: int) -> None:
    values = (20, 50, 100, 200, 500)
    table = _table("Flows alone: delay until the first suspicion, by anomaly_flows", "flows", [str(n) for n in values])
    known = site(0, _KNOWN_DAYS + 3)
    for sources in (1, 4, 20):
        for flows_a_day in (50, 200, 1_000, 5_000):
            reaping = _reaping_flows(sources, flows_a_day)
            rows = np.concatenate([known, reaping])
            rows = rows[np.argsort(rows["end_time_ns"], kind="stable")]
            caught = [first_alert(rows, Thresholds(anomaly_flows=value), SUSPICIONS) for value in values]
            before_ns = int(reaping["time_ns"][0] - rows["time_ns"][0])
            delays = [None if each is None else each.delay_ns - before_ns for each in caught]
            name = f"{sources} sources, {flows_a_day} a day"
            table.add_row(name, *("never" if delay is None else _duration(delay) for delay in delays))
    days = 90
    alarms = [sum(_speaks(site(1 + number, days), value) for number in range(sites)) for value in values]
    table.add_row(f"of {sites} sites in {days} days without harvest speak", *map(str, alarms))
    console.print(table)


def _speaks(rows: Rows, anomaly_flows: int) -> bool:
    return first_alert(rows, Thresholds(anomaly_flows=anomaly_flows), SUSPICIONS) is not None


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harvest_grid", description=__doc__)
    parser.add_argument(
        "--sites", type=int, default=20, metavar="N", help="web sites without harvest to be silent about"
    )
    args = parser.parse_args()
    console = Console(width=140, highlight=False)
    _harvest_tables(console)
    _checker_table(console)
    _suspicion_table(console, args.sites)


if __name__ == "__main__":
    main()
