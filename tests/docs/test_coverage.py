"""docs/coverage.md is what the cases say."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.coverage.casebook import Group
from tests.coverage.groups import GROUPS
from tools.coverage_page import coverage_page
from tools.generate_docs import COVERAGE_PAGE


def test_the_page_is_fresh() -> None:
    assert COVERAGE_PAGE.read_text() == coverage_page(), "docs/coverage.md is stale: run `make docs` and commit it"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title)
def test_no_row_stands_twice(group: Group) -> None:
    items = Counter(case.item for case in group.cases)
    assert [item for item, times in items.items() if times > 1] == []
