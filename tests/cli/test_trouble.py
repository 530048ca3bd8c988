"""A sensor while all that takes its alerts is killed, stopped, filled and rotated, over and over: it goes on, each line
is whole, and what a sink got and lost adds up to what was told."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from hbids.decode.engine import native_available
from tests.conftest import missing, require_tool
from tests.support.small_disk import small_disk
from tests.support.wire import Sniffer, Wire, open_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TROUBLE_S = 10
CONFIGURATION = "sinks: {queue_lines: 60, retry_s: 0.3}\ncapture: {stats_interval_s: 0.05}\n"
"""Events come from the statistics, without any traffic; queues are so short that they overflow."""

READER = """
import os, socket, sys
path, out = sys.argv[1:]
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
while True:
    connection, _ = listener.accept()
    while received := connection.recv(1 << 16):
        with open(out, "ab") as stream:
            stream.write(received)
"""


class Surroundings:
    """What takes the alerts, and what may happen to it."""

    def __init__(self, wire: Wire, folder: Path, disk: Path) -> None:
        self._wire, self._folder = wire, folder
        self.socket, self.file, self.full = folder / "sock", folder / "live" / "eve.json", disk / "full.json"
        self.copies = folder / "full.copies"
        self._redis, self._reader = self._start_redis(), self._start_reader()

    def _start_redis(self) -> subprocess.Popen[bytes]:
        command = self._wire.inside(require_tool("redis-server"), "--port", "7000", "--save", "")
        return subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)

    def _start_reader(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", READER, self.socket, self._folder / "received"])

    def kill_redis(self) -> None:
        self._redis.kill()
        self._redis.wait()
        time.sleep(0.3)
        self._redis = self._start_redis()

    def kill_reader(self) -> None:
        self._reader.kill()
        self._reader.wait()
        time.sleep(0.2)
        self._reader = self._start_reader()

    def stop_reader(self) -> None:
        self._reader.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        self._reader.send_signal(signal.SIGCONT)

    def rotate(self) -> None:
        if self.file.exists():
            self.file.rename(self.file.with_name(f"eve.json.{time.time_ns()}"))

    def empty_disk(self) -> None:
        """While nobody writes."""
        if self.full.exists():
            with self.copies.open("ab") as copies:
                copies.write(self.full.read_bytes())
            os.truncate(self.full, 0)

    def end(self) -> None:
        for process in (self._redis, self._reader):
            process.kill()
            process.wait()

    def received(self) -> list[bytes]:
        path = self._folder / "received"
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def paused(process: subprocess.Popen[bytes], step: Callable[[], None]) -> None:
    """Do something while a process stands still."""
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.05)
    step()
    process.send_signal(signal.SIGCONT)


@pytest.fixture
def wire() -> Iterator[Wire]:
    if not native_available():
        missing("the native engine; install Rust 1.85 or newer, then `make clean test`")
    with open_wire() as wire:
        yield wire


def test_whatever_happens_to_sinks_it_adds_up(wire: Wire, tmp_path: Path) -> None:
    dice = random.Random(1)  # noqa: S311  no secret
    (tmp_path / "hbids.yaml").write_text(CONFIGURATION)
    with small_disk(tmp_path / "disk", "8k") as disk:
        around = Surroundings(wire, tmp_path, disk)
        try:
            destinations = (around.full, f"unix:{around.socket}", "redis://127.0.0.1:7000/hbids")
            options = [word for each in destinations for word in ("--eve", each)]
            with Sniffer(wire, tmp_path / "live", ("out0", "--config", tmp_path / "hbids.yaml", *options)) as sniffer:
                troubles: list[Callable[[], object]] = [
                    around.kill_redis,
                    around.kill_reader,
                    around.stop_reader,
                    around.rotate,
                    lambda: paused(sniffer.process, around.empty_disk),
                    lambda: sniffer.process.send_signal(signal.SIGHUP),
                ]
                until = time.monotonic() + TROUBLE_S
                while time.monotonic() < until:
                    dice.choice(troubles)()
                    assert sniffer.process.poll() is None
                    time.sleep(dice.random() / 4)
            assert sniffer.status == 0
            around.empty_disk()
        finally:
            around.end()
    sinks = sniffer.summary["sinks"]
    assert len({counts["written"] + counts["lost"] for counts in sinks.values()}) == 1
    assert sinks[str(around.file)]["lost"] == 0
    assert sinks[str(around.full)]["lost"] + sinks[str(around.full)]["reconnects"] > 0
    rotated = b"".join(path.read_bytes() for path in around.file.parent.glob("eve.json*"))
    for path, written in ((around.file, rotated), (around.full, around.copies.read_bytes())):
        lines = written.splitlines()
        assert len(lines) == sinks[str(path)]["written"]
        assert all(json.loads(line) for line in lines)
    whole = [line for line in around.received() if line.startswith(b"{") and line.endswith(b"}\n")]
    assert len(whole) <= sinks[f"unix:{around.socket}"]["written"]
