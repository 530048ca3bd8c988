"""Every shipped capture has its provenance, and is the file its provenance speaks of."""

from __future__ import annotations

import hashlib

import pytest

from tests.conftest import PCAPS
from tests.repository.manifest import CAPTURES


def test_every_capture_has_an_entry_and_every_entry_its_capture() -> None:
    files = {path.name for path in PCAPS.iterdir()} - {"MANIFEST.yaml"}
    assert files == set(CAPTURES)


@pytest.mark.parametrize("name", CAPTURES)
def test_entry_speaks_of_this_very_file(name: str) -> None:
    assert CAPTURES[name]["sha256"] == hashlib.sha256((PCAPS / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", CAPTURES)
def test_entry_says_how_the_capture_was_made_and_what_it_shows(name: str) -> None:
    assert CAPTURES[name]["made"]
    assert CAPTURES[name]["shows"]
