"""docs/counters.md explains every counter there is, and no other."""

from __future__ import annotations

import inspect
import re

import pytest

from hbids.cli.service import Service
from hbids.config import Limits
from hbids.decode.engine import native_available
from hbids.pipeline import Analysis, live
from hbids.pipeline.losses import LIVE_DROPS
from hbids.pipeline.sidecar import Sidecar
from tests.conftest import REPOSITORY, missing

PAGE = (REPOSITORY / "docs" / "counters.md").read_text()
DOCUMENTED = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
TOTALS = {"packets", "bytes", "flows"}
REFERENCE = REPOSITORY / "hbids" / "decode" / "reference"


def counters_of_the_reference() -> set[str]:
    """Names it counts by, and names that parsing a frame gives back instead of a segment."""
    named = {name for path in REFERENCE.glob("*.py") for name in re.findall(r'counters\["(\w+)"\]', path.read_text())}
    return named | {
        name
        for module in ("frame", "link", "network", "transport", "tunnel", "eapol")
        for name in re.findall(r'return .*?"(\w+)"', (REFERENCE / f"{module}.py").read_text())
    }


def counters_of_the_native_engine() -> set[str]:
    if not native_available():
        missing("the native engine")
    from hbids import _native

    return {name for name, _ in _native.Engine(Limits()).counters()}


def counters_behind_the_facts() -> set[str]:
    return set(re.findall(r'"(\w+)":', inspect.getsource(Analysis.drops)))


def counters_of_events() -> set[str]:
    sources = [path.read_text() for path in (REPOSITORY / "hbids" / "eve").glob("*.py")]
    sources.append(inspect.getsource(Sidecar))
    return {name for source in sources for name in re.findall(r"\b((?:eve|suricata)_[a-z_]+)\b(?=\"[]:]|=)", source)}


def counters_of_live_interfaces() -> set[str]:
    [own] = re.findall(r"for name in \((.*)\):\n +if count := sum\(getattr", inspect.getsource(live))
    return {*LIVE_DROPS, *re.findall(r"\w+", own)}


def counters_of_sinks() -> set[str]:
    return set(re.findall(r'\["drops"\]\["(\w+)"\]', inspect.getsource(Service)))


@pytest.mark.parametrize(
    "counters",
    [
        counters_of_the_reference,
        counters_of_the_native_engine,
        counters_behind_the_facts,
        counters_of_events,
        counters_of_live_interfaces,
        counters_of_sinks,
    ],
)
def test_every_counter_is_explained(counters: object) -> None:
    assert callable(counters)
    names = counters()
    assert names
    assert names - TOTALS - DOCUMENTED == set()


def test_no_counter_is_explained_that_does_not_exist() -> None:
    existing = counters_of_the_reference() | counters_of_the_native_engine() | counters_behind_the_facts()
    existing |= counters_of_events() | counters_of_live_interfaces() | counters_of_sinks()
    assert DOCUMENTED - existing == set()


def test_both_engines_count_alike() -> None:
    assert counters_of_the_native_engine() - counters_of_the_reference() == {"chunk_panics"}
    assert counters_of_the_reference() - counters_of_the_native_engine() == set()


@pytest.mark.parametrize("total", sorted(TOTALS))
def test_totals_are_explained_in_the_text(total: str) -> None:
    assert f"`{total}`" in PAGE
