"""The programs that listen on a wire: started, asked what they counted, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.measure import REPOSITORY, Failed
from benchmarks.wire import FAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from benchmarks.wire import Wire

__all__ = ["Counted", "HbidsListener", "Listener", "Listening", "SuricataListener"]

_PATIENCE_S = 60.0
_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Counted:
    """What a program says of itself."""

    packets: int
    """Looked at."""
    drops: int


@dataclass(frozen=True, slots=True)
class Listening:
    """A program at work."""

    process: subprocess.Popen[bytes]
    read: Callable[[], Counted]

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICKS_S

    def stop(self) -> Counted:
        """End it and read what it wrote."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(_PATIENCE_S)
        return self.read()


class Listener(Protocol):
    """Something that can listen."""

    name: str

    def listening(self, wire: Wire, folder: Path) -> AbstractContextManager[Listening]:
        """While entered, it listens; raises :class:`Failed` when it does not."""


class HbidsListener:
    """``hbids sniff``."""

    def __init__(self, workers: int) -> None:
        self.name = f"hbids, {workers} worker{'s' if workers > 1 else ''}"
        self._workers = workers

    @contextmanager
    def listening(self, wire: Wire, folder: Path) -> Iterator[Listening]:
        """While entered."""
        summary = folder / "summary.json"
        options = ("--workers", str(self._workers), "--summary", str(summary), "--eve", str(folder / "eve.json"))
        command = (sys.executable, "-m", "hbids", "sniff", FAR, "--user", "root", *options)

        def read() -> Counted:
            counters = json.loads(summary.read_text())["interfaces"][FAR]
            return Counted(counters["frames"], counters["kernel_drops"])

        with _started(wire.inside(*command), folder, "ready") as process:
            yield Listening(process, read)


class SuricataListener:
    """Suricata with one worker, a ring of the same size, and TLS and alerts alone: see suricata.yaml."""

    name = "Suricata"

    @contextmanager
    def listening(self, wire: Wire, folder: Path) -> Iterator[Listening]:
        """While entered."""
        config = folder / "suricata.yaml"
        common = Path(__file__).with_name("suricata.yaml").read_text().replace("stats: {enabled: no}", _STATS)
        config.write_text(common.replace("        - alert\n", "        - alert\n        - stats\n", 1) + _AF_PACKET)
        command = (
            "suricata",
            "-c",
            str(config),
            f"--af-packet={FAR}",
            "-k",
            "none",
            "-S",
            "/dev/null",
            "-l",
            str(folder),
        )

        def read() -> Counted:
            last: dict[str, int] = {}
            with (folder / "eve.json").open() as events:
                for line in events:
                    if '"event_type":"stats"' in line:
                        last = json.loads(line)["stats"]["capture"]
            drops = last["kernel_drops"]
            return Counted(last["kernel_packets"] - drops, drops)

        with _started(wire.inside(*command, "-v"), folder, "started") as process:
            yield Listening(process, read)


_STATS = "stats: {enabled: yes, interval: 1}"

_AF_PACKET = f"""
af-packet:
  - interface: {FAR}
    threads: 1
    cluster-id: 99
    cluster-type: cluster_flow
    defrag: no
    use-mmap: yes
    tpacket-v3: yes
    block-size: 1048576
    ring-size: 32768
"""


@contextmanager
def _started(command: list[str], folder: Path, sign: str) -> Iterator[subprocess.Popen[bytes]]:
    said = folder / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while sign not in said.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{' '.join(command)}: {said.read_text()}")
            time.sleep(0.1)
        time.sleep(0.5)
        yield process
    finally:
        process.kill()
        process.wait()
