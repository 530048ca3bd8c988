"""Alerts are few, say all, and are the same however the rows came."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation import Exchanges, address_bytes, numbered_addresses, rows_of
from hbids.config import Config, Output, Thresholds
from hbids.decode.engine import native_available
from hbids.eve.event import alert
from hbids.facts import Facts, Finding, FrameBatch, Rows, Verdict
from hbids.pipeline import Analysis
from hbids.signatures import shipped
from tests.conftest import missing
from tests.detect.casebook import LIE, leak, leaks, numbered
from tests.support import mutation, tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, batch_of, frames_of, greeted, sealing
from tests.support.decoding import engine_called
from tests.support.judging import findings_of, judge
from tests.support.scripts import lossy_scripts, plainly

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.mutation import Damaged
    from tests.support.scripts import Turn

HOUR_NS, DAY_NS = 3_600 * SECOND_NS, 86_400 * SECOND_NS
VICTIM = address_bytes("203.0.113.1")


# --- however the rows came --------------------------------------------------------------------------------------------


def analysed(engine_name: str, batches: Iterable[FrameBatch]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Everything that is told, in an order of its own, and the endpoints."""
    engine = engine_called(engine_name)
    findings: list[Finding] = []
    analysis = Analysis(Config(), findings.append)
    for facts in [*(engine.feed(batch) for batch in batches), *engine.finish()]:
        analysis.add(facts)
    analysis.finish()
    told = [{"sid": finding.sid, "time_ns": finding.time_ns, **finding.context} for finding in findings]
    assert len({each["alert_id"] for each in told}) == len(told)
    return sorted(told, key=lambda each: str(each["alert_id"])), analysis.endpoints()


def cut(batch: FrameBatch, places: Iterable[int]) -> list[FrameBatch]:
    frames = batch.frames
    edges = sorted({0, len(frames), *(place % (len(frames) + 1) for place in places)})
    return [FrameBatch(batch.data, frames[start:end]) for start, end in pairwise(edges)]


def one_by_one(batch: FrameBatch) -> list[FrameBatch]:
    return cut(batch, range(len(batch.frames)))


@pytest.fixture(scope="module")
def engines() -> tuple[str, str]:
    if not native_available():
        missing("the native engine")
    return "native", "reference"


@settings(max_examples=60, deadline=None)
@given(
    script_lists=st.lists(lossy_scripts, min_size=1, max_size=4),
    apart_s=st.sampled_from([0.001, 1, 4_000, 100_000]),
    places=st.lists(st.integers(0, 1000), max_size=6),
)
def test_neither_engine_nor_batches_change_what_is_told(
    script_lists: list[list[Turn]], apart_s: float, places: list[int], engines: tuple[str, str]
) -> None:
    conversations = []
    for number, script in enumerate(script_lists):
        conversation = plainly(script)
        for packet in conversation.packets:
            packet.time_ns += round(number * apart_s * SECOND_NS)
        moved = Conversation(client=f"10.0.0.{1 + number % 3}", client_port=40_000 + number)
        moved.packets = conversation.packets
        conversations.append(moved)
    batch = batch_of(frames_of(*conversations))
    whole = analysed(engines[0], [batch])
    assert analysed(engines[1], cut(batch, places)) == whole
    assert analysed(engines[0], one_by_one(batch)) == whole


@settings(max_examples=60, deadline=None)
@given(damaged=mutation.damaged, places=st.lists(st.integers(0, 1000), max_size=6))
def test_batches_change_nothing_of_what_is_told_of_damaged_captures(
    damaged: Damaged, places: list[int], engines: tuple[str, str]
) -> None:
    batch = damaged.batch()
    assert analysed(engines[0], cut(batch, places)) == analysed(engines[0], [batch])


@pytest.mark.parametrize("path", mutation.small_captures(), ids=lambda path: path.name)
def test_a_capture_frame_by_frame_is_told_as_in_one_piece(path: Path, engine_name: str) -> None:
    batch = mutation.batch_from(path)
    assert analysed(engine_name, one_by_one(batch)) == analysed(engine_name, [batch])


# --- few enough to be read --------------------------------------------------------------------------------------------


def reaped(count: int, *, sources: int = 1, every_ns: int = SECOND_NS, sealed: bool = False) -> Rows:
    """Rows of a harvest: a request each so often, of one source after the other."""
    numbers = np.arange(count)
    return rows_of(
        Exchanges(
            START_NS + numbers * every_ns,
            numbered_addresses(numbers % sources),
            np.repeat(VICTIM, count, axis=0),
            np.full(count, 0x4000),
            sealed=sealed,
        )
    )


def told(rows: Rows, config: Config | None = None, *, step: int = 10_000) -> list[Finding]:
    findings: list[Finding] = []
    analysis = Analysis(config or Config(), findings.append)
    nothing = Facts.empty()
    for start in range(0, len(rows), step):
        analysis.add(Facts(rows[start : start + step], nothing.sessions, nothing.flows))
    analysis.finish()
    (endpoint,) = analysis.endpoints()
    assert endpoint["leaking_answers"] == len(rows) // 2
    assert endpoint["verdict"] == "harvested"
    return findings


