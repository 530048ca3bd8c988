"""A sensor as a service: `hbids sniff` with its sinks, signals, numbers and its service manager, on a span port."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hbids.decode.engine import native_available
from tests.conftest import PCAPS, REPOSITORY, missing
from tests.support.wire import Wire, eventually, open_wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAK = PCAPS / "scan_vuln_stafford.pcap"
OTHER_LEAK = PCAPS / "scan_vuln_filippo.pcap"
LEAK_OF_IPV6 = PCAPS / "ipv6_scan_vuln_nmap.pcap"
LEAK_SID = 1016100
ENOUGH_S = 30


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    if not native_available():
        missing("the native engine, which listens; install Rust 1.85 or newer, then `make clean test`")
    with open_wire() as wire:
        yield wire


def sniff(wire: Wire, *arguments: str | Path) -> list[str]:
    """The command; it stays root, whose folders tests write to, but has no privileges left."""
    return wire.inside(sys.executable, "-m", "hbids", "sniff", "out0", "--user", "root", *arguments)


def start(wire: Wire, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    """Start it, with pipes for what it writes."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(sniff(wire, *arguments), stdout=pipe, stderr=pipe, text=True, env=environment)


@contextmanager
def sensor(wire: Wire, *arguments: str | Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`hbids sniff`, ready."""
    with start(wire, *arguments, **variables) as process:
        assert process.stderr
        told = list(iter(process.stderr.readline, "ready\n"))
        assert process.poll() is None, "".join(told)
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ask it to end; what it wrote to its two streams since it was ready."""
    process.terminate()
    stdout, stderr = process.communicate(timeout=ENOUGH_S)
    assert process.returncode == 0, stderr
    return stdout, stderr


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def alerts(path: Path) -> list[int]:
    """The signatures that a file tells of."""
    return [event["alert"]["signature_id"] for event in events(path) if event["event_type"] == "alert"]


def test_every_sink_gets_every_alert(wire: Wire, tmp_path: Path) -> None:
    eve, path, summary = tmp_path / "eve.json", tmp_path / "eve.sock", tmp_path / "summary.json"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(ENOUGH_S)
        with sensor(wire, "--eve", eve, "--eve", f"unix:{path}", "--eve", "-", "--summary", summary) as process:
            wire.replay(LEAK)
            eventually(lambda: LEAK_SID in alerts(eve), "the leak is told while it is happening")
            stdout, stderr = end(process)
        connection = listener.accept()[0]
        received = connection.makefile().read()
        connection.close()
    assert eve.read_text() == received == stdout
    assert "LEAKED" in stderr  # the text for people goes where no output goes
    sinks = json.loads(summary.read_text())["sinks"]
    lines = len(events(eve))
    assert sinks == {name: {"written": lines, "lost": 0, "reconnects": 0} for name in (str(eve), f"unix:{path}", "-")}


def test_dead_sinks_stop_nothing_and_are_counted(wire: Wire, tmp_path: Path) -> None:
    eve, summary, nobody = tmp_path / "eve.json", tmp_path / "summary.json", f"unix:{tmp_path}/nobody"
    arguments = ("--eve", nobody, "--eve", "redis://127.0.0.1:1/hbids", "--eve", "/dev/full", "--eve", eve)
    with sensor(wire, *arguments, "--summary", summary) as process:
        wire.replay(LEAK)
        eventually(lambda: LEAK_SID in alerts(eve), "the leak is told to the one that lives")
        _, stderr = end(process)
    told = json.loads(summary.read_text())
    assert "No space left" in stderr
    assert told["sinks"][str(eve)]["lost"] == 0
    for name in (nobody, "redis://127.0.0.1:1/hbids", "/dev/full"):
        assert told["sinks"][name] == {"written": 0, "lost": told["sinks"][str(eve)]["written"], "reconnects": 0}
    assert told["drops"]["events_lost"] == 3 * told["sinks"][str(eve)]["written"]


def test_a_configuration_is_taken_as_a_whole_or_not_at_all(wire: Wire, tmp_path: Path) -> None:
    eve, configuration = tmp_path / "eve.json", tmp_path / "hbids.yaml"
    configuration.write_text("output: {sensor_name: first}\n")
    with sensor(wire, "--eve", eve, "--config", configuration) as process:
        assert process.stderr
        configuration.write_text("output: {sensor_name: second}\nhome_networks: [nonsense]\n")
        process.send_signal(signal.SIGHUP)
        assert [process.stderr.readline() for _ in range(2)] == [
            f"hbids: {configuration}:2: 'nonsense' is not a network: write it like 10.0.0.0/8 or fd00::/8\n",
            "hbids: the configuration stays as it was\n",
        ]
        wire.replay(LEAK)
        eventually(lambda: LEAK_SID in alerts(eve), "a leak")
        assert {event["host"] for event in events(eve)} == {"first"}

        eve.rename(tmp_path / "eve.json.1")
        configuration.write_text("output: {sensor_name: second}\nlimits: {flows: 1000}\n")
        process.send_signal(signal.SIGHUP)
        assert [process.stderr.readline() for _ in range(2)] == [
            "hbids: files opened anew, configuration read again\n",
            "hbids: limits.flows has changed: that takes a restart\n",
        ]
        wire.replay(OTHER_LEAK)
        eventually(lambda: alerts(eve), "an alert in a new file")
        end(process)
    hosts = [event["host"] for event in events(eve)]
    assert hosts[-1] == "second"
    assert hosts == sorted(hosts)  # what was found before may be told in the new file


def test_home_networks_can_change(wire: Wire, tmp_path: Path) -> None:
    eve, configuration = tmp_path / "eve.json", tmp_path / "hbids.yaml"
    configuration.write_text("home_networks: [192.0.2.0/24]\n")
    with sensor(wire, "--eve", eve, "--config", configuration) as process:
        assert process.stderr
        wire.replay(LEAK)
        configuration.write_text("home_networks: ['fd66::/64']\n")
        process.send_signal(signal.SIGHUP)
        process.stderr.readline()
        assert alerts(eve) == []
        wire.replay(LEAK_OF_IPV6)
        eventually(lambda: LEAK_SID in alerts(eve), "a leak that matters now")
        end(process)


def test_numbers_for_prometheus(wire: Wire) -> None:
    with sensor(wire, "--metrics", "9105") as process:
        wire.replay(LEAK)

        def metrics() -> dict[tuple[str, ...], float]:
            got = wire.run(sys.executable, "-c", _FETCH, "http://127.0.0.1:9105/metrics").stdout
            samples = [sample for family in text_string_to_metric_families(got) for sample in family.samples]
            return {(sample.name, *sample.labels.values()): sample.value for sample in samples}

        eventually(lambda: metrics().get(("hbids_endpoints", "leaked")) == 1, "the leak")
        eventually(lambda: metrics().get(("hbids_packets_total",), 0) >= 40, "its packets")
        assert metrics()["hbids_alerts_total", str(LEAK_SID)] == 1
        end(process)


_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


def test_systemd_hears_of_the_whole_life(wire: Wire, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(ENOUGH_S)
        with sensor(wire, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000") as process:
            assert systemd.recv(1000) == b"READY=1"
            assert [systemd.recv(1000).split(b"=")[0] for _ in range(3)] == [b"WATCHDOG"] * 3
            process.send_signal(signal.SIGHUP)
            while not (message := systemd.recv(1000)).startswith(b"RELOADING=1\nMONOTONIC_USEC="):
                assert message.startswith(b"WATCHDOG=1\nSTATUS=")
            assert systemd.recv(1000) == b"READY=1"
            process.terminate()
            while (message := systemd.recv(1000)) != b"STOPPING=1":
                assert message.startswith(b"WATCHDOG=1\nSTATUS=")
            process.communicate(timeout=ENOUGH_S)


@contextmanager
def terminal(wire: Wire, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`hbids sniff` on a terminal of 80 by 24, and the other end of that."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        sniff(wire, *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**environment, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(ours)


def read_until(descriptor: int, words: str) -> None:
    """Read a terminal until it has shown some words, in whatever colours."""
    shown = ""
    while words not in re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown):
        readable, _, _ = select.select([descriptor], [], [], ENOUGH_S)
        assert readable, f"never shown: {words}"
        shown += os.read(descriptor, 1 << 16).decode(errors="replace")


def test_top_shows_what_happens(wire: Wire) -> None:
    with terminal(wire, "--top") as (process, ours):
        read_until(ours, "Worst endpoints")
        wire.replay(LEAK)
        read_until(ours, "10.66.0.10:443               leaked")
        read_until(ours, "10.66.9.66 > 10.66.0.10  LEAK by a server")
        process.terminate()
        read_until(ours, "Looked at")  # the verdict, after the picture
        assert process.wait(ENOUGH_S) == 0


def test_a_terminal_that_goes_away_ends_it_politely(wire: Wire, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    with terminal(wire, "--summary", summary) as (process, ours):
        read_until(ours, "ready")
        wire.replay(LEAK)
        os.close(ours)
        process.send_signal(signal.SIGHUP)  # as the kernel does to the session that has the terminal
        assert process.wait(ENOUGH_S) == 0
    assert json.loads(summary.read_text())["packets"] >= 30


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--metrics", "nine"), 2, "--metrics nine: no port: write it like 127.0.0.1:9105, [::1]:9105 or 9105"),
        (("--metrics", "192.0.2.1:9105"), 1, "--metrics 192.0.2.1:9105: cannot be written, Cannot assign requested"),
        (("--eve", "/nowhere/eve.json"), 1, "/nowhere/eve.json: cannot be written, No such file"),
        (("--eve", "syslog:local9"), 2, "--eve syslog:local9: no facility"),
    ],
)
def test_what_cannot_work_is_told_at_the_start(wire: Wire, arguments: tuple[str, ...], status: int, told: str) -> None:
    with start(wire, *arguments) as process:
        _, stderr = process.communicate(timeout=ENOUGH_S)
    assert told in stderr
    assert process.returncode == status
