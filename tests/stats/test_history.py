"""What a report draws: the same however traffic is cut, true in its sums, and bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hbids
from benchmarks.simulation import Exchanges, address_bytes, flows_of, numbered_addresses, rows_of
from hbids.config import Config, Report
from hbids.facts import FLOW_DTYPE, SESSION_DTYPE, EndReason, Rows, TlsStart
from hbids.measures import Measured
from hbids.stats.endpoints import Place
from hbids.stats.flowsample import FlowKind, FlowSample
from hbids.stats.history import History
from hbids.stats.timelines import SUMS, WINDOW_LENGTHS_NS, Timelines
from tests.conftest import PCAPS
from tests.support.conversation import SECOND_NS, START_NS

if TYPE_CHECKING:
    from pathlib import Path

SERVER = address_bytes("203.0.113.1")
DAY_NS = 86_400 * SECOND_NS
CAPTURES = sorted(path for path in PCAPS.iterdir() if path.suffix.startswith(".pcap"))


def exchanges(times_ns: list[int], sources: list[int], *, sealed: bool = False, answered: bool = True) -> Rows:
    asked = np.full(len(times_ns), 0x1000)
    servers = np.repeat(SERVER, len(times_ns), axis=0)
    addresses = numbered_addresses(np.array(sources))
    return rows_of(Exchanges(np.array(times_ns), addresses, servers, asked, sealed=sealed, answered=answered))


def cells_of(*steps: Rows, bounds: Report | None = None) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    timelines = Timelines(bounds or Report())
    for rows in steps:
        timelines.add(Measured(rows))
    return timelines.cells()


# --- timelines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_sums_are_those_of_the_summary(capture: Path) -> None:
    result = hbids.replay(capture, history=True)
    assert result.history
    pasts = result.history.pasts()
    for endpoint in result.endpoints:
        past = pasts.get(Place.of(endpoint))
        sums = {name: int(past.cells[name].sum()) if past else 0 for name in SUMS}
        assert sums == {
            "requests": endpoint["heartbeat_requests"] + endpoint["sealed_requests"],
            "overreads": endpoint["overread_requests"],
            "answers": endpoint["leaking_answers"],
            "leaked_bytes": endpoint["leaked_bytes"],
            "leaked_bytes_estimated": endpoint["leaked_bytes_estimated"],
        }


@given(
    times_s=st.lists(st.integers(0, 40_000_000), min_size=1, max_size=60),
    cut=st.integers(0, 120),
    cells=st.sampled_from([1_024, 262_144]),
)
@settings(max_examples=60, deadline=None)
def test_steps_change_nothing(times_s: list[int], cut: int, cells: int) -> None:
    rows = exchanges(
        [START_NS + second * SECOND_NS for second in sorted(times_s)], [n % 7 for n in range(len(times_s))]
    )
    bounds = Report(cells=cells)
    whole, parts = cells_of(rows, bounds=bounds), cells_of(rows[:cut], rows[cut:], bounds=bounds)
    assert whole.tobytes() == parts.tobytes()
    assert whole["requests"].sum() == whole["answers"].sum() == len(times_s)


@pytest.mark.parametrize(
    ("span_s", "length_s"), [(0, 1), (119, 1), (120, 5), (3_600, 60), (86_400, 900), (30 * 86_400, 43_200)]
)
def test_windows_grow_with_the_story(span_s: int, length_s: int) -> None:
    begin_ns = START_NS // DAY_NS * DAY_NS
    cells = cells_of(exchanges([begin_ns, begin_ns + span_s * SECOND_NS], [1, 1]))
    assert set(cells["window_length_ns"].tolist()) == {length_s * SECOND_NS}
    assert (cells["window_ns"] % (length_s * SECOND_NS) == 0).all()


def test_each_length_is_a_multiple_of_the_one_before() -> None:
    assert (WINDOW_LENGTHS_NS[1:] % WINDOW_LENGTHS_NS[:-1] == 0).all()


@pytest.mark.parametrize("times_ns", [[-(2**62), 2**62], [-1, 1], [0, 2**63 - 2_000_000]])
def test_absurd_times_are_just_long_windows(times_ns: list[int]) -> None:
    cells = cells_of(exchanges(times_ns, [1, 1]))
    assert cells["requests"].sum() == 2


def test_too_many_sources_become_others_and_no_byte_is_lost() -> None:
    bounds = Report(cells=1_024)
    timelines = Timelines(bounds)
    for step in range(20):
        times_ns = [START_NS + step * SECOND_NS + n for n in range(500)]
        timelines.add(Measured(exchanges(times_ns, [step * 500 + n for n in range(500)], answered=step % 2 == 0)))
    cells = timelines.cells()
    assert len(cells) <= bounds.cells // 2
    assert cells["requests"].sum() == 10_000
    assert cells["answers"].sum() == 5_000
    assert not cells["source"].any(axis=1).all(), "there are others"
    assert timelines.dropped == 0


def test_too_many_windows_become_longer_and_no_byte_is_lost() -> None:
    count = 400
    timelines = Timelines(Report(cells=1_024))
    for step in range(20):
        times_ns = START_NS + np.arange(count) + step * SECOND_NS
        servers = numbered_addresses(np.arange(count), "203.0.0.0")
        asked = Exchanges(times_ns, numbered_addresses(np.ones(count, int)), servers, np.full(count, 0x1000))
        timelines.add(Measured(rows_of(asked)))
    cells = timelines.cells()
    assert len(cells) <= 512
    assert timelines.dropped == 0
    assert cells["requests"].sum() == cells["answers"].sum() == 20 * count


def test_too_many_endpoints_lose_the_least_harmful_and_say_so() -> None:
    count = 3_000
    times_ns = START_NS + np.arange(count)
    servers = numbered_addresses(np.arange(count), "203.0.0.0")
    asked = Exchanges(times_ns, numbered_addresses(np.arange(count)), servers, np.full(count, 0x1000), answered=False)
    answered = replace(asked, answered=True, endpoints=numbered_addresses(np.arange(count) // 300, "198.51.100.0"))
    timelines = Timelines(Report(cells=1_024))
    for rows in (rows_of(answered), rows_of(asked)):
        timelines.add(Measured(rows))
    cells = timelines.cells()
    assert len(cells) <= 512
    assert cells["answers"].sum() == count, "leaks stay"
    assert cells["requests"].sum() + timelines.dropped == 2 * count


# --- flows ------------------------------------------------------------------------------------------------------------


def visits(count: int) -> Rows:
    random = np.random.default_rng(1)
    sizes = random.integers(500, 5_000, count), random.integers(1_000, 100_000, count)
    return flows_of(START_NS + np.arange(count) * SECOND_NS, numbered_addresses(np.arange(count)), SERVER, sizes)


@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_the_sample_does_not_depend_on_steps(step: int) -> None:
    flows = visits(1_000)
    samples = [FlowSample(Report(flows=50)) for _ in range(2)]
    samples[0].add_flows(flows)
    for start in range(0, len(flows), step):
        samples[1].add_flows(flows[start : start + step])
    one, two = (sample.points() for sample in samples)
    assert len(one) == 50
    assert one.tobytes() == two.tobytes()
    assert samples[1].seen == [1_000, 0, 0]


def test_few_that_leaked_are_not_lost_among_many() -> None:
    sample = FlowSample(Report(flows=50))
    flows = visits(1_000)
    rows = exchanges([START_NS], [1])
    rows["flow_id"] = flows["flow_id"][777]
    sample.add_heartbeats(Measured(rows))
    flows["heartbeats_to_server"][777] = flows["heartbeats_to_server"][5] = 1
    checkpoint = flows[777:778].copy()
    checkpoint["end_reason"] = EndReason.CHECKPOINT
    sample.add_flows(checkpoint)
    sample.add_flows(flows)
    assert sample.seen == [998, 1, 1]
    (leak,) = sample.points()[sample.points()["kind"] == FlowKind.LEAK]
    assert leak["bytes_to_client"] == flows["bytes_to_client"][777]


# --- names ------------------------------------------------------------------------------------------------------------


def sessions(names: list[bytes], servers: list[int], start: TlsStart = TlsStart.DIRECT) -> Rows:
    rows = np.zeros(len(names), SESSION_DTYPE)
    rows["server_addr"] = numbered_addresses(np.array(servers), "203.0.113.0")
    rows["client_addr"] = numbered_addresses(np.array(servers))
    rows["server_port"], rows["transport"], rows["protocol"], rows["start"], rows["sni"] = 443, 1, 6, start, names
    return rows


def test_a_server_is_known_by_its_names() -> None:
    history = History(Report())
    nothing = Measured(exchanges([START_NS], [1])[:0])
    for names in ([b"", b"mail.example"], [b"www.example"], [b"a"], [b"b"]):
        history.add(nothing, sessions(names, [1] * len(names), TlsStart.SMTP), np.zeros(0, FLOW_DTYPE))
    (past,) = history.pasts().values()
    assert list(past.service.names) == ["mail.example", "www.example", "a"]
    assert list(past.service.starts) == [TlsStart.SMTP]


def test_names_of_many_servers_are_bounded() -> None:
    history = History(Report(services=10))
    nothing = Measured(exchanges([START_NS], [1])[:0])
    history.add(nothing, sessions([b"x"] * 200, list(range(200))), np.zeros(0, FLOW_DTYPE))
    assert len(history.pasts()) == 10


def test_nothing_is_kept_unless_asked_for() -> None:
    assert hbids.replay(CAPTURES[0]).history is None
    history = hbids.replay(CAPTURES[0], config=Config(), history=True).history
    assert history is not None
