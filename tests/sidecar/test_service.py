"""A sidecar is a service as a sensor is: sinks, rotation, reload, numbers. tests/cli/test_service.py tries them all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PCAPS, REPOSITORY, run_hbids
from tests.support.suricata import eve_of
from tests.support.wire import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAK = "scan_vuln_stafford.pcap"
OTHER_LEAK = "ipv6_scan_vuln_nmap.pcap"
TOOL_SID = 1016600


@contextmanager
def sidecar(folder: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`hbids sidecar` at the eve.json of a folder, ready."""
    command = [sys.executable, "-m", "hbids", "sidecar", "eve.json", *map(str, arguments)]
    environment, pipe = {**os.environ, "PYTHONPATH": str(REPOSITORY)}, subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            assert process.stderr
            assert process.stderr.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def log(folder: Path, capture: str) -> None:
    """Let Suricata write what it sees in a capture."""
    with (folder / "eve.json").open("ab") as stream:
        stream.write(eve_of(PCAPS / capture).read_bytes())


def sids(path: Path) -> list[int]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["alert"]["signature_id"] for line in lines]


def test_alerts_go_to_every_sink_and_numbers_to_who_asks(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        listener.settimeout(30)
        destinations = ("--eve", "alerts.json", "--eve", f"unix:{tmp_path}/sock")
        with sidecar(tmp_path, *destinations, "--metrics", str(port), "--summary", "summary.json") as process:
            log(tmp_path, LEAK)
            lines = (tmp_path / "eve.json").read_bytes().count(b"\n")

            def numbers() -> str:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    text: str = answer.read().decode()
                return text

            eventually(lambda: 'hbids_endpoints{verdict="leaked"} 1.0' in numbers(), "the leak is counted")
            eventually(lambda: f"hbids_eve_lines_total {lines}.0" in numbers(), "all lines are read")
            process.terminate()
            process.communicate(timeout=30)
        connection = listener.accept()[0]
        received = connection.makefile().read()
        connection.close()
    assert received == (tmp_path / "alerts.json").read_text()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["sinks"]["alerts.json"]["written"] == len(received.splitlines()) > 3


def test_rotation_and_reload(tmp_path: Path) -> None:
    alerts, signatures = tmp_path / "alerts.json", tmp_path / "mine.yaml"
    signatures.write_text("signatures: []\n")
    with sidecar(tmp_path, "--eve", "alerts.json", "--signatures", "mine.yaml") as process:
        assert process.stderr
        log(tmp_path, LEAK)
        eventually(lambda: TOOL_SID in sids(alerts), "a tool is recognised")
        alerts.rename(tmp_path / "alerts.json.1")
        signatures.write_text(f"signatures:\n- sid: {TOOL_SID}\n  enabled: false\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline() == "hbids: files opened anew, configuration read again\n"
        log(tmp_path, OTHER_LEAK)
        eventually(lambda: 1016100 in sids(alerts), "another leak, in a new file")
        process.terminate()
        process.communicate(timeout=30)
    assert TOOL_SID not in sids(alerts)


@pytest.mark.parametrize("option", [("--top",), ("--metrics", "0")])
def test_what_reads_once_is_not_watched(tmp_path: Path, option: tuple[str, ...]) -> None:
    done = run_hbids("sidecar", "--once", tmp_path / "eve.json", *option)
    assert done.returncode == 2
    assert "leave them out, or --once" in done.stderr
