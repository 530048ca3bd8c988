"""Where detectors draw their lines is the user's to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.config import Config, Memory, Thresholds
from tests.detect.casebook import beats, leaks, numbered, unanswered
from tests.support import tls
from tests.support.conversation import SECOND_NS
from tests.support.judging import alerts, findings_of, judge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.conversation import Conversation


def fired(folder: Path, engine: str, sid: int, conversations: list[Conversation], thresholds: Thresholds) -> int:
    return alerts(judge(folder, engine, *conversations, config=Config(thresholds=thresholds))).get(sid, 0)


@pytest.mark.parametrize(("messages", "times"), [(3, 1), (5, 1), (10, 1), (11, 1), (12, 0)])
def test_a_flood_is_so_many_messages(engine_name: str, tmp_path: Path, messages: int, times: int) -> None:
    thresholds = Thresholds(flood_messages=messages)
    assert fired(tmp_path, engine_name, 1016210, [beats(11, seconds=5)], thresholds) == times


@pytest.mark.parametrize(("window", "times"), [(5.0, 1), (4.999, 0)])
def test_a_flood_comes_within_so_long(engine_name: str, tmp_path: Path, window: float, times: int) -> None:
    thresholds = Thresholds(flood_messages=11, flood_window_ns=round(window * SECOND_NS))
    assert fired(tmp_path, engine_name, 1016210, [beats(11, seconds=5)], thresholds) == times


def test_a_flood_counts_all_connections_of_a_source(engine_name: str, tmp_path: Path) -> None:
    def conversations(sources: int) -> list[Conversation]:
        found = []
        for index in range(6):
            found.append(numbered(index, source=1 + index % sources, seconds=0.1).connect().say_hello())
            found[-1].client(tls.honest_request())
        return found

    assert fired(tmp_path, engine_name, 1016210, conversations(1), Thresholds(flood_messages=6)) == 1
    assert fired(tmp_path, engine_name, 1016210, conversations(2), Thresholds(flood_messages=6)) == 0


@pytest.mark.parametrize(("messages", "times"), [(4, 1), (5, 0), (2, 2), (1, 2)])
def test_a_series_without_answers_is_so_long(engine_name: str, tmp_path: Path, messages: int, times: int) -> None:
    thresholds = Thresholds(unanswered_messages=messages)  # where more come than were told, the total comes besides
    assert fired(tmp_path, engine_name, 1016211, unanswered(4), thresholds) == times


@pytest.mark.parametrize(("window", "times"), [(180, 1), (179, 0)])
def test_a_series_without_answers_comes_within_so_long(
    engine_name: str, tmp_path: Path, window: int, times: int
) -> None:
    conversations = unanswered(4)
    for conversation in conversations:
        conversation.rst(next(iter(conversation.packets)).way)
    thresholds = Thresholds(unanswered_messages=4, unanswered_window_ns=window * SECOND_NS)
    assert fired(tmp_path, engine_name, 1016211, conversations, thresholds) == times


@pytest.mark.parametrize(("wait", "times"), [(1, 1), (5, 1), (6, 0)])
def test_silence_tells_after_so_long(engine_name: str, tmp_path: Path, wait: float, times: int) -> None:
    (conversation,) = unanswered(1)
    conversation.wait(5).server(tls.application_data())
    thresholds = Thresholds(unanswered_wait_ns=round(wait * SECOND_NS))
    assert fired(tmp_path, engine_name, 1016211, [conversation], thresholds) == times


@pytest.mark.parametrize(("answers", "told"), [(3, [3, 4]), (4, [4]), (5, []), (1, [1, 4])])
def test_a_harvest_is_so_many_answers_and_its_total_is_told(
    engine_name: str, tmp_path: Path, answers: int, told: list[int]
) -> None:
    config = Config(thresholds=Thresholds(harvest_answers=answers, harvest_bytes=1))
    result = judge(tmp_path, engine_name, *leaks(4), config=config)
    assert [finding.context["answers"] for finding in findings_of(result, [1016300])] == told


def test_a_harvest_is_told_again_at_every_power_of_ten(engine_name: str, tmp_path: Path) -> None:
    config = Config(thresholds=Thresholds(harvest_answers=2, harvest_bytes=1))
    result = judge(tmp_path, engine_name, *leaks(112), config=config)
    found = findings_of(result, [1016300])
    assert [finding.context["answers"] for finding in found] == [2, 10, 100, 112]
    assert [finding.context["leaked_bytes"] for finding in found] == [count * 0x100 for count in (2, 10, 100, 112)]


@pytest.mark.parametrize(("least_bytes", "told"), [(1_024, [10]), (2_560, [10]), (2_561, [])])
def test_a_harvest_is_so_many_bytes(engine_name: str, tmp_path: Path, least_bytes: int, told: list[int]) -> None:
    config = Config(thresholds=Thresholds(harvest_bytes=least_bytes))
    result = judge(tmp_path, engine_name, *leaks(10), config=config)
    assert [finding.context["answers"] for finding in findings_of(result, [1016300])] == told


@pytest.mark.parametrize(("sources", "times"), [(2, 2), (4, 1), (5, 0)])
def test_a_behaviour_is_told_from_so_many_sources(engine_name: str, tmp_path: Path, sources: int, times: int) -> None:
    thresholds = Thresholds(harvest_sources=sources, harvest_answers=4, harvest_bytes=1)
    conversations = leaks(8, sources=4)
    if sources == 4:
        conversations = conversations[:4]
    assert fired(tmp_path, engine_name, 1016301, conversations, thresholds) == times


@pytest.mark.parametrize(("seconds", "sid"), [(360, 1016300), (400, 1016302), (86_400, 1016302)])
def test_a_harvest_is_slow_where_answers_come_so_far_apart(
    engine_name: str, tmp_path: Path, seconds: int, sid: int
) -> None:
    result = judge(tmp_path, engine_name, *leaks(10, seconds=seconds))
    assert {finding.sid for finding in findings_of(result, [1016300, 1016302])} == {sid}


@pytest.mark.parametrize(("days", "harvested"), [(2, True), (2.3, False), (7, False)])
def test_answers_farther_apart_are_no_harvest(
    engine_name: str, tmp_path: Path, days: float, *, harvested: bool
) -> None:
    result = judge(tmp_path, engine_name, *leaks(12, seconds=days * 86_400))
    assert bool(findings_of(result, [1016302])) == harvested


@pytest.mark.parametrize(("quiet", "harvested"), [(93, True), (91, False)])
def test_who_was_quiet_for_long_is_somebody_new(
    engine_name: str, tmp_path: Path, quiet: int, *, harvested: bool
) -> None:
    conversations = leaks(110)
    config = Config(memory=Memory(quiet_ns=quiet * SECOND_NS))
    result = judge(tmp_path, engine_name, *conversations[:9], *conversations[100:109], config=config)
    assert bool(findings_of(result, [1016300])) == harvested
