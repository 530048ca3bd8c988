"""docs/facts.md describes every column of the three tables, with its type, and no other."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pytest

from hbids.facts import FLOW_DTYPE, HEARTBEAT_DTYPE, SESSION_DTYPE
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "facts.md").read_text()
SHARED = "Columns of all three tables"


class Column(NamedTuple):
    """A row of a table of the page."""

    name: str
    type: str
    unit: str
    absent: str


def described(section: str) -> list[Column]:
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [
        Column(*cells) for cells in re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    ]


def type_text(dtype: np.dtype[np.generic]) -> str:
    if dtype.kind == "S":
        return f"text {dtype.itemsize}"
    return dtype.base.name + "".join(f"[{length}]" for length in dtype.shape)


@pytest.mark.parametrize(
    ("section", "dtype"), [("heartbeats", HEARTBEAT_DTYPE), ("sessions", SESSION_DTYPE), ("flows", FLOW_DTYPE)]
)
def test_every_column_is_described_in_order(section: str, dtype: np.dtype[np.void]) -> None:
    shared = {column.name for column in described(SHARED)}
    names = dtype.names or ()
    assert shared <= set(names)
    assert [column.name for column in described(section)] == [name for name in names if name not in shared]
    columns = [*described(SHARED), *described(section)]
    assert {column.name: column.type for column in columns} == {name: type_text(dtype[name]) for name in names}
    assert all(column.unit.strip() and column.absent.strip() for column in columns)
