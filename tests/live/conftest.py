"""What the tests of live capture share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hbids.decode.engine import native_available
from tests.conftest import missing
from tests.support.wire import Wire, open_wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    if not native_available():
        missing("the native engine; install Rust 1.85 or newer, then `make clean test`")
    with open_wire() as wire:
        yield wire
