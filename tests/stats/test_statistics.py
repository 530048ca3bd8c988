"""Statistics count what is there, forget what is old, and add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hbids
from benchmarks.simulation import Exchanges, address_bytes, numbered_addresses, rows_of
from hbids.config import Memory, Thresholds
from hbids.facts import HEARTBEAT_DTYPE, Rows
from hbids.keyed import fingerprint, keys_from
from hbids.measures import Measured
from hbids.stats import Statistics
from hbids.stats.counters import WINDOW_NS, WINDOWS
from tests.conftest import PCAPS, shared_path
from tests.support.conversation import SECOND_NS, START_NS

if TYPE_CHECKING:
    from pathlib import Path

    from hbids.stats.counters import Counters

DAY_NS = 86_400 * SECOND_NS
MINUTE, HOUR, DAY, MONTH = range(len(WINDOWS))
ADDED = (
    "requests",
    "suspicious",
    "answers",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "sources",
    "first_ns",
    "last_ns",
)
BY_WINDOW = ("window", "window_requests", "window_answers", "window_leaked_bytes")
TABLES = ("endpoints", "sources", "networks", "behaviours")


def statistics_of(*parts: Rows, memory: Memory | None = None) -> Statistics:
    statistics = Statistics(memory or Memory(), Thresholds())
    for rows in parts:
        for piece in statistics.pieces(rows):
            statistics.count(Measured(piece))
    return statistics


def exchanges(times_ns: list[int], sources: list[int], *, sealed: bool = False, answered: bool = True) -> Rows:
    return rows_of(
        Exchanges(
            np.array(times_ns),
            numbered_addresses(np.array(sources)),
            np.repeat(address_bytes("203.0.113.1"), len(times_ns), axis=0),
            np.full(len(times_ns), 0x1000),
            sealed=sealed,
            answered=answered,
        )
    )


def told(table: Counters) -> dict[tuple[int, ...], dict[str, object]]:
    """All that stands in a table and adds up, by key."""
    return {
        tuple(row["key"].tolist()): {name: row[name].tolist() for name in (*ADDED, *BY_WINDOW)} for row in table.used
    }


def the_row(table: Counters) -> np.void:
    row: np.void
    (row,) = table.used
    return row


# --- counting ---------------------------------------------------------------------------------------------------------


def test_everything_is_counted_of_all_sides() -> None:
    statistics = statistics_of(exchanges([START_NS, START_NS + SECOND_NS, START_NS + 2 * SECOND_NS], [1, 2, 300]))
    assert [len(getattr(statistics, name)) for name in TABLES] == [1, 3, 2, 1]
    endpoint = the_row(statistics.endpoints)
    assert (endpoint["requests"], endpoint["suspicious"], endpoint["answers"]) == (3, 3, 3)
    assert (endpoint["leaked_bytes"], endpoint["leaked_bytes_estimated"], endpoint["sources"]) == (3 * 0x1000, 0, 3)
    assert statistics.sources.used["answers"].tolist() == [1, 1, 1]
    assert sorted(statistics.networks.used["sources"].tolist()) == [1, 2]
    assert the_row(statistics.behaviours)["sources"] == 3


def test_sealed_leaks_are_counted_as_estimates() -> None:
    endpoint = the_row(statistics_of(exchanges([START_NS], [1], sealed=True)).endpoints)
    assert (endpoint["leaked_bytes"], endpoint["suspicious"]) == (0, 0)
    assert endpoint["leaked_bytes_estimated"] == pytest.approx(0x1000, abs=40)


def test_clear_and_sealed_are_two_behaviours() -> None:
    both = statistics_of(exchanges([START_NS], [1]), exchanges([START_NS], [1], sealed=True))
    assert len(both.behaviours) == 2


def test_attempts_without_answer_are_nobodys_behaviour() -> None:
    statistics = statistics_of(exchanges([START_NS] * 3, [1, 2, 3], answered=False))
    assert [len(getattr(statistics, name)) for name in TABLES] == [1, 3, 0, 0]
    assert the_row(statistics.endpoints)["sources"] == 0


def test_the_newest_window_of_each_kind_is_known() -> None:
    start_ns = START_NS // WINDOW_NS[MONTH] * WINDOW_NS[MONTH] + WINDOW_NS[MONTH] // 2
    times_ns = [start_ns, start_ns + 3 * SECOND_NS, start_ns + 61 * SECOND_NS, start_ns + 2 * DAY_NS]
    row = the_row(statistics_of(exchanges(times_ns, [1, 1, 1, 1])).endpoints)
    assert row["window_answers"].tolist() == [1, 1, 1, 4]
    assert row["window"].tolist() == [times_ns[-1] // length_ns for length_ns in WINDOW_NS]
    row = the_row(statistics_of(exchanges(times_ns[:3], [1, 1, 1])).endpoints)
    assert row["window_requests"].tolist() == [1, 3, 3, 3]
    assert row["window_leaked_bytes"].tolist() == [0x1000, 3 * 0x1000, 3 * 0x1000, 3 * 0x1000]


def test_what_comes_late_is_in_the_totals_only() -> None:
    statistics = statistics_of(exchanges([START_NS + DAY_NS], [1]), exchanges([START_NS], [1]))
    row = the_row(statistics.endpoints)
    assert row["answers"] == 2
    assert row["window_answers"].tolist()[:MONTH] == [1, 1, 1]
    assert row["first_ns"] == START_NS


def test_who_was_quiet_for_long_begins_anew() -> None:
    memory = Memory(quiet_ns=DAY_NS)
    early, late = exchanges([START_NS] * 4, [1] * 4), exchanges([START_NS + 3 * DAY_NS], [1])
    for parts in ([early, late], [np.concatenate([early, late])]):
        row = the_row(statistics_of(*parts, memory=memory).endpoints)
        assert (row["answers"], row["sources"], row["first_ns"]) == (1, 1, START_NS + 3 * DAY_NS)


@pytest.mark.parametrize("count", [1, 3, 100, 300])
def test_three_hundred_sources_are_counted_exactly(count: int) -> None:
    statistics = statistics_of(exchanges([START_NS] * 2 * count, list(range(count)) * 2))
    assert the_row(statistics.endpoints)["sources"] == count
    assert the_row(statistics.behaviours)["sources"] == count


@pytest.mark.parametrize("count", [5_000, 200_000])
def test_many_sources_are_estimated_to_within_five_percent(count: int) -> None:
    statistics = statistics_of(exchanges([START_NS] * count, list(range(count))))
    assert the_row(statistics.endpoints)["sources"] == pytest.approx(count, rel=0.05)
    assert the_row(statistics.behaviours)["sources"] == pytest.approx(count, rel=0.05)


@pytest.mark.parametrize("count", [1, 300, 2_000, 50_000])
def test_how_many_sources_there_are_is_told_with_bounds(count: int) -> None:
    statistics = statistics_of(exchanges([START_NS] * count, list(range(count))))
    key = the_row(statistics.endpoints)["key"]
    (told_of, nothing) = statistics.endpoints.sources_of(keys_from([tuple(key.tolist()), (0, 0, 0)]))
    assert told_of["lower"] <= count <= told_of["upper"]
    assert told_of["lower"] <= told_of["count"] <= told_of["upper"]
    assert told_of["upper"] - told_of["lower"] <= (0 if count <= 300 else 0.06 * count)
    assert nothing == {"count": 0, "lower": 0, "upper": 0}


def test_no_table_holds_more_than_it_may() -> None:
    memory = Memory(sources=40_000)
    times_ns = [START_NS + number * 1_000 for number in range(100_000)]
    statistics = statistics_of(exchanges(times_ns, list(range(100_000))), memory=memory)
    assert len(statistics.sources) <= 40_000
    assert len(statistics.sources) + statistics.evicted == 100_000
    assert statistics.sources.used["last_ns"].min() > START_NS + 50_000_000, "those not heard of for longest go"
    assert the_row(statistics.endpoints)["answers"] == 100_000


def test_who_took_much_is_not_forgotten_with_his_row() -> None:
    memory = Memory(sources=40_000)
    harvester = exchanges([START_NS + number for number in range(500)], [0] * 500)
    crowd = exchanges([START_NS + SECOND_NS + number for number in range(100_000)], list(range(1, 100_001)))
    back = exchanges([START_NS + 2 * SECOND_NS], [0])
    statistics = statistics_of(harvester, crowd, back, memory=memory)
    answers = statistics.sources.used["answers"].max()
    assert 501 - statistics.sources.uncertain_answers <= answers <= 501
    assert answers > 400
    assert statistics_of(harvester).sources.uncertain_answers == 0


# --- adding up --------------------------------------------------------------------------------------------------------


def split(rows: Rows, parts: int) -> list[Rows]:
    """As sensors share traffic: each flow goes to one of them."""
    words = [np.ascontiguousarray(rows[name]).view("<u8").reshape(-1, 2) for name in ("client_addr", "server_addr")]
    ports = rows["client_port"].astype(np.uint64) << np.uint64(16) | rows["server_port"]
    share = fingerprint(*words[0].T, *words[1].T, ports) % np.uint64(parts)
    return [rows[share == number] for number in range(parts)]


def assert_adds_up(rows: Rows, parts: int) -> None:
    whole = statistics_of(rows)
    merged = statistics_of()
    for part in split(rows, parts):
        merged.merge(statistics_of(part))
    for name in TABLES:
        assert told(getattr(merged, name)) == told(getattr(whole, name)), name


def corpus() -> list[str]:
    return sorted(path.name for path in shared_path("corpus").glob("*.pcap*"))


@pytest.mark.parametrize("parts", [2, 4, 8])
@pytest.mark.parametrize("name", corpus())
def test_parts_of_a_capture_add_up_to_the_whole(name: str, parts: int) -> None:
    assert_adds_up(hbids.replay(shared_path("corpus") / name).heartbeats, parts)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(
        st.tuples(st.integers(0, 50 * 3_600), st.integers(0, 600), st.booleans(), st.booleans()), max_size=80
    ),
    parts=st.integers(2, 8),
)
def test_parts_of_made_up_traffic_add_up_to_the_whole(entries: list[tuple[int, int, bool, bool]], parts: int) -> None:
    pieces = [
        exchanges([START_NS + second * SECOND_NS], [source], sealed=sealed, answered=answered)
        for second, source, sealed, answered in sorted(entries)
    ]
    rows = np.concatenate([np.zeros(0, HEARTBEAT_DTYPE), *pieces])
    rows["client_port"] = np.arange(len(rows)) // 2
    assert_adds_up(rows, parts)


def test_many_sources_of_two_sensors_add_up_to_within_five_percent() -> None:
    one, two = (
        statistics_of(exchanges([START_NS] * 20_000, list(range(start, start + 20_000)))) for start in (0, 10_000)
    )
    one.merge(two)
    assert the_row(one.endpoints)["sources"] == pytest.approx(30_000, rel=0.05)
    assert the_row(one.endpoints)["answers"] == 40_000


def test_of_two_sensors_one_of_which_was_quiet_the_other_counts() -> None:
    memory = Memory(quiet_ns=DAY_NS)
    early = statistics_of(exchanges([START_NS] * 4, [1] * 4), memory=memory)
    late = statistics_of(exchanges([START_NS + 3 * DAY_NS], [1]), memory=memory)
    for one, two in ((early, late), (late, early)):
        merged = Statistics(memory, Thresholds())
        merged.merge(one)
        merged.merge(two)
        assert the_row(merged.endpoints)["answers"] == 1


@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap")), ids=lambda path: path.name)
def test_how_rows_are_cut_into_steps_changes_nothing(path: Path) -> None:
    rows = hbids.replay(path).heartbeats
    whole, one_by_one = statistics_of(rows), statistics_of(*(rows[at : at + 1] for at in range(len(rows))))
    for name in TABLES:
        assert told(getattr(one_by_one, name)) == told(getattr(whole, name))
