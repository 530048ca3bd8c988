"""``hbids signatures`` as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.conftest import PCAPS, run_hbids

if TYPE_CHECKING:
    from pathlib import Path

LEAK = PCAPS / "scan_vuln_stafford.pcap"
OWN = """\
signatures:
- sid: 1000001
  rev: 1
  title: "mine, {claimed_length} bytes"
  category: Misc activity
  severity: 3
  match: {table: heartbeats, kind: request}
- {sid: 1016500, enabled: false}
"""


def test_lists_by_default() -> None:
    done = run_hbids("signatures")
    assert done.returncode == 0
    assert done.stdout == run_hbids("signatures", "list").stdout
    assert "1016100  severity 1  HBIDS Heartbleed LEAK by a server: {leaked_bytes} bytes so far" in done.stdout


def test_shows_one() -> None:
    done = run_hbids("signatures", "show", "1016004")
    assert done.returncode == 0
    assert "Client_Endpoint" in done.stdout
    assert "heartbleed.yaml:" in done.stdout


def test_a_sid_that_does_not_exist() -> None:
    done = run_hbids("signatures", "show", "5")
    assert done.returncode == 2
    assert "hbids: no signature has sid 5" in done.stderr


def test_shows_thresholds_with_the_values_in_force_and_their_reason(tmp_path: Path) -> None:
    done = run_hbids("signatures", "show", "1016210")
    assert "threshold             flood_messages: 60\n" in done.stdout
    assert "threshold             flood_window_s: 20\n" in done.stdout
    assert "three a second, where RFC 6520 section 4" in done.stdout
    path = tmp_path / "mine.yaml"
    path.write_text("signatures:\n- {sid: 1016210, thresholds: {flood_window_s: 7.5}, enabled: false}\n")
    done = run_hbids("signatures", "show", "--signatures", path, "1016210")
    assert "threshold             flood_window_s: 7.5 (default 20)\n" in done.stdout
    assert "enabled               no\n" in done.stdout


def test_checks_its_own_and_those_of_a_user(tmp_path: Path) -> None:
    assert run_hbids("signatures", "check").returncode == 0
    path = tmp_path / "mine.yaml"
    path.write_text("signatures:\n- {sid: 7, rev: 1, title: x, category: y}\n- {sid: 1000001}\n")
    done = run_hbids("signatures", "check", path)
    assert done.returncode == 2
    assert f"hbids: {path}:2: a signature without match, severity" in done.stderr
    assert f"hbids: {path}:2: 7 is no sid of a site: use 1000000 to 1999999" in done.stderr
    assert f"hbids: {path}:3: a signature without category, match, rev, severity, title" in done.stderr
    path.write_text(OWN)
    done = run_hbids("signatures", "check", tmp_path)
    assert (done.returncode, done.stdout) == (0, "2 signatures in 1 file: no mistakes\n")


def test_lists_and_shows_those_of_a_user_among_ours(tmp_path: Path) -> None:
    config = tmp_path / "hbids.yaml"
    config.write_text("signatures: [mine.yaml]\n")
    (tmp_path / "mine.yaml").write_text(OWN)
    listed = run_hbids("signatures", "list", "--config", config).stdout
    assert "1000001  severity 3  mine, {claimed_length} bytes\n" in listed
    assert "1016500  severity 4  HBIDS server accepts the TLS heartbeat extension  (disabled)\n" in listed
    shown = run_hbids("signatures", "show", "1000001", "--config", config).stdout
    assert "matches               heartbeats by kind\n" in shown
    assert "mine.yaml:2\n" in shown


def test_a_replay_tells_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    done = run_hbids("replay", LEAK, "--signatures", path, "--eve", "-")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    mine = [event["alert"] for event in events if event["alert"]["signature_id"] == 1000001]
    assert [alert["signature"] for alert in mine] == ["mine, 16384 bytes"] * 2  # the first, and the total
    assert all(event["alert"]["signature_id"] != 1016500 for event in events)
    assert "Also      alerts of signatures of yours: 2 of 1000001" in done.stderr
    assert "10.66.0.10:443 LEAKED" in done.stderr


def test_nothing_begins_while_there_are_mistakes(tmp_path: Path) -> None:
    one, other, eve = tmp_path / "one.yaml", tmp_path / "other.yaml", tmp_path / "eve.json"
    one.write_text(OWN.replace("kind", "kint"))
    other.write_text("signatures: [\n")
    done = run_hbids("replay", LEAK, "--signatures", one, "--signatures", other, "--eve", eve)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"hbids: {one}:7: heartbeats have no column 'kint': did you mean 'kind'?"
    assert f"hbids: {other}:2: not YAML" in done.stderr
    assert not eve.exists()
    assert done.stdout == ""
