"""The systemd units: systemd's own tools find nothing wrong with them, and hbids understands their command lines."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hbids.cli import sidecar, sniff
from tests.conftest import REPOSITORY, require_tool

if TYPE_CHECKING:
    from pathlib import Path

UNITS = sorted((REPOSITORY / "packaging" / "systemd").iterdir())
PROGRAM = "/opt/hbids/bin/hbids"
MOST_EXPOSURE = 25
"""Of 100, by systemd's own measure; it calls what is below 50 good."""


@pytest.fixture(params=UNITS, ids=lambda path: path.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit, for a program that exists here."""
    installed: Path = tmp_path / request.param.name
    installed.write_text(request.param.read_text().replace(PROGRAM, sys.executable))
    return installed


def test_systemd_finds_no_mistake(unit: Path) -> None:
    command = [require_tool("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_calls_it_well_protected(unit: Path) -> None:
    analyze = require_tool("systemd-analyze")
    command = [analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", str(unit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_hbids_understands_its_command_line(unit: Path) -> None:
    text = unit.read_text().replace("\\\n", "")
    line = re.search(r"^ExecStart=(.*)", text, re.MULTILINE)
    assert line
    _, *arguments = shlex.split(line[1].replace("%i", "eth1").replace("$HBIDS_OPTIONS", "--metrics 9105"))
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for command in (sniff, sidecar):
        command.add_to(commands)
    args = parser.parse_args(arguments)
    assert args.metrics == "9105"
    assert args.state.startswith("/var/lib/hbids/")
    assert [destination.rpartition("/")[0] for destination in args.eve] == ["/var/log/hbids"]
    assert "StateDirectory=hbids\n" in text
    assert "LogsDirectory=hbids\n" in text
