"""The dashboard asks only for metrics that exist, by labels they have; docs/operations.md describes every metric."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import hbids
from hbids.cli.metrics import families
from hbids.eve.sinks.outbox import OutboxCounts
from tests.conftest import PCAPS, REPOSITORY

DASHBOARD: dict[str, Any] = json.loads((REPOSITORY / "packaging" / "grafana" / "hbids.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
OF_EVERY_PROCESS = {"process_resident_memory_bytes": set[str](), "process_cpu_seconds_total": set[str]()}
OF_PROMETHEUS = {"instance"}


def exported() -> dict[str, set[str]]:
    """The labels of every metric, as it is written out."""
    summary = hbids.replay(PCAPS / "scan_vuln_stafford.pcap").summary()
    summary["interfaces"] = {"eth1": {"kernel_packets": 1, "kernel_drops": 1, "kernel_ifdrops": 1}}
    summary["eve"] = {"lines": 1, "bytes": 1, "lag_bytes": 1}
    counts = ("set", "set_again", "refreshed", "removed", "refused", "failures")
    summary["feedback"] = {"works": True, "offenders": [], "held_back": {"home": 1}, **dict.fromkeys(counts, 1)}
    summary["drops"] = {"not_ip": 1}
    sinks = {"-": OutboxCounts(written=1, lost=1, queued=1, reconnects=1, failure="")}
    samples = [sample for family in families(summary, sinks, {"done": 1}) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_finds_what_it_asks_for(title: str, query: str) -> None:
    known = exported() | OF_EVERY_PROCESS
    asked = re.findall(r"\b((?:hbids|process)_\w+)(?:\{([^}]*)\})?", query)
    assert asked, title
    for metric, conditions in asked:
        assert metric in known
        assert set(re.findall(r"(\w+)=", conditions)) <= known[metric] | OF_PROMETHEUS


def test_counters_of_interfaces_are_called_so() -> None:
    """Names that `hbids sniff` gives them; tests/cli/test_service.py has the program itself."""
    asked = {
        name for _, query in QUERIES for found in re.findall(r'counter=~"([^"]*)"', query) for name in found.split("|")
    }
    assert asked <= {"kernel_packets", "kernel_drops", "kernel_ifdrops"}


def test_every_metric_is_described() -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    described = set(re.findall(r"^\| `(hbids_\w+)", page, re.MULTILINE))
    assert described == set(exported())
