"""Who is kept by name: in order, bounded for each endpoint, and over all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbids.stats import roster as roster_module
from hbids.stats.roster import Roster


def add(roster: Roster, pairs: list[tuple[int, int]]) -> None:
    """Pairs of an endpoint and a source, both numbers."""
    endpoints, sources = np.array(pairs, np.uint64).reshape(-1, 2).T
    roster.add(endpoints, (np.zeros_like(sources), sources))


def listed(roster: Roster, *endpoints: int) -> list[list[int]]:
    return [[low for _, low in sources] for sources in roster.of(np.array(endpoints, np.uint64))]


@given(st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 12)), max_size=20), max_size=5))
def test_sources_stand_in_the_order_in_which_they_were_met(steps: list[list[tuple[int, int]]]) -> None:
    roster = Roster(8)
    expected: dict[int, dict[int, None]] = {endpoint: {} for endpoint in range(6)}
    for pairs in steps:
        add(roster, pairs)
        for endpoint, source in pairs:
            expected[endpoint][source] = None
    assert listed(roster, *expected) == [list(sources) for sources in expected.values()]
    assert roster.dropped == 0


def test_an_endpoint_has_room_for_so_many_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "MOST_SOURCES", 3)
    roster = Roster(8)
    add(roster, [(1, source) for source in (5, 6, 7, 8, 8)] + [(2, 8)])
    add(roster, [(1, 5), (1, 9)])
    assert listed(roster, 1, 2) == [[5, 6, 7], [8]]
    assert roster.dropped == 3


def test_when_all_together_are_too_many_those_met_first_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "MOST_PAIRS", 64)
    monkeypatch.setattr(roster_module, "MOST_SOURCES", 40)
    roster = Roster(8)
    for source in range(40):
        add(roster, [(1, source)])
    for source in range(40):
        add(roster, [(2, source)])
    first, second = listed(roster, 1, 2)
    assert first == list(range(40))[-len(first) :]
    assert second == list(range(40))
    assert roster.dropped == 40 - len(first) > 0
    add(roster, [(1, 100)])  # whose place was taken may get another
    assert listed(roster, 1)[0][-1] == 100
