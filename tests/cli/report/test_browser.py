"""The page in a real browser: what it shows, and that nothing in it runs, loads or goes wrong."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.cli.report.captures import leak_of, page_of
from tests.conftest import PCAPS, require_tool
from tests.support.markup import Page

if TYPE_CHECKING:
    from pathlib import Path

LEAK = PCAPS / "scan_vuln_stafford.pcap"
QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""A browser that finds nobody to call home to."""


class Browser:
    """Chromium, anew for each page."""

    def __init__(self, folder: Path) -> None:
        self._program = require_tool("chromium")
        self._folder = folder

    def open(self, page: Path, *options: str) -> tuple[str, str]:
        """What it prints, and what it logs."""
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        done = subprocess.run(
            [
                self._program,
                *QUIET,
                *root,
                f"--user-data-dir={self._folder / 'profile'}",
                "--enable-logging=stderr",
                *options,
                f"file://{quote(str(page))}",
            ],
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(), done.stderr.decode()

    def document(self, page: Path) -> tuple[Page, list[str]]:
        """The page as the browser understood it, and what stands on its console."""
        source, log = self.open(page, "--dump-dom")
        return Page.read(source), [line for line in log.splitlines() if "CONSOLE" in line]

    def picture(self, page: Path, width: int, height: int, *options: str) -> bytes:
        """A PNG."""
        path = self._folder / "page.png"
        self.open(page, f"--screenshot={path}", f"--window-size={width},{height}", *options)
        return path.read_bytes()

    def requests(self, page: Path) -> set[str]:
        """What a page, and not the browser itself, asks the network for."""
        log = self._folder / "net.json"
        self.open(page, "--dump-dom", f"--log-net-log={log}")
        asked = (event.get("params", {}) for event in json.loads(log.read_text())["events"])
        return {params["url"] for params in asked if params.get("initiator", "not an origin") != "not an origin"}


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


def test_a_browser_sees_the_page_as_it_was_written(browser: Browser, tmp_path: Path) -> None:
    written = page_of(LEAK, tmp_path)
    seen, console = browser.document(tmp_path / "report.html")
    assert console == []
    assert seen.root.all("h1")[0].text == "10.66.0.10:443 LEAKED 32,736 bytes of its memory to 1 source."
    assert seen.root.all("body")[0].text == written.root.all("body")[0].text


@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_can_be_looked_at(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    page_of(LEAK, tmp_path)
    picture = browser.picture(tmp_path / "report.html", width, 1_000, f"--blink-settings=preferredColorScheme={scheme}")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (width, 1_000)
    assert len(picture) > 20_000, "a blank page takes less"


def test_nothing_hostile_runs_or_loads(browser: Browser, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        hostile = f"<script src={url}></script><img src={url} onerror=document.title='owned'><style>@import '{url}'"
        page_of(leak_of(tmp_path / "<script>alert(1)<x>.pcap", hostile.encode()), tmp_path)
        seen, console = browser.document(tmp_path / "report.html")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert console == []
    assert seen.root.all("script") + seen.root.all("img") == []
    assert seen.root.all("title")[0].text.startswith("Heartbleed report:")
    assert hostile in seen.root.text


def test_the_policy_would_stop_what_slipped_through(browser: Browser, tmp_path: Path) -> None:
    """The second line of defence, tried on a page with a hole cut into it."""
    page_of(LEAK, tmp_path)
    page = tmp_path / "report.html"
    hole = "<script>document.title='owned'</script><p style='color:red'>x</p>"
    page.write_text(page.read_text().replace("<h1>", f"{hole}<h1>", 1))
    seen, console = browser.document(page)
    assert seen.root.all("title")[0].text.startswith("Heartbleed report:")
    assert sum("Content Security Policy" in line for line in console) == 2


def test_it_asks_the_network_for_nothing(browser: Browser, tmp_path: Path) -> None:
    page_of(LEAK, tmp_path)
    other = tmp_path / "other.html"
    other.write_text("<!DOCTYPE html><img src='http://127.0.0.1:9/x'>")
    assert browser.requests(other) == {"http://127.0.0.1:9/x"}
    assert browser.requests(tmp_path / "report.html") == set()


def test_it_prints(browser: Browser, tmp_path: Path) -> None:
    page_of(LEAK, tmp_path)
    path = tmp_path / "page.pdf"
    browser.open(tmp_path / "report.html", f"--print-to-pdf={path}", "--no-pdf-header-footer")
    assert path.read_bytes()[:5] == b"%PDF-"
