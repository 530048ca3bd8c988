"""With a live Suricata, too: see benchmarks/sidecar_soak.py, of which this is one round."""

from __future__ import annotations

import os

import pytest

from benchmarks import sidecar_soak
from tests.conftest import missing, require_tool


def test_sidecars_of_a_live_suricata_tell_the_same_whether_killed_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    for tool in ("suricata", "tcpreplay", "ip"):
        require_tool(tool)
    if os.geteuid() != 0:
        missing("root, who may make network namespaces")
    assert sidecar_soak.main(["--rounds", "1"]) == 0, capsys.readouterr().out
