"""The programs that read the captures, hbids among them. Whoever can be asked must prove that it read everything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.measure import Cost, Failed, run

if TYPE_CHECKING:
    from benchmarks.content import Content

__all__ = ["DpktLoop", "Hbids", "Program", "Suricata", "Tcpdump"]


class Program(Protocol):
    """Something that can read a capture."""

    name: str

    def version(self) -> str | None:
        """What is installed here; None when nothing is."""

    def read(self, capture: Content) -> Cost:
        """One run; raises :class:`Failed` on a wrong answer."""


class Hbids:
    """``hbids replay`` with one of its engines."""

    def __init__(self, engine: str) -> None:
        self.name = f"hbids {engine}"
        self._engine = engine

    def version(self) -> str | None:
        """Without importing the engine: the measuring process shall stay small."""
        there = self._engine != "native" or importlib.util.find_spec("hbids._native")
        return "this tree" if there else None

    def read(self, capture: Content) -> Cost:
        """Also raises when the summary disagrees with the capture in any number, drops included."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "summary.json")
            options = ["--engine", self._engine, "--summary", str(path)]
            cost = run([sys.executable, "-m", "hbids", "replay", capture.path, *options])
            summary = json.loads(path.read_text())
        expected = {
            "engine": self._engine,
            "packets": capture.packets,
            "bytes": capture.bytes,
            "flows": capture.flows,
            "tls_sessions": capture.flows,
            "heartbeats": dict.fromkeys(summary["heartbeats"], 0),
            "alerts": {},
            "endpoints": [],
            "drops": dict.fromkeys(summary["drops"], 0),
        }
        wrong = [f"{key} {summary[key]} instead of {value}" for key, value in expected.items() if summary[key] != value]
        if wrong:
            raise Failed(f"{self.name} on {capture.path}: {'; '.join(wrong)}")
        return cost


class Tcpdump:
    """The floor: every packet is read and copied, nothing is decoded."""

    name = "tcpdump"

    def version(self) -> str | None:
        """Of tcpdump; its second line would name libpcap."""
        return _version("tcpdump", "--version")

    def read(self, capture: Content) -> Cost:
        """Its exit status is all it says."""
        return run(["tcpdump", "-r", capture.path, "-w", "/dev/null"])


class Suricata:
    """The customary IDS, one thread for all, with TLS and alerts alone: see suricata.yaml."""

    name = "Suricata"

    def version(self) -> str | None:
        """Of Suricata."""
        return _version("suricata", "-V")

    def read(self, capture: Content) -> Cost:
        """Also raises when a TLS session is missing from the log."""
        config = str(Path(__file__).with_name("suricata.yaml"))
        with tempfile.TemporaryDirectory() as folder:
            options = ["--runmode", "single", "-k", "none", "-S", "/dev/null", "-l", folder]
            cost = run(["suricata", "-c", config, "-r", capture.path, *options])
            with Path(folder, "eve.json").open() as events:
                sessions = sum('"event_type":"tls"' in event for event in events)
        if sessions != capture.flows:
            raise Failed(f"Suricata on {capture.path}: {sessions} TLS sessions instead of {capture.flows}")
        return cost


class DpktLoop:
    """What a Python program costs that only parses headers: see dpkt_loop.py."""

    name = "dpkt loop"

    def version(self) -> str | None:
        """Of dpkt."""
        return f"dpkt {importlib.metadata.version('dpkt')}"

    def read(self, capture: Content) -> Cost:
        """The script counts the packets itself."""
        script = str(Path(__file__).with_name("dpkt_loop.py"))
        return run([sys.executable, script, capture.path, str(capture.packets)])


def _version(program: str, option: str) -> str | None:
    if shutil.which(program) is None:
        return None
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].strip()
