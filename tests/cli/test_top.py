"""`--top`: the picture at 80 by 24, and the line a minute without a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import pytest
from rich.console import Console

import hbids
from hbids.cli.top import Top, picture
from hbids.cli.view import View, sentence
from hbids.config import Output
from hbids.eve.event import alert
from hbids.eve.sinks.outbox import OutboxCounts
from hbids.signatures import shipped
from tests.conftest import PCAPS
from tests.support.wire import eventually

if TYPE_CHECKING:
    from pathlib import Path

FINE = OutboxCounts(written=12, lost=0, queued=0, reconnects=0, failure="")
FAILING = OutboxCounts(written=3, lost=5, queued=12, reconnects=1, failure="Connection refused")


@pytest.fixture(scope="module")
def result() -> hbids.Result:
    return hbids.replay(*sorted(PCAPS.glob("scan_*.pcap")))


@pytest.fixture
def view(result: hbids.Result) -> View:
    """A second in which 8,000 packets of 1,000 bytes came, and 5 flows were given up."""
    summary = {**result.summary(), "sources": ["eth1"]}
    before = {**summary, "packets": summary["packets"] - 8_000, "bytes": summary["bytes"] - 8_000_000}
    summary["drops"] = {"flows_evicted": 5, "not_ip": 7}
    return View(summary, {"eve.json": FINE, "redis://q/hbids": FAILING}, 100_000.0, View(before, {}, 99_999.0))


def drawn(view: View, alerts: list[dict[str, Any]], messages: list[str], width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, record=True)
    console.print(picture(view, alerts, messages, width, height))
    return console.export_text().splitlines()


def events(result: hbids.Result) -> list[dict[str, Any]]:
    return [alert(finding, shipped()[finding.sid], Output()) for finding in reversed(result.findings)]


def test_fits_a_terminal_of_80_by_24(view: View, result: hbids.Result) -> None:
    lines = drawn(view, events(result), ["eve.json: written again"], 80, 24)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert lines[0].split() == ["hbids", "eth1", view.summary["engine"], "engine", "up", "1", "d", "03:46:40"]
    assert "8,000 packets/s   64.0 Mbit/s" in text
    assert "Not seen   flows_evicted 5/s\n" in text  # and not what is harmless
    assert "0 harvested   1 leaked" in text
    assert "10.66.0.10:443               leaked" in text
    assert "10.66.9.66 > 10.66.0.10  " in text
    assert "redis://q/hbids   3 written   12 wait   5 LOST   Connection refused" in text
    assert lines[-1] == "eve.json: written again"


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 15), (200, 60)])
def test_takes_what_room_there_is(view: View, result: hbids.Result, width: int, height: int) -> None:
    lines = drawn(view, events(result), [], width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_an_alert_cannot_control_the_terminal(view: View, result: hbids.Result) -> None:
    event = events(result)[0]
    event["alert"]["signature"] = "named \x1b[2J\x07by an attacker"
    assert "named [2Jby an attacker" in "\n".join(drawn(view, [event], [], 80, 24))


def test_the_beginning_has_nothing_to_show() -> None:
    nothing = hbids.replay(PCAPS / "benign_rawtcp_lookalike_18_03.pcap").summary()
    lines = drawn(View(nothing, {}, 0.0), [], [], 80, 24)
    assert " none above clear" in lines
    assert " none" in lines


def test_a_moment_in_a_line(view: View) -> None:
    line = sentence(view)
    assert line.startswith("8,000 packets/s; 64.0 Mbit/s; ")
    assert "not seen: flows_evicted 5/s" in line
    assert "failing: redis://q/hbids (Connection refused)" in line


def test_without_a_terminal_a_line_a_minute(view: View, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    stream: IO[str]
    with path.open("w") as stream, Top(stream) as top:
        assert not top.covers_terminal
        for second in range(200):
            top.update(replace(view, running_s=float(second)))
            eventually(lambda: top._view is None, "it is taken")  # noqa: SLF001
    lines = path.read_text().splitlines()
    assert [line[:7] for line in lines] == ["hbids: "] * 3
