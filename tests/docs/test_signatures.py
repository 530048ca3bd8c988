"""docs/signatures.md: its examples work, and it names every column there is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from hbids.columns import TABLES
from hbids.user_signatures import load
from tests.conftest import PCAPS, REPOSITORY, run_hbids

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (REPOSITORY / "docs" / "signatures.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COLUMNS = PAGE.partition("\n## Columns\n")[2].partition("\n## ")[0]
CONTENT_TYPES = {"change_cipher_spec", "alert", "handshake", "data", "heartbeat"}
BY_TYPE = re.compile(r"(change_cipher_spec|alert|handshake|data|heartbeat)_record(s|_bytes)_to_(server|client)")


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads(tmp_path: Path, example: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    assert load([path]).signatures


def test_the_example_fires_on_the_capture_it_names(tmp_path: Path) -> None:
    (example,) = (each for each in EXAMPLES if "within_s" in each)
    (command,) = re.findall(r"^    \$ (hbids replay --signatures mine\.yaml .*)$", PAGE, re.MULTILINE)
    path, eve = tmp_path / "mine.yaml", tmp_path / "alerts.json"
    path.write_text(example)
    capture = PCAPS / command.split()[-1].removeprefix("pcaps/")
    assert run_hbids("replay", "--signatures", path, "--eve", eve, capture).returncode == 0
    fired = {json.loads(line)["alert"]["signature_id"] for line in eve.read_text().splitlines()}
    assert fired & {1000001, 1000002} == {1000002}


def test_every_column_is_named_and_no_other() -> None:
    columns = {name for table in TABLES.values() for name in table}
    values = {word for table in TABLES.values() for column in table.values() for word in column.words}
    named = set(re.findall(r"`(\w+)`", COLUMNS))
    assert {name for name in columns if not BY_TYPE.fullmatch(name)} <= named
    assert named - columns - values - TABLES.keys() <= CONTENT_TYPES
