"""``python -m benchmarks.soak --minutes 30``: ``hbids sniff`` under mixed traffic, attacks and troubles.

In turn a round has each of the troubles: the reader of its socket is killed, the disk of one of its sinks is full, the
interface goes down and up, SIGHUP comes a hundred times. After each, what was sent must be what was decoded and what
the kernel says it dropped, to the last packet; every attack must be an alert in the sink that had no trouble; and at
the end memory must be what it was after the first quarter, but for what is remembered of each endpoint that was
attacked since. Prints a line a round; exits with 1 when anything is wrong. Needs root and tcpreplay.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.alarm import LEAK, inject
from benchmarks.captures import CAPTURES, make
from benchmarks.measure import REPOSITORY, Failed
from benchmarks.wire import FAR, Wire, open_wire

if TYPE_CHECKING:
    from collections.abc import Callable

_TRAFFIC_S, _TRAFFIC_MBIT = 4.0, 150
_ATTACKS = 10
"""A round; each at a port of its own, which are enough for some eighteen hours."""
_ROUND_TIMEOUT_S = 30.0
_SMALL_DISK_BYTES = 1 << 16
_HANGUPS = 100
_CONFIGURATION = """
capture: {stats_interval_s: 1}
limits: {opening_timeout_s: 5, plain_timeout_s: 5, tls_timeout_s: 5}  # so that flows end as fast as they begin
"""
_GROWTH = 1.10
"""Of memory, from the first quarter to the end: what allocators and tables that fill may take."""
_REMEMBERED_BYTES = 16_384
"""And of each attacked endpoint: its totals, stories and sources in every table that knows it."""

_READER = """
import os, socket, sys
os.path.exists(sys.argv[1]) and os.unlink(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
while True:
    connection, _ = listening.accept()
    while connection.recv(65536):
        pass
"""


@dataclass
class Soak:
    """A sensor at work, and what it was given."""

    wire: Wire
    folder: Path
    sent_packets: int = 0
    attacks: int = 0
    memory_bytes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Start the sensor with its three sinks."""
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_BYTES}", "tmpfs", str(self.disk))
        self.reader = self._start_reader()
        config = self.folder / "config.yaml"
        config.write_text(_CONFIGURATION)
        sinks = [f"--eve={self.folder}/eve.json", f"--eve={self.disk}/eve.json", f"--eve=unix:{self.folder}/socket"]
        command = [sys.executable, "-m", "hbids", "sniff", FAR, "--user", "root", "--config", str(config), *sinks]
        command += ["--summary", str(self.folder / "summary.json")]
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(self.wire.inside(*command), stdout=said, stderr=said, cwd=REPOSITORY)
        self._await("it is ready", lambda: "ready" in (self.folder / "said").read_text())

    def end(self) -> None:
        """End the sensor; it must say so itself."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(_ROUND_TIMEOUT_S)
        if status:
            self.wrong.append(f"exit status {status}")

    def clean_up(self) -> None:
        """Leave nothing."""
        self.process.kill()
        self.process.wait()
        self.reader.kill()
        self.reader.wait()
        _run("umount", "-l", str(self.disk))

    def round(self, capture: Path, trouble: Callable[[], None]) -> str:
        """Traffic, attacks and a trouble; what there is to say of it."""
        trouble()
        sent = self.wire.send(capture, _TRAFFIC_MBIT, _TRAFFIC_S, new_addresses=False)
        self.sent_packets += sent.packets + inject(self.wire, range(self.attacks, self.attacks + _ATTACKS))
        self.attacks += _ATTACKS
        self._await("every packet is accounted for", lambda: self._accounted() == self.sent_packets)
        self._await("every attack is an alert", lambda: self._alerts() == self.attacks)
        self.memory_bytes.append(_resident_bytes(self.process.pid))
        counters = self._interface()
        return (
            f"{self.sent_packets:,} packets, {counters['frames']:,} decoded, {counters['kernel_drops']:,} dropped, "
            f"{self.attacks:,} attacks, {self._alerts():,} alerts; {self.memory_bytes[-1] / 1e6:.0f} MB"
        )

    # --- troubles ---

    def kill_reader(self) -> None:
        """The reader of the socket dies, and another comes."""
        self.reader.kill()
        self.reader.wait()
        self.reader = self._start_reader()

    def fill_disk(self) -> None:
        """The small disk is full from now on, or empty again."""
        filler, events = self.disk / "filler", self.disk / "eve.json"
        if filler.exists():
            filler.unlink()
            os.truncate(events, 0)
            return
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def toggle_interface(self) -> None:
        """Down and up again."""
        for state in ("down", "up"):
            _run(*self.wire.inside("ip", "link", "set", FAR, state))
            time.sleep(1.5)

    def hang_up(self) -> None:
        """SIGHUP upon SIGHUP."""
        for _ in range(_HANGUPS):
            self.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)

    # --- what the sensor says ---

    def _interface(self) -> dict[str, int]:
        events = [line for line in self._lines() if '"event_type":"stats"' in line]
        numbers = json.loads(events[-1])["metadata"]["flowints"] if events else {}
        prefix = f"hbids.{FAR}."
        return {name.removeprefix(prefix): number for name, number in numbers.items() if name.startswith(prefix)}

    def _accounted(self) -> int:
        counters = self._interface()
        return counters.get("frames", 0) + counters.get("kernel_drops", 0)

    def _alerts(self) -> int:
        return sum(f'"signature_id":{LEAK}' in line for line in self._lines())

    def _lines(self) -> list[str]:
        whole, _, _ = (self.folder / "eve.json").read_text().rpartition("\n")
        return whole.splitlines()

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _ROUND_TIMEOUT_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"not so: {what}: {self._interface()}\n{(self.folder / 'said').read_text()}")
            time.sleep(0.2)

    def _start_reader(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _READER, str(self.folder / "socket")])


def main() -> int:
    """Soak and judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_wire() as wire:
        capture = Path(folder, "traffic.pcap")
        make(CAPTURES["short"].divided(100), capture)
        soak = Soak(wire, Path(folder))
        try:
            soak.begin()
            _soak(soak, capture, time.monotonic() + 60 * args.minutes)
            soak.end()
        except Failed as error:
            soak.wrong.append(str(error))
        finally:
            soak.clean_up()
    early, late = soak.memory_bytes[len(soak.memory_bytes) // 4 :][:1] or [1], soak.memory_bytes[-1:] or [1]
    if late[0] > early[0] * _GROWTH + soak.attacks * _REMEMBERED_BYTES:
        soak.wrong.append(f"memory grew from {early[0] / 1e6:.0f} to {late[0] / 1e6:.0f} MB")
    print("\n".join(soak.wrong) or "Nothing was wrong.")
    return 1 if soak.wrong else 0


def _soak(soak: Soak, capture: Path, deadline_s: float) -> None:
    troubles = (lambda: None, soak.kill_reader, soak.fill_disk, soak.toggle_interface, soak.fill_disk, soak.hang_up)
    names = ("no trouble", "reader killed", "disk full", "interface down and up", "disk free again", "SIGHUP storm")
    rounds = 0
    while time.monotonic() < deadline_s:
        at = rounds % len(troubles)
        print(f"{names[at]}: {soak.round(capture, troubles[at])}", flush=True)
        rounds += 1


def _resident_bytes(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()} (are you root?)")


if __name__ == "__main__":
    sys.exit(main())
