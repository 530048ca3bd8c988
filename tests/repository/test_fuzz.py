"""The fuzz targets read rows where hbids/facts.py says their columns are."""

from __future__ import annotations

import re

import pytest

from hbids.facts import FLOW_DTYPE, HEARTBEAT_DTYPE, SESSION_DTYPE, EndReason
from tests.conftest import REPOSITORY

ROWS = (REPOSITORY / "rust" / "fuzz" / "src" / "rows.rs").read_text()
TABLES = {"HEARTBEAT": HEARTBEAT_DTYPE, "SESSION": SESSION_DTYPE, "FLOW": FLOW_DTYPE}
PLACES = re.findall(r"const (HEARTBEAT|SESSION|FLOW)_(\w+): usize = (\d+);", ROWS)


@pytest.mark.parametrize(("table", "name", "place"), PLACES)
def test_columns_stand_where_facts_say(table: str, name: str, place: str) -> None:
    dtype = TABLES[table]
    assert dtype.fields is not None
    assert int(place) == (dtype.itemsize if name == "BYTES" else dtype.fields[name.lower()][1])


def test_every_table_is_looked_at() -> None:
    assert {table for table, *_ in PLACES} == set(TABLES)


def test_the_checkpoint_is_known_by_its_number() -> None:
    assert f"const CHECKPOINT: u8 = {EndReason.CHECKPOINT.value};" in ROWS


def test_every_target_is_run() -> None:
    targets = {path.stem for path in (REPOSITORY / "rust" / "fuzz" / "fuzz_targets").glob("*.rs")}
    (listed,) = re.findall(r"^targets=\((.*)\)$", (REPOSITORY / "tools" / "fuzz.sh").read_text(), re.MULTILINE)
    assert set(listed.split()) == targets
