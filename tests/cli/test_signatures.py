"""``hbids signatures`` as a user runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import run_hbids

if TYPE_CHECKING:
    from pathlib import Path


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


def test_checks_its_own_and_those_of_a_user(tmp_path: Path) -> None:
    assert run_hbids("signatures", "check").returncode == 0
    path = tmp_path / "mine.yaml"
    path.write_text("signatures:\n- {sid: 7, rev: 1, title: x, category: y}\n- {sid: 7}\n")
    done = run_hbids("signatures", "check", path)
    assert done.returncode == 2
    assert f"hbids: {path}:2: a signature without severity" in done.stderr
    assert f"hbids: {path}:3: a signature without category, rev, severity, title" in done.stderr
