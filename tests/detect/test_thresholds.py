"""Where detectors draw their lines is the user's to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.config import Config, Thresholds
from tests.detect.casebook import beats, leaks, numbered, unanswered
from tests.support import tls
from tests.support.conversation import SECOND_NS
from tests.support.judging import alerts, findings_of, judge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.conversation import Conversation


def fired(folder: Path, engine: str, sid: int, conversations: list[Conversation], thresholds: Thresholds) -> int:
    return alerts(judge(folder, engine, *conversations, config=Config(thresholds=thresholds))).get(sid, 0)


@pytest.mark.parametrize(("messages", "times"), [(3, 3), (5, 2), (6, 1), (7, 1), (12, 0), (10, 1)])
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


@pytest.mark.parametrize(("messages", "times"), [(4, 1), (5, 0), (2, 2), (1, 4)])
def test_a_series_without_answers_is_so_long(engine_name: str, tmp_path: Path, messages: int, times: int) -> None:
    thresholds = Thresholds(unanswered_messages=messages)
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


@pytest.mark.parametrize(("answers", "told"), [(3, [3]), (4, [4]), (5, []), (1, [1])])
def test_a_harvest_is_so_many_answers_and_told_again_tenfold(
    engine_name: str, tmp_path: Path, answers: int, told: list[int]
) -> None:
    config = Config(thresholds=Thresholds(harvest_answers=answers))
    result = judge(tmp_path, engine_name, *leaks(4), config=config)
    assert [finding.context["answers"] for finding in findings_of(result, [1016300])] == told


def test_a_harvest_is_told_again_when_it_has_grown_tenfold(engine_name: str, tmp_path: Path) -> None:
    config = Config(thresholds=Thresholds(harvest_answers=2))
    result = judge(tmp_path, engine_name, *leaks(25), config=config)
    found = findings_of(result, [1016300])
    assert [finding.context["answers"] for finding in found] == [2, 20]
    assert [finding.context["leaked_bytes"] for finding in found] == [2 * 0x100, 20 * 0x100]


@pytest.mark.parametrize(("sources", "times"), [(2, 1), (4, 1), (5, 0)])
def test_a_behaviour_is_told_from_so_many_sources(engine_name: str, tmp_path: Path, sources: int, times: int) -> None:
    thresholds = Thresholds(harvest_sources=sources, harvest_answers=4)
    assert fired(tmp_path, engine_name, 1016301, leaks(8, sources=4), thresholds) == times
