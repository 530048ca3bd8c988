"""Every case, written to a capture file and replayed by either engine, is told as its entry in the casebook says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hbids
from hbids.config import Output
from hbids.eve.event import alert
from hbids.signatures import shipped
from tests.coverage.casebook import EXPOSURE, Case, said
from tests.coverage.groups import GROUPS
from tests.support.conversation import write_pcap

if TYPE_CHECKING:
    from pathlib import Path

CASES = [pytest.param(case, id=f"{group.title}: {case.item}") for group in GROUPS for case in group.cases]


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_told_as_it_must_be(case: Case, engine_name: str, tmp_path: Path) -> None:
    result = hbids.replay(write_pcap(tmp_path / "case.pcap", case.frames), engine=engine_name)
    assert result.engine == engine_name
    assert said(result) == case.says
    summary = result.summary()
    assert (summary["packets"], summary["bytes"]) == (len(case.frames), sum(frame.wire_bytes for frame in case.frames))
    if case.confidence is not None:
        events = [alert(found, shipped()[found.sid], Output()) for found in result.findings if found.sid != EXPOSURE]
        assert {*(word for event in events for word in event["alert"]["metadata"]["confidence"])} == {case.confidence}
