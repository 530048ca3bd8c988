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


def summary_of(*endpoints: dict[str, Any], **changes: Any) -> dict[str, Any]:
    totals = {
        name: sum(endpoint[name] for endpoint in endpoints) for name in ("leaked_bytes", "leaked_bytes_estimated")
    }
    return {
        "engine": "native",
        "sources": ["scan.pcap"],
        "packets": 1234,
        "bytes": 345678,
        "flows": 12,
        "tls_sessions": 3,
        "dtls_sessions": 0,
        "heartbeats": {"requests": 2, "responses": 2, "sealed": 0, "overread_requests": 2, "malformed": 0},
        "endpoints": list(endpoints),
        "alerts": {},
        "drops": {},
        **totals,
        **changes,
    }


def endpoint(**changes: Any) -> dict[str, Any]:
    given = {
        "ip": "10.66.0.10",
        "port": 443,
        "role": "server",
        "protocol": "tcp",
        "transport": "tls",
        "carrier": None,
        "verdict": "leaked",
        "heartbeat_requests": 2,
        "overread_requests": 2,
        "sealed_requests": 0,
        "leaking_answers": 2,
        "leaked_bytes": 32736,
        "leaked_bytes_estimated": 0,
        "first_seen": "2026-11-23T19:10:02.123456Z",
        "last_seen": "2026-11-23T19:10:05.500000Z",
        "sources": ["10.66.9.66"],
        "tools": ["nmap ssl-heartbleed"],
        "authorized_scanners": {"sources": [], "leaking_answers": 0, "leaked_bytes": 0, "leaked_bytes_estimated": 0},
        "tool_classes": {"checker": ["nmap ssl-heartbleed"]},
        "accepts_heartbeat_extension": True,
        "exposure": {"exposed_from": None, "exposed_until": None},
    }
    return given | changes


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
