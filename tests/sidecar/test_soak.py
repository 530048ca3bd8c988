"""With a live Suricata, too: a round of benchmarks/sidecar_soak.py, and a few of sidecar_socket_soak.py."""

from __future__ import annotations

import os

import pytest

from benchmarks import sidecar_soak, sidecar_socket_soak
from tests.conftest import missing, require_tool


@pytest.fixture(autouse=True)
def _tools() -> None:
    for tool in ("suricata", "tcpreplay", "ip"):
        require_tool(tool)
    if os.geteuid() != 0:
        missing("root, who may make network namespaces")


def test_sidecars_of_a_live_suricata_tell_the_same_whether_killed_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert sidecar_soak.main(["--rounds", "1"]) == 0, capsys.readouterr().out


def test_a_socket_gives_what_a_file_gives_through_restarts_of_suricata(capsys: pytest.CaptureFixture[str]) -> None:
    assert sidecar_socket_soak.main(["--restarts", "2"]) == 0, capsys.readouterr().out
