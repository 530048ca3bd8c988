"""EVE lines in a file."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from hbids.eve.writer import EveWriter

if TYPE_CHECKING:
    from pathlib import Path


def test_writes_one_line_an_event_and_replaces_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_text("old\n")
    writer = EveWriter(str(path))
    writer.write({"event_type": "alert", "n": 1})
    assert path.read_text().count("\n") == 1  # visible at once
    writer.write({"event_type": "alert", "n": 2})
    writer.close()
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    EveWriter(str(path)).close()
    assert not stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere") as error:
        EveWriter(str(tmp_path / "nowhere" / "eve.json"))
    assert error.value.filename == str(tmp_path / "nowhere" / "eve.json")
