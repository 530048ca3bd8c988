"""Flows that are out of line with their service's own history, and those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import hbids
from benchmarks.simulation import address_bytes, flows_of, numbered_addresses
from hbids.config import Config, Memory, Thresholds
from hbids.facts import EndReason, Facts, Finding, Rows
from hbids.pipeline import Analysis
from hbids.stats import FlowShapes
from tests.conftest import shared_path
from tests.corpus.labels import LABELS
from tests.support.conversation import SECOND_NS, START_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY_NS = 86_400 * SECOND_NS
MIDNIGHT_NS = START_NS // DAY_NS * DAY_NS
SERVICE = address_bytes("203.0.113.1")
SUSPICION = (1016400, 1016401)


def visitors(day: int, *, flows: int = 2_000, clients: int = 500, seed: int = 1) -> Rows:
    """A day of a web site: downloads of every size by many clients."""
    random = np.random.default_rng([seed, day])
    times_ns = MIDNIGHT_NS + day * DAY_NS + np.sort(random.integers(0, DAY_NS, flows))
    sizes = (
        (random.lognormal(7, 0.5, flows) + 600).astype(np.int64),
        (random.lognormal(10, 1.2, flows) + 4_000).astype(np.int64),
    )
    return flows_of(times_ns, numbered_addresses(random.integers(0, clients, flows)), SERVICE, sizes)


def alike(day: int, flows: int, *, sources: int = 1, to_client: int = 21_000, hours: float = 6) -> Rows:
    """Flows of one shape, as a harvest has them."""
    times_ns = MIDNIGHT_NS + day * DAY_NS + DAY_NS // 2 + np.arange(flows) * int(hours * 3_600e9 / flows)
    addresses = numbered_addresses(np.arange(flows) % sources, "198.51.100.0")
    jitter = np.arange(flows) % 2 * 54  # an acknowledgement more or less
    return flows_of(times_ns, addresses, SERVICE, (900 + jitter, np.full(flows, to_client)))


def told(*days: Rows, config: Config | None = None, step: int = 1_000) -> list[Finding]:
    findings: list[Finding] = []
    analysis = Analysis(config or Config(), findings.append)
    nothing = Facts.empty()
    rows = np.concatenate(days)
    rows = rows[np.argsort(rows["end_time_ns"], kind="stable")]
    for start in range(0, len(rows), step):
        analysis.add(Facts(nothing.heartbeats, nothing.sessions, rows[start : start + step]))
    analysis.finish()
    assert analysis.endpoints() == [], "a suspicion is no verdict"
    assert {finding.sid for finding in findings} <= set(SUSPICION)
    return findings


def history(days: int = 10) -> list[Rows]:
    return [visitors(day) for day in range(days)]


# --- out of line ------------------------------------------------------------------------------------------------------


def test_many_flows_of_one_new_shape_by_one_source_are_told_once() -> None:
    finding, *rest = told(*history(), alike(9, 500))
    assert finding.sid == 1016400
    assert finding.flow.client_ip == "198.51.100.0"
    assert finding.context["flows"] == 100
    assert finding.context["usual_flows"] <= 5
    assert finding.context["bytes_to_client"] == 21_000
    assert [each.context["flows"] for each in rest] == [500] or rest == []


def test_several_sources_that_do_the_same_are_told_together() -> None:
    finding, *_ = told(*history(), alike(9, 1_000, sources=8))
    assert finding.sid == 1016401
    assert finding.context["sources"] == 8
    assert finding.context["flows"] == 160


def test_it_is_told_on_the_day_it_begins_and_again_as_time_passes() -> None:
    days = {
        (finding.time_ns - MIDNIGHT_NS) // DAY_NS
        for finding in told(*history(20), *(alike(day, 300) for day in range(12, 16)))
    }
    assert min(days) == 12


def test_how_flows_are_cut_into_steps_changes_nothing() -> None:
    rows = [*history(), alike(9, 500), alike(9, 700, sources=5, to_client=70_000)]
    names = [[finding.context["alert_id"] for finding in told(*rows, step=step)] for step in (1, 77, 100_000)]
    assert names[0] == names[1] == names[2] != []


# --- in line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_site_is_in_line_with_itself(seed: int) -> None:
    assert told(*(visitors(day, seed=seed) for day in range(40))) == []


def test_a_service_that_is_not_known_for_long_has_no_line() -> None:
    assert told(*history(6), alike(5, 5_000)) == []
    assert told(alike(0, 5_000)) == []


def test_a_monitor_that_was_always_there_is_in_line() -> None:
    assert told(*history(20), *(alike(day, 1_440, hours=11) for day in range(20))) == []


def test_less_than_so_many_flows_are_no_matter() -> None:
    assert told(*history(), alike(9, 90)) == []


def test_visitors_of_a_new_page_are_no_matter() -> None:
    assert told(*history(), alike(9, 1_000, sources=100)) == []


def test_flows_with_heartbeats_in_them_are_not_counted() -> None:
    rows = alike(9, 500)
    rows["heartbeats_to_server"] = 1
    assert told(*history(), rows) == []


def test_flows_without_tls_and_checkpoints_are_not_counted() -> None:
    plain, going_on = alike(9, 500), alike(9, 500)
    plain["transport"] = 0
    going_on["end_reason"] = EndReason.CHECKPOINT
    assert told(*history(), plain, going_on) == []


@pytest.mark.parametrize(
    ("thresholds", "times"),
    [
        (Thresholds(anomaly_flows=500), 1),
        (Thresholds(anomaly_flows=600), 0),
        (Thresholds(anomaly_days=9), 1),
        (Thresholds(anomaly_days=10), 0),
        (Thresholds(anomaly_flows_per_source=500), 0),
    ],
)
def test_the_lines_are_the_users_to_draw(thresholds: Thresholds, times: int) -> None:
    findings = told(*history(), alike(9, 500, sources=2), config=Config(thresholds=thresholds))
    assert bool(findings) == bool(times)


@pytest.mark.parametrize("name", [name for name, label in LABELS.items() if label["benign"]])
def test_benign_captures_raise_no_suspicion_even_where_the_service_is_known(name: str) -> None:
    """With a history of other days, as a sensor has it, made of the same capture."""
    flows = hbids.replay(shared_path("corpus") / name).flows
    days = []
    for day in range(10):
        rows = flows.copy()
        for column in ("time_ns", "end_time_ns"):
            rows[column] += day * DAY_NS
        days.append(rows)
    findings: list[Finding] = []
    analysis = Analysis(Config(), findings.append)
    nothing = Facts.empty()
    for rows in days:
        analysis.add(Facts(nothing.heartbeats, nothing.sessions, rows))
    assert [finding for finding in findings if finding.sid in SUSPICION] == []


# --- memory -----------------------------------------------------------------------------------------------------------


def shapes_of(rows: Iterable[Rows], memory: Memory | None = None) -> FlowShapes:
    shapes = FlowShapes(memory or Memory(), Thresholds())
    for each in rows:
        shapes.count(each)
    return shapes


def counted(shapes: FlowShapes) -> dict[tuple[int, ...], list[int]]:
    """Flows by day of every shape; days are counted back from the newest of all."""
    rows = shapes.parts()["shapes"]
    assert isinstance(rows, np.ndarray)
    newest = int(rows["day"].max())
    return {
        tuple(row["key"].tolist()): [
            int(row["flows"][(newest - back) % 28])
            if newest - back <= row["day"] and newest - back > row["day"] - 28
            else 0
            for back in range(28)
        ]
        for row in rows
    }


def test_two_sensors_add_up() -> None:
    days = [visitors(day) for day in range(30)]
    whole = shapes_of(days)
    one, two = (shapes_of(rows[share::2] for rows in days) for share in (0, 1))
    one.merge(two)
    assert counted(one) == counted(whole)


def test_what_ends_late_counts_for_its_day() -> None:
    late, early = visitors(3), visitors(4)
    assert counted(shapes_of([early, late])) == counted(shapes_of([late, early]))


def test_no_table_holds_more_than_it_may() -> None:
    memory = Memory(shapes=40_000, services=40_000)
    shapes = FlowShapes(memory, Thresholds())
    for day in range(10):
        rows = visitors(day, flows=20_000)
        rows["server_addr"] = numbered_addresses(np.arange(20_000) + 20_000 * day)
        shapes.count(rows)
    for name in ("services", "shapes"):
        assert 30_000 <= len(shapes.parts()[name]) <= 40_000
    assert shapes.evicted > 0
