"""What signatures/suricata holds is what Suricata takes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from hbids.eve.suricata_yaml import check
from tests.conftest import require_tool, run_hbids
from tests.support.suricata import CONFIGURATION, FRAGMENT, RULES, SIZES, suricata

SIDS = [int(sid) for sid in re.findall(r"sid:(\d+);", RULES.read_text())]


@pytest.mark.parametrize("fragment", [FRAGMENT, SIZES, None])
def test_suricata_takes_it_without_a_warning(fragment: Path | None, tmp_path: Path) -> None:
    said = suricata("-T", "-l", tmp_path, fragment=fragment)
    assert [line for line in said.splitlines() if line.startswith(("W:", "E:", "Warning", "Error"))] == []


def test_sids_are_of_the_range_that_is_theirs() -> None:
    assert len(set(SIDS)) == len(SIDS) > 0
    assert all(1016900 <= sid <= 1016999 for sid in SIDS)


def test_no_rule_can_flood() -> None:
    rules = [line for line in RULES.read_text().splitlines() if line.startswith("alert")]
    assert [rule for rule in rules if "threshold:type limit" not in rule] == []


STOCK = """%YAML 1.1
---
outputs:
  - eve-log:
      enabled: yes
      community-id: false
      types:
        - alert:
            tagged-packets: yes
        - tls:
            extended: yes
        - flow
rule-files:
  - suricata.rules
"""


def test_what_a_stock_configuration_lacks_is_told_with_the_lines_to_add(tmp_path: Path) -> None:
    (tmp_path / "suricata.yaml").write_text(STOCK)
    done = run_hbids("sidecar", "--check", tmp_path / "suricata.yaml")
    assert done.returncode == 1
    for lack in ("payload", "packet", "rules of hbids", "stats", "community-id", "ja3-fingerprints"):
        assert lack in done.stdout
    assert "            payload: yes\n" in done.stdout
    assert str(RULES.name) in done.stdout


def test_the_shipped_content_lacks_nothing(tmp_path: Path) -> None:
    settings = STOCK.replace("suricata.rules", str(RULES)) + f"include: {FRAGMENT}\n"
    (tmp_path / "suricata.yaml").write_text(settings)
    done = run_hbids("sidecar", "--check", tmp_path / "suricata.yaml")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("types", "more", "lacks"),
    [
        (["alert", "flow", "anomaly"], "", {"eve-frame", "eve-alert"}),
        (["alert", "netflow", "anomaly", "frame"], "", {"eve-frame", "eve-alert"}),
        (["alert", "netflow", "anomaly", "frame"], "stream:\n  inline: yes\n", {"eve-alert"}),
        (["alert: {payload: yes, packet: yes}", "anomaly", "stats"], "", {"eve-alert", "eve-flow"}),
        (["alert", "flow", "frame", "stats"], "stream.inline: yes\n", {"eve-alert", "blind spots"}),
        (["alert", "flow", "frame", "stats", "anomaly: {types: {applayer: no}}"], "", {"eve-frame", "blind spots"}),
    ],
)
def test_what_is_missing_is_told_for_each_evidence(
    types: list[str], more: str, lacks: set[str], tmp_path: Path
) -> None:
    items = "".join(f"        - {name}\n" for name in types)
    settings = f"outputs:\n  - eve-log:\n      enabled: yes\n      types:\n{items}{more}"
    (tmp_path / "suricata.yaml").write_text(settings)
    told = {lack.evidence for lack in check(tmp_path / "suricata.yaml")}
    stats = {"blind spots"} if "stats" not in types else set()
    assert told - {"exposure", "joining"} == lacks | stats | {"eve-alert"}


def test_what_is_printed_to_start_suricata_with_works_from_anywhere(tmp_path: Path) -> None:
    require_tool("suricata")
    done = run_hbids("sidecar", "--check", CONFIGURATION)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("Or start Suricata")]
    options = shlex.split(line.partition(": ")[2])
    command = ["suricata", "-T", "-c", str(CONFIGURATION), "-l", str(tmp_path), *options]
    assert subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


def test_settings_that_log_sizes_alone_lack_packets_and_nothing_else(tmp_path: Path) -> None:
    settings = STOCK.replace("suricata.rules", str(RULES)) + f"include: {SIZES}\n"
    (tmp_path / "suricata.yaml").write_text(settings)
    assert {lack.evidence for lack in check(tmp_path / "suricata.yaml")} == {"eve-alert"}


@pytest.mark.parametrize(
    ("text", "told"),
    [("outputs: [", "not YAML"), ("outputs:\n  - fast: {}\n", "no eve-log is enabled"), ("", "no eve-log")],
)
def test_what_is_no_configuration_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "suricata.yaml").write_text(text)
    done = run_hbids("sidecar", "--check", tmp_path / "suricata.yaml")
    assert done.returncode in (1, 2)
    assert told in done.stdout + done.stderr


def test_the_configuration_of_this_machine_can_be_read() -> None:
    require_tool("suricata")
    done = run_hbids("sidecar", "--check", CONFIGURATION)
    assert (done.returncode, done.stderr) == (1, "")


def test_lines_to_add_are_yaml(tmp_path: Path) -> None:
    (tmp_path / "suricata.yaml").write_text(STOCK)
    assert all(isinstance(yaml.safe_load(lack.add), dict) for lack in check(tmp_path / "suricata.yaml"))
