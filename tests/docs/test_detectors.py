"""docs/detectors.md is what the docstrings and the signatures say, and leaves none out."""

from __future__ import annotations

import inspect
import pkgutil
from types import ModuleType

import pytest

import hbids.detect
from hbids.signatures import SENSOR_SIDS, shipped
from tools.generate_docs import PAGE, detector_modules, detectors_page, sids_of

NO_DETECTORS = {"common", "discipline", "story", "user"}


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == detectors_page(), "docs/detectors.md is stale: run `make docs` and commit it"


def test_every_detector_has_a_chapter() -> None:
    files = {module.name for module in pkgutil.iter_modules(hbids.detect.__path__)} - NO_DETECTORS
    assert {module.__name__.rpartition(".")[2] for module in detector_modules()} == files


@pytest.mark.parametrize("module", detector_modules(), ids=lambda module: module.__name__)
def test_a_docstring_says_what_a_page_must_say(module: ModuleType) -> None:
    headings = [line for line in inspect.cleandoc(module.__doc__ or "").splitlines()[1:] if line[:1].strip()]
    assert headings == ["What it sees", "Why it matters", "Evidence", "Limits"]


def test_every_signature_is_some_detectors() -> None:
    assert {sid for module in detector_modules() for sid in sids_of(module)} == set(shipped()) - set(SENSOR_SIDS)
