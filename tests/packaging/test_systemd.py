"""The systemd unit: systemd's own tools find nothing wrong with it, and hbids understands its command line."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from hbids.cli import sniff
from tests.conftest import REPOSITORY, require_tool

if TYPE_CHECKING:
    from pathlib import Path

UNIT = REPOSITORY / "packaging" / "systemd" / "hbids-sniff@.service"
PROGRAM = "/opt/hbids/bin/hbids"


def installed(tmp_path: Path) -> Path:
    """The unit, for a program that exists here."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    return unit


def test_systemd_finds_no_mistake(tmp_path: Path) -> None:
    command = [require_tool("systemd-analyze"), "verify", "--man=no", str(installed(tmp_path))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_calls_it_well_protected(tmp_path: Path) -> None:
    command = [
        require_tool("systemd-analyze"),
        "security",
        "--offline=true",
        "--threshold=25",
        str(installed(tmp_path)),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_hbids_understands_its_command_line() -> None:
    line = re.search(r"^ExecStart=(.*)", UNIT.read_text(), re.MULTILINE)
    assert line
    program, *arguments = shlex.split(line[1].replace("%i", "eth1").replace("$HBIDS_OPTIONS", "--metrics 9105"))
    assert program == PROGRAM
    parser = argparse.ArgumentParser()
    sniff.add_to(parser.add_subparsers())
    args = parser.parse_args(arguments)
    assert (args.interfaces, args.eve, args.metrics) == (["eth1"], ["/var/log/hbids/eve-eth1.json"], "9105")