@pytest.mark.parametrize(
    ("sources", "days", "sealed"), [(1, 0.1, False), (20, 1, False), (1000, 1, True), (1, 30, True), (4, 30, False)]
)
def test_a_hundred_thousand_exchanges_are_told_in_few_lines(sources: int, days: float, *, sealed: bool) -> None:
    rows = reaped(100_000, sources=sources, every_ns=round(days * DAY_NS / 100_000), sealed=sealed)
    findings = told(rows)
    assert len(findings) < 50
    last = max((each for each in findings if 1016300 <= each.sid < 1016400), key=lambda each: each.context["answers"])
    assert last.context["answers"] == 100_000
    leaked = last.context["leaked_bytes"] + last.context["leaked_bytes_estimated"]
    assert leaked == pytest.approx(100_000 * 0x4000, rel=0.01)


def test_what_a_harvest_says(engine_name: str, tmp_path: Path) -> None:
    result = judge(tmp_path, engine_name, *leaks(25, sources=5))
    last = findings_of(result, [1016301])[-1]
    assert last.verdict == Verdict.HARVESTED
    assert last.context["answers"] == 25
    assert last.context["sources"] == 5
    assert last.context["leaked_bytes"] == 25 * 0x100
    assert last.context["window_s"] == pytest.approx(24, abs=0.1)
    assert last.context["last_ns"] - last.context["first_ns"] == pytest.approx(24e9, abs=1e8)
    assert last.context["answers_per_hour"] == pytest.approx(25 / 24 * 3600, rel=0.01)
    assert last.context["key_effort"] == pytest.approx(25 * 0x100 / 15_816_172, rel=0.01)
    text = alert(last, shipped()[1016301], Output())["alert"]["signature"]
    assert "0.000405 times the memory in which a private key was once found" in text


# --- what is told, and when -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "named"), [(1, 1), (3, 3), (6, 6), (8, 7)])
def test_so_many_sources_are_told_of_at_once(engine_name: str, tmp_path: Path, most: int, named: int) -> None:
    config = Config(thresholds=Thresholds(alert_sources=most))
    conversations = [numbered(number, source=1 + number).connect().say_hello() for number in range(7)]
    for conversation in conversations:
        conversation.client(LIE)
    result = judge(tmp_path, engine_name, *conversations, config=config)
    found = findings_of(result, [1016001])
    sources = {finding.flow.client_ip for finding in found}
    assert len(sources - {"10.0.0.7"}) == min(named, 6)
    assert found[-1].context["requests"] == 7  # the total, if nobody else was told of
    assert len(result.endpoints[0]["sources"]) == 7


def test_a_story_is_told_again_day_by_day_then_ever_more_seldom() -> None:
    rows = reaped(40 * 24, every_ns=HOUR_NS)
    days = [(finding.time_ns - START_NS) / DAY_NS for finding in told(rows) if finding.sid == 1016001]
    assert [int(day) for day in days] == [0, 1, 2, 4, 8, 16, 24, 32]


def test_the_windows_are_as_long_as_they_are_set() -> None:
    rows = reaped(24, every_ns=HOUR_NS)
    config = Config(thresholds=Thresholds(alert_window_ns=6 * HOUR_NS))
    hours = [(finding.time_ns - START_NS) // HOUR_NS for finding in told(rows, config) if finding.sid == 1016001]
    assert hours == [0, 6, 12]


def test_what_is_implied_by_something_graver_is_not_counted_on(engine_name: str, tmp_path: Path) -> None:
    """Of a hundred and more requests that were answered only the answers are told on."""
    result = judge(tmp_path, engine_name, *leaks(120))
    assert [finding.context["requests"] for finding in findings_of(result, [1016001])] == [1]
    assert [finding.context["answers"] for finding in findings_of(result, [1016300])] == [10, 100, 120]


def test_attempts_without_answer_are_told_on(engine_name: str, tmp_path: Path) -> None:
    conversations = [numbered(number).connect().say_hello() for number in range(105)]
    for conversation in conversations:
        conversation.client(LIE)
    result = judge(tmp_path, engine_name, *conversations)
    assert [finding.context["requests"] for finding in findings_of(result, [1016001])] == [1, 10, 100, 105]


def test_a_graver_verdict_is_told_at_once(engine_name: str, tmp_path: Path) -> None:
    conversations = [numbered(number).connect().say_hello() for number in range(50)]
    for conversation in conversations[:-1]:
        conversation.client(LIE)
    result = judge(tmp_path, engine_name, *conversations[:-1], leak(numbered(49).connect()))
    (first,) = findings_of(result, [1016100])
    assert first.time_ns >= START_NS + 49 * SECOND_NS


def test_an_attempt_of_another_kind_is_told(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    for _ in range(5):
        conversation.client(LIE)
    conversation.client(tls.request(20, bytes(20)))
    result = judge(tmp_path, engine_name, conversation)
    assert [finding.sid for finding in findings_of(result, [1016001, 1016010])] == [1016001, 1016010, 1016001]


def test_each_endpoint_has_its_own_story(engine_name: str, tmp_path: Path) -> None:
    conversations = [Conversation(server=f"10.0.1.{number}").connect().say_hello() for number in range(1, 9)]
    for conversation in conversations:
        conversation.client(LIE)
    result = judge(tmp_path, engine_name, *conversations)
    assert len(findings_of(result, [1016001])) == 8


def test_sealed_harvests_are_told_as_clear_ones(engine_name: str, tmp_path: Path) -> None:
    conversation = sealing()
    for _ in range(12):
        conversation.client(tls.sealed(61))
        conversation.server(tls.sealed(16_408))
    result = judge(tmp_path, engine_name, conversation)
    assert [finding.context["answers"] for finding in findings_of(result, [1016300])] == [10, 12]
    assert len(findings_of(result, [1016201])) == 1
