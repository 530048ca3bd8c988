"""Captures and pages for tests of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.cli.report import Evidence, page
from hbids.config import Report
from tests.conftest import run_hbids
from tests.support import tls
from tests.support.conversation import Conversation, frames_of, write_pcap
from tests.support.markup import Page

if TYPE_CHECKING:
    from pathlib import Path

    from hbids.stats.history import History

MADE = "Made 2026-11-24 12:00 UTC by hbids"


def page_of(capture: Path, tmp_path: Path, *options: str | Path) -> Page:
    """What the program writes about a capture."""
    path = tmp_path / "report.html"
    done = run_hbids("replay", capture, "--report", path, *options)
    assert done.returncode == 0, done.stderr
    return Page.read(path.read_text(encoding="utf-8"))


def drawn(summary: dict[str, Any], history: History | None = None, bounds: Report | None = None) -> Page:
    """The page of a summary alone."""
    return Page.read(page(summary, history, Evidence(10), bounds or Report(), MADE))


def leak_of(path: Path, name: bytes, *, times: int = 2) -> Path:
    """A capture of a server that clients call by this name, and that leaks a few times."""
    hello = tls.client_hello_body(extensions=(tls.heartbeat_extension(), tls.server_name(name)))
    conversation = Conversation().connect().say_hello(client=hello)
    for _ in range(times):
        conversation.client(tls.request(0x4000))
        for record in tls.answer(0x4000):
            conversation.server(record)
        conversation.wait(2)
    return write_pcap(path, frames_of(conversation))
