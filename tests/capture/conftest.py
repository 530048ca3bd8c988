"""Every test here runs on both splitters, and shows that it ran on the one it names."""

from __future__ import annotations

import pytest

from hbids.capture.splitter import PythonSplitter, open_splitter


@pytest.fixture
def native(engine_name: str) -> bool:
    """Whether this run of the test is on the native splitter."""
    is_native = engine_name == "native"
    assert isinstance(open_splitter(native=is_native), PythonSplitter) != is_native
    return is_native
