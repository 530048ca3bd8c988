"""Whatever is behind the command socket, nobody waits for it, it is told once, and tried again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hbids.config import Feedback
from hbids.feedback.command_socket import CommandSocket
from hbids.feedback.hostbits import Hostbits
from hbids.feedback.offenders import Offenders
from tests.conftest import PCAPS, REPOSITORY
from tests.feedback.servers import Manner, Suricata, hangs, hangs_up, says, serving
from tests.support.suricata import eve_of
from tests.support.wire import eventually

OFFENDER, BIT = "192.0.2.66", "hbids.offender"
SETTINGS = Feedback(answer_wait_ns=200_000_000, retry_ns=200_000_000)
QUICK_S = 0.1


@contextmanager
def telling(path: Path, settings: Feedback = SETTINGS) -> Iterator[tuple[Hostbits, list[str]]]:
    """At work, and what it says."""
    said: list[str] = []
    hostbits = Hostbits(Offenders(settings), CommandSocket(str(path), 0.2), settings, said.append)
    hostbits.start()
    yield hostbits, said
    hostbits.close()


def enter(hostbits: Hostbits, ip: str = OFFENDER) -> None:
    began_s = time.monotonic()
    hostbits.book.enter(ip, 1016100, time.time_ns())
    hostbits.book_changed(time.time_ns())
    assert time.monotonic() - began_s < QUICK_S


def not_suricata(connection: socket.socket, request: bytes) -> None:
    """Understands the version alone."""
    connection.sendall(b'{"return":"OK"}\n' if b"version" in request else b'{"ret')


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (hangs, "no answer|timed out"),
        (hangs_up, "ended the connection"),
        (not_suricata, "no answer|timed out"),
        (says(b"\n"), "does not answer"),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not answer"),
        (says(b"[" * 200 + b"\n"), "does not answer"),
        (says(b'["return", "OK"]\n'), "does not answer"),
        (says(b'{"return": {"return": "OK"}}\n'), "does not answer"),
        (says(b"\xff\xfe\n"), "does not answer"),
        (says(*[b"x" * 4096] * 40), "does not answer"),
        (says(b'{"return":"NOK","message":"unsupported protocol"}\n'), "unsupported protocol"),
    ],
)
def test_whatever_it_is_nobody_waits_and_a_suricata_in_its_place_is_told(
    tmp_path: Path, manner: Manner, reason: str
) -> None:
    path = tmp_path / "command.socket"
    suricata = Suricata(BIT)
    with ExitStack() as there:
        there.enter_context(serving(path, manner))
        with telling(path) as (hostbits, said):
            enter(hostbits)
            eventually(lambda: hostbits.summary()["failures"] >= 2)
            assert any(word in said[0] for word in reason.split("|")), said
            assert len(said) == 1
            assert not hostbits.summary()["works"]
            there.close()
            there.enter_context(serving(path, suricata))
            eventually(lambda: OFFENDER in suricata.bits)
            eventually(lambda: hostbits.summary()["works"])
    assert hostbits.summary()["set"] == 1


def test_a_socket_that_is_not_there_is_told_once_and_waited_for(tmp_path: Path) -> None:
    path, suricata = tmp_path / "command.socket", Suricata(BIT)
    with telling(path) as (hostbits, said):
        enter(hostbits)
        eventually(lambda: hostbits.summary()["failures"] >= 3)
        assert said == [f"feedback: {path}: No such file or directory: offenders wait, and it is tried again and again"]
        with serving(path, suricata):
            eventually(lambda: OFFENDER in suricata.bits)


def test_a_suricata_that_was_started_anew_gets_all_bits_again(tmp_path: Path) -> None:
    path, before, after = tmp_path / "command.socket", Suricata(BIT), Suricata(BIT)
    with telling(path) as (hostbits, _):
        enter(hostbits)
        with serving(path, before):
            eventually(lambda: OFFENDER in before.bits)
        with serving(path, after):
            eventually(lambda: OFFENDER in after.bits)
    summary = hostbits.summary()
    assert (summary["set"], summary["set_again"]) == (1, 1)


def test_a_bit_that_no_rule_asks_for_is_told_with_the_remedy_and_stops_nobody(tmp_path: Path) -> None:
    path, suricata = tmp_path / "command.socket", Suricata("another")
    with serving(path, suricata), telling(path) as (hostbits, said):
        for number in range(3):
            enter(hostbits, f"192.0.2.{number}")
        eventually(lambda: hostbits.summary()["refused"] == 3)
        assert len(said) == 1
        assert f"no rule that it has loaded asks for {BIT}" in said[0]
        assert hostbits.summary()["works"]


def test_a_bit_that_stood_there_before_gets_its_time(tmp_path: Path) -> None:
    path, suricata = tmp_path / "command.socket", Suricata(BIT)
    suricata.bits[OFFENDER] = 1
    with serving(path, suricata), telling(path) as (hostbits, _):
        enter(hostbits)
        eventually(lambda: suricata.bits.get(OFFENDER, 0) > 3_000)


def test_a_sidecar_whose_suricata_hangs_alerts_and_ends_as_ever(tmp_path: Path) -> None:
    eve, path = tmp_path / "eve.json", tmp_path / "command.socket"
    eve.write_bytes(b"")
    command = [sys.executable, "-m", "hbids", "sidecar", str(eve), "--eve", str(tmp_path / "alerts.json")]
    command += ["--feedback", f"hostbits:{path}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with (
        serving(path, hangs),
        subprocess.Popen(command, stdout=nowhere, stderr=pipe, text=True, env=environment) as process,
    ):
        assert process.stderr
        while process.stderr.readline() != "ready\n":
            pass
        eve.write_bytes(eve_of(PCAPS / "scan_vuln_stafford.pcap").read_bytes())
        alerts = tmp_path / "alerts.json"
        eventually(lambda: alerts.exists() and "1016102" in alerts.read_text(), "the alert")
        process.terminate()
        assert process.wait(10) == 0
