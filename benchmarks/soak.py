"""``python -m benchmarks.soak --minutes 30``: ``hbids sniff`` under mixed traffic, attacks and troubles.

In turn a round has each of the troubles: the reader of its socket is killed, the disk of one of its sinks is full, the
interface goes down and up, SIGHUP comes a hundred times, the configuration is broken and mended. After each, what was
sent must be what was decoded and what the kernel says it dropped, to the last packet; every attack must be an alert in
the sink that had no trouble; and hbids must have said what happened. At the end memory must be what it was after the
first quarter, but for what is remembered of each endpoint that was attacked since, and every event must have got into
every sink. Prints a line a round; exits with 1 when anything is wrong. Needs root and tcpreplay.

``--set-clock`` adds one trouble, once: the clock of the whole machine is set back by two minutes, and forward again
three seconds later.
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
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
_SMALL_DISK_BYTES = 1 << 22
"""Room for the events of a thousand attacks, between two times that it is emptied."""
_HANGUPS = 100
_CONFIGURATION = """
capture: {stats_interval_s: 1}
limits: {opening_timeout_s: 5, plain_timeout_s: 5, tls_timeout_s: 5}  # so that flows end as fast as they begin
"""
_BROKEN = "thresholds: {harvest_answers: many}\n"
_CLOCK_BACK_S, _CLOCK_PAUSE_S = 120.0, 3.0
_GROWTH = 1.05
"""Of memory, from the first quarter to the end: what allocators take for that things come in another order."""
_REMEMBERED_BYTES = 10_240
"""And of each attacked endpoint: its totals, three stories and its sources take 8 KB, and allocators somewhat more."""

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


class Trouble(NamedTuple):
    """What may happen to a sensor, and the words in which it shall say so."""

    name: str
    act: Callable[[], None]
    said: str = ""


@dataclass
class Soak:
    """A sensor at work, and what it was given."""

    wire: Wire
    folder: Path
    sent_packets: int = 0
    attacks: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)
    """After each round: bytes, and attacks so far."""
    wrong: list[str] = field(default_factory=list)
    heard_bytes: int = 0
    """Of what the sensor said."""

    def begin(self) -> None:
        """Start the sensor with its three sinks."""
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_BYTES}", "tmpfs", str(self.disk))
        self.reader = self._start_reader()
        self.config = self.folder / "config.yaml"
        self.config.write_text(_CONFIGURATION)
        sinks = [f"--eve={self.folder}/eve.json", f"--eve={self.disk}/eve.json", f"--eve=unix:{self.folder}/socket"]
        command = [sys.executable, "-m", "hbids", "sniff", FAR, "--user", "root", "--config", str(self.config), *sinks]
        command += ["--summary", str(self.folder / "summary.json")]
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(self.wire.inside(*command), stdout=said, stderr=said, cwd=REPOSITORY)
        self._await_said("ready")

    def end(self) -> None:
        """End the sensor; it must say so itself. No sink has trouble then."""
        if (self.disk / "filler").exists():
            self.fill_disk()
            self._await_said("eve.json: written again")
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(_ROUND_TIMEOUT_S)
        if status:
            self.wrong.append(f"exit status {status}")
        sinks = json.loads((self.folder / "summary.json").read_text())["sinks"]
        print("\n".join(f"{name}: {counts}" for name, counts in sinks.items()))
        if len({counts["written"] for counts in sinks.values()}) > 1:
            self.wrong.append("not every event got into every sink")

    def clean_up(self) -> None:
        """Leave nothing."""
        self.process.kill()
        self.process.wait()
        self.reader.kill()
        self.reader.wait()
        _run("umount", "-l", str(self.disk))

    def round(self, capture: Path, trouble: Trouble) -> str:
        """Traffic, attacks and a trouble; what there is to say of it."""
        trouble.act()
        sent = self.wire.send(capture, _TRAFFIC_MBIT, _TRAFFIC_S, new_addresses=False)
        self.sent_packets += sent.packets + inject(self.wire, range(self.attacks, self.attacks + _ATTACKS))
        self.attacks += _ATTACKS
        self._await("every packet is accounted for", lambda: self._accounted() == self.sent_packets)
        self._await("every attack is an alert", lambda: self._alerts() == self.attacks)
        if trouble.said:
            self._await_said(trouble.said)
        self.memory.append((_resident_bytes(self.process.pid), self.attacks))
        counters = self._interface()
        return (
            f"{self.sent_packets:,} packets, {counters['frames']:,} decoded, {counters['kernel_drops']:,} dropped, "
            f"{self.attacks:,} attacks, {self._alerts():,} alerts; {self.memory[-1][0] / 1e6:.1f} MB"
        )

    def judge_memory(self) -> None:
        """Whether it stayed what it was."""
        if not self.memory:
            return
        (early_bytes, early_attacks), (late_bytes, late_attacks) = self.memory[len(self.memory) // 4], self.memory[-1]
        told = (
            f"memory went from {early_bytes / 1e6:.1f} to {late_bytes / 1e6:.1f} MB, "
            f"with {late_attacks - early_attacks:,} more endpoints attacked"
        )
        print(told)
        if late_bytes > early_bytes * _GROWTH + (late_attacks - early_attacks) * _REMEMBERED_BYTES:
            self.wrong.append(told)

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

    def break_configuration(self) -> None:
        """A mistake in its file, and none again."""
        self.config.write_text(_BROKEN)
        self.process.send_signal(signal.SIGHUP)
        self._await_said("the configuration stays as it was")
        self.config.write_text(_CONFIGURATION)
        self.process.send_signal(signal.SIGHUP)
        self._await_said("configuration read again")

    def set_clock(self) -> None:
        """Of the whole machine, back and forward again."""
        for change_s in (-_CLOCK_BACK_S, _CLOCK_BACK_S):
            time.clock_settime(time.CLOCK_REALTIME, time.time() + change_s)
            time.sleep(_CLOCK_PAUSE_S)

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

    def _await_said(self, words: str) -> None:
        """Since the last time."""
        said = self.folder / "said"
        self._await(f"it says {words!r}", lambda: words.encode() in said.read_bytes()[self.heard_bytes :])
        self.heard_bytes = said.stat().st_size

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
    parser.add_argument("--set-clock", action="store_true", help="set the clock of this machine back and forth, once")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_wire() as wire:
        capture = Path(folder, "traffic.pcap")
        make(CAPTURES["short"].divided(100), capture)
        soak = Soak(wire, Path(folder))
        try:
            soak.begin()
            _soak(soak, capture, time.monotonic() + 60 * args.minutes, sets_clock=args.set_clock)
            soak.end()
        except Failed as error:
            soak.wrong.append(str(error))
        finally:
            soak.clean_up()
    soak.judge_memory()
    print("\n".join(soak.wrong) or "Nothing was wrong.")
    return 1 if soak.wrong else 0


def _soak(soak: Soak, capture: Path, deadline_s: float, *, sets_clock: bool) -> None:
    troubles = [
        Trouble("no trouble", lambda: None),
        Trouble("reader killed", soak.kill_reader, "socket: written again"),
        Trouble("disk full", soak.fill_disk, "No space left on device"),
        Trouble("interface down and up", soak.toggle_interface, f"{FAR}: is up again"),
        Trouble("disk free again", soak.fill_disk, "eve.json: written again"),
        Trouble("SIGHUP storm", soak.hang_up, "configuration read again"),
        Trouble("configuration broken and mended", soak.break_configuration),
    ]
    once = [Trouble("clock set", soak.set_clock)] if sets_clock else []
    for trouble in chain(troubles, once, cycle(troubles)):
        if time.monotonic() > deadline_s:
            return
        print(f"{trouble.name}: {soak.round(capture, trouble)}", flush=True)


def _resident_bytes(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()} (are you root?)")


if __name__ == "__main__":
    sys.exit(main())
