"""The logrotate file, run by logrotate itself."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from tests.conftest import REPOSITORY, require_tool
from tests.support.outboxes import line, open_sink

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = REPOSITORY / "packaging" / "logrotate" / "hbids"


def test_rotates_without_losing_a_line_even_when_nobody_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # logrotate refuses folders that others may write to
    text = CONFIGURATION.read_text().replace("/var/log/hbids", str(tmp_path))
    who = f"su {os.geteuid()} {os.getegid()}" if os.geteuid() else "su root root"
    configuration = tmp_path / "hbids.conf"
    configuration.write_text(text.replace("su hbids hbids", who))
    sink = open_sink(str(tmp_path / "eve-eth1.json"))
    for number in range(4):
        sink.write([line(number)])
        command = [require_tool("logrotate"), "--force", "--state", str(tmp_path / "state"), str(configuration)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    sink.write([line(4)])
    names = sorted(path.name for path in tmp_path.glob("eve-*"))
    assert names == ["eve-eth1.json", *(f"eve-eth1.json.{age}" for age in ("1", "2.gz", "3.gz", "4.gz"))]
    found = []
    for path in tmp_path.glob("eve-*"):
        unpacked = subprocess.run(["gzip", "-dcf", str(path)], check=True, capture_output=True).stdout
        found += [json.loads(text)["n"] for text in unpacked.splitlines()]
    assert sorted(found) == [0, 1, 2, 3, 4]
