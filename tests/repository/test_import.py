"""`import hbids` is light, and shows exactly what it promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hbids
from tests.conftest import REPOSITORY

HEAVY = ("dpkt", "orjson", "prometheus_client", "pyarrow", "pyshark", "redis", "rich", "scapy", "yaml", "zstandard")


@pytest.fixture(scope="module")
def modules_after_import() -> set[str]:
    """The modules a fresh interpreter holds after ``import hbids``."""
    program = "import hbids, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_import_leaves_heavy_libraries_alone(module: str, modules_after_import: set[str]) -> None:
    assert module not in modules_after_import


def test_what_is_visible_is_what_is_promised() -> None:
    assert dir(hbids) == sorted(hbids.__all__)


@pytest.mark.parametrize("name", hbids.__all__)
def test_what_is_promised_is_there(name: str) -> None:
    assert getattr(hbids, name) is not None


def test_a_wrong_name_is_told() -> None:
    with pytest.raises(AttributeError, match="no attribute 'replya'"):
        _ = hbids.replya
