"""Every signature fires where it must and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.facts import Verdict
from hbids.signatures import SENSOR_SIDS, shipped
from tests.detect import cases_exchanges, cases_series
from tests.detect.casebook import CASES, EXPOSURE, FIRED_BY_ROWS, Case
from tests.support.judging import alerts, judge

if TYPE_CHECKING:
    from pathlib import Path


assert CASES, (cases_exchanges, cases_series)  # written down as they are imported

SIDS = sorted(set(shipped()) - set(SENSOR_SIDS))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_raises_its_alerts_and_no_other(case: Case, engine_name: str, tmp_path: Path) -> None:
    result = judge(tmp_path, engine_name, *case.conversations())
    unnamed = {EXPOSURE} - case.fires.keys() - case.near
    raised = {sid: count for sid, count in alerts(result).items() if sid not in unnamed}
    assert raised == case.fires
    assert max((endpoint["verdict"] for endpoint in result.endpoints), key=_harm, default="clear") == case.verdict.word


def _harm(word: str) -> Verdict:
    return Verdict[word.upper()]


@pytest.mark.parametrize("sid", SIDS)
def test_every_signature_has_a_case_that_fires_it(sid: int) -> None:
    assert sid in FIRED_BY_ROWS or any(sid in case.fires for case in CASES)


@pytest.mark.parametrize("sid", SIDS)
def test_every_signature_has_a_case_that_nearly_fires_it(sid: int) -> None:
    assert any(sid in case.near for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_does_not_fire_what_it_only_comes_near_to(case: Case) -> None:
    assert case.near.isdisjoint(case.fires)
