"""Two ends of a wire in a network namespace of its own, and hbids listening at one of them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.conftest import REPOSITORY, missing, require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Sniffer", "Wire", "eventually", "open_wire"]

_NUMBERS = itertools.count()

_PATIENCE_S = 30.0
"""How long a test waits for what must come."""

_INJECT = """
import json, socket, sys
sockets = {}
for interface, frame in json.load(sys.stdin):
    if interface not in sockets:
        sockets[interface] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sockets[interface].bind((interface, 0))
    sockets[interface].send(bytes.fromhex(frame))
"""


@dataclass
class Wire:
    """What is sent into the end ``in0`` comes out of ``out0``; and so with ``in1`` and ``out1``."""

    namespace: str

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program in the namespace."""
        return subprocess.run(self.inside(*command), check=True, capture_output=True, text=True, **options)

    def inside(self, *command: str | Path) -> list[str]:
        """The command that runs a program in the namespace."""
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]

    def replay(self, capture: Path, *, packets_a_second: int = 20_000, loops: int = 1) -> None:
        """Send the packets of a capture."""
        pace = ("--pps", packets_a_second) if packets_a_second else ("--topspeed",)
        self.run(require_tool("tcpreplay"), "-q", "-i", "in0", *map(str, pace), "--loop", str(loops), capture)

    def send(self, frames: list[tuple[str, bytes]]) -> None:
        """Send frames, each into an interface, one after another."""
        document = json.dumps([(interface, frame.hex()) for interface, frame in frames])
        self.run(sys.executable, "-c", _INJECT, input=document)

    def link(self, interface: str, *state: str) -> None:
        """Change an interface, as ``ip link set`` does."""
        self.run("ip", "link", "set", interface, *state)


@contextmanager
def open_wire() -> Iterator[Wire]:
    """A wire of its own, gone at the end."""
    require_tool("ip")
    if os.geteuid() != 0:
        missing("root, who may make network namespaces")
    wire = Wire(f"hbids-test-{os.getpid()}-{next(_NUMBERS)}")
    made = subprocess.run(["ip", "netns", "add", wire.namespace], check=False, capture_output=True, text=True)
    if made.returncode != 0:
        missing(f"network namespaces: {made.stderr.strip()}")
    try:
        wire.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        wire.link("lo", "up")
        for number in (0, 1):
            wire.run("ip", "link", "add", f"in{number}", "type", "veth", "peer", "name", f"out{number}")
            wire.link(f"in{number}", "up")
            wire.link(f"out{number}", "up")
        yield wire
    finally:
        subprocess.run(["ip", "netns", "del", wire.namespace], check=False)


@dataclass
class Sniffer:
    """``hbids sniff`` at work; leaving it ends it with a signal. What it writes lies in the folder."""

    wire: Wire
    folder: Path
    arguments: tuple[str | Path, ...] = ("out0",)
    user: str = "root"
    """By default nobody else may write into the folder."""
    signal: int = signal.SIGTERM
    status: int | None = None
    """How it ended."""

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        outputs = ("--eve", self.folder / "eve.json", "--summary", self.folder / "summary.json", "--user", self.user)
        command = self.wire.inside(sys.executable, "-m", "hbids", "sniff", *self.arguments, *outputs)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with (self.folder / "stdout").open("w") as stdout, (self.folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment)
        eventually(lambda: "ready" in self.said or self.process.poll() is not None)
        assert "ready" in self.said, self.said
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.1)  # what was sent is on its way
        self.process.send_signal(self.signal)
        try:
            self.status = self.process.wait(_PATIENCE_S)
        finally:
            self.process.kill()

    @property
    def said(self) -> list[str]:
        """Lines on stderr so far."""
        return (self.folder / "stderr").read_text().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has written so far, in whole lines."""
        whole, _, _ = (self.folder / "eve.json").read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Of them the alerts."""
        return [event for event in self.events if event["event_type"] == "alert"]

    @property
    def summary(self) -> dict[str, Any]:
        """What it summed up."""
        summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return summary


def eventually(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
