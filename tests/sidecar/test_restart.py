"""However often the sidecar is killed while Suricata writes and rotates, each alert is written once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hbids.pipeline.sidecar import Sidecar
from tests.conftest import PCAPS, REPOSITORY
from tests.support.suricata import eve_of

CAPTURES = (
    "scan_vuln_stafford.pcap",
    "scan_vuln_masscan.pcap",
    "reverse_pacemaker_client_vuln.pcap",
    "evasion_tcp_segmented.pcap",
    "pcapng_scan_vuln_heartleech.pcapng",
    "benign_hb_openssl_tls.pcap",
    "scan_patched_nmap.pcap",
)
SAVE_OFTEN = "memory:\n  save_interval_s: 0.05\n"
TRY_S, MOST_TRIES = 0.05, 2_000


class Process:
    """``hbids sidecar`` at work in a directory."""

    def __init__(self, directory: Path, source: str = "eve.json") -> None:
        self._directory, self._source = directory, source
        (directory / "hbids.yaml").write_text(SAVE_OFTEN)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "hbids", "sidecar", "--config", "hbids.yaml", "--state", "state"]
        command += ["--eve", "alerts.json", "--summary", "summary.json", self._source]
        self._process = subprocess.Popen(
            command,
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    def wait_until_ready(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        assert b"ready" in self._process.stderr.readline()

    def end(self, number: int = signal.SIGKILL) -> int:
        assert self._process is not None
        assert self._process.stderr is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        status = self._process.wait()
        self._process.stderr.close()
        return status

    def alert_ids(self) -> list[str]:
        lines = (self._directory / "alerts.json").read_bytes().splitlines()
        return [json.loads(line)["alert"]["context"]["hbids"]["alert_id"] for line in lines]

    def wait_until_read(self) -> None:
        """Until it has read all that eve.json has."""
        eve = self._directory / "eve.json"
        for _ in range(MOST_TRIES):
            if self._offset_in(eve) == eve.stat().st_size:
                return
            time.sleep(TRY_S)
        pytest.fail("not read in time")

    def _offset_in(self, path: Path) -> int | None:
        assert self._process is not None
        for fd in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with suppress(OSError):
                if fd.samefile(path):
                    info = (fd.parent.parent / "fdinfo" / fd.name).read_text()
                    return int(info.split()[1])
        return None


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """In the order of time, as one Suricata would have written them, which goes on behind each capture."""
    logs = sorted(eve_of(PCAPS / name).read_bytes() for name in CAPTURES)
    lines = [line for log in logs for line in log.splitlines(keepends=True)]
    return [line.replace(b'"reason":"shutdown"', b'"reason":"timeout"') for line in lines]


def told_in_pieces(lines: list[bytes], count: int) -> list[str]:
    """Alerts of a sidecar that gets so many lines at a time."""
    told: list[str] = []
    sidecar = Sidecar(on_finding=lambda finding: told.append(finding.context["alert_id"]))
    sidecar.read_each_line_once()
    for start in range(0, len(lines), count):
        sidecar.read(b"".join(lines[start : start + count]))
    sidecar.finish()
    return told


def a_minute_later(line: bytes) -> bytes:
    """Another flow that does the same, over the same ports."""
    line = re.sub(rb"(T\d\d:)(\d\d)", lambda found: found[1] + b"%02d" % (int(found[2]) + 1), line)
    return re.sub(rb'"flow_id":(\d+)', lambda found: b'"flow_id":%d' % (int(found[1]) + 1), line)


@pytest.mark.parametrize("name", ["reverse_pacemaker_client_vuln.pcap", "scan_vuln_stafford.pcap"])
def test_what_is_told_does_not_depend_on_how_many_lines_are_read_at_once(name: str) -> None:
    once = eve_of(PCAPS / name).read_bytes().splitlines(keepends=True)
    lines = [*once, *map(a_minute_later, once)]
    expected = told_in_pieces(lines, 1)
    assert len(expected) > 3
    for count in (10, 1_000):
        assert told_in_pieces(lines, count) == expected


def undisturbed(lines: list[bytes], directory: Path) -> list[str]:
    (directory / "eve.json").write_bytes(b"".join(lines))
    process = Process(directory)
    process.start()
    process.wait_until_ready()
    process.wait_until_read()
    assert process.end(signal.SIGTERM) == 0
    return process.alert_ids()


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_time_it_neither_loses_nor_repeats_an_alert(
    lines: list[bytes], tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  no secret
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    expected = undisturbed(lines, tmp_path / "whole")
    assert len(expected) > 20

    process = Process(tmp_path / "killed")
    eve = tmp_path / "killed" / "eve.json"
    process.start()
    process.wait_until_ready()
    rotated = 0
    for start in range(0, len(lines), 100):
        with eve.open("ab") as file:
            for line in lines[start : start + 100]:
                half = dice.randrange(len(line))
                file.write(line[:half])
                file.flush()
                file.write(line[half:])
        if dice.random() < 0.4 and start + 100 < len(lines):
            rotated += 1
            eve.rename(eve.with_name(f"eve.json.{1000 - rotated}"))
        time.sleep(dice.uniform(0, 0.6))
        if dice.random() < 0.6:
            process.end()
            process.start()
    process.wait_until_ready()
    process.wait_until_read()
    assert process.end(signal.SIGTERM) == 0
    told = process.alert_ids()
    assert len(set(told)) == len(told)
    assert set(told) == set(expected)
