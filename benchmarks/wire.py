"""Two ends of a wire in a network namespace of its own, and what is sent over it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measure import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FAR", "NEAR", "Sent", "Wire", "open_wire"]

NEAR, FAR = "near0", "far0"
"""What is sent into the near end comes out of the far one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What tcpreplay says it sent."""

    packets: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Wire:
    """The namespace."""

    namespace: str

    def inside(self, *command: str) -> list[str]:
        """The command that runs a program there."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def send(self, capture: Path, rate_mbit: int, seconds: float, *, new_addresses: bool = True) -> Sent:
        """Send a capture again and again, each time as that of other hosts or of the same; a rate of 0 is as fast as
        possible. Raises Failed."""
        pace = f"--mbps={rate_mbit}" if rate_mbit else "--topspeed"
        command = (
            "tcpreplay",
            "-i",
            NEAR,
            pace,
            "--preload-pcap",
            *(["--unique-ip"] if new_addresses else []),
            "--loop=100000",
            f"--duration={seconds:.0f}",
            str(capture),
        )
        done = subprocess.run(self.inside(*command), check=False, capture_output=True, text=True)
        told = re.search(r"Actual: (\d+) packets \((\d+) bytes\) sent in ([\d.]+) seconds", done.stdout)
        if told is None:
            raise Failed(f"tcpreplay: {done.stderr or done.stdout}")
        return Sent(int(told[1]), int(told[2]), float(told[3]))


@contextmanager
def open_wire() -> Iterator[Wire]:
    """A wire, gone at the end. Raises Failed."""
    for program in ("ip", "tcpreplay"):
        if shutil.which(program) is None:
            raise Failed(f"{program} is not installed")
    wire = Wire(f"hbids-bench-{os.getpid()}")
    steps = [
        ["ip", "netns", "add", wire.namespace],
        wire.inside("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"),
        wire.inside("ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR),
        wire.inside("ip", "link", "set", NEAR, "up"),
        wire.inside("ip", "link", "set", FAR, "up"),
    ]
    try:
        for step in steps:
            done = subprocess.run(step, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise Failed(f"{' '.join(step)}: {done.stderr.strip()} (are you root?)")
        yield wire
    finally:
        subprocess.run(["ip", "netns", "del", wire.namespace], check=False, capture_output=True)
