"""A user's rule fires because of what hbids told Suricata; a scanner of ours and a host of ours are never told of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PCAPS, REPOSITORY
from tests.support.framing import ETHERNET, ipv4, tcp, with_checksum
from tests.support.live_suricata import LiveSuricata
from tests.support.suricata import CONTENT, RULES
from tests.support.wire import Wire, eventually, open_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFENDER, SERVER = "10.66.9.66", "10.66.0.10"
COMES_AGAIN = 1000001
BIT = "hbids.offender"
ATTACK = PCAPS / "scan_vuln_stafford.pcap"
EXPIRE_S = 8


@pytest.fixture
def suricata(tmp_path: Path) -> Iterator[LiveSuricata]:
    """With the rules that hbids ships, those for offenders among them."""
    rules = tmp_path / "all.rules"
    rules.write_text(RULES.read_text() + (CONTENT / "offenders.rules").read_text())
    with open_wire() as wire:
        for end in ("in0", "out0"):
            wire.link(end, "mtu", "9000")
        with LiveSuricata(wire, tmp_path, rules) as suricata:
            yield suricata


@contextmanager
def sidecar(suricata: LiveSuricata, configuration: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Follows that Suricata and tells it of offenders."""
    folder = suricata.folder
    (folder / "hbids.yaml").write_text(configuration)
    command = [sys.executable, "-m", "hbids", "sidecar", "--config", "hbids.yaml", "--summary", "summary.json"]
    command += ["--feedback", f"hostbits:{suricata.command_socket}", *arguments, str(suricata.eve)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, text=True, env=environment)
    try:
        eventually(lambda: "ready\n" in (folder / "said").read_text(), "the sidecar")
        yield process
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()


def knock(wire: Wire) -> None:
    """The offender sends something that is no attack."""
    segment = with_checksum(OFFENDER, SERVER, tcp(40_000, 22, 1, 0, 0x02))
    wire.send([("in0", ETHERNET.wrap(ipv4(OFFENDER, SERVER, 64, segment)))])


def summary(folder: Path) -> dict[str, Any]:
    feedback: dict[str, Any] = json.loads((folder / "summary.json").read_text())["feedback"]
    return feedback


def test_a_rule_of_the_user_fires_until_the_bit_is_over_and_again_after_a_restart(suricata: LiveSuricata) -> None:
    configuration = f"home_networks: [10.66.0.0/24]\nfeedback: {{expire_s: {EXPIRE_S}, retry_s: 1}}\n"
    knock(suricata.wire)
    with sidecar(suricata, configuration) as process:
        suricata.wire.replay(ATTACK)
        eventually(lambda: BIT in suricata.hostbits(OFFENDER), "the bit")
        assert 0 < suricata.hostbits(OFFENDER)[BIT] <= EXPIRE_S
        knock(suricata.wire)
        eventually(lambda: suricata.alerts(COMES_AGAIN), "the alert of the user's rule")
        assert {alert["src_ip"] for alert in suricata.alerts(COMES_AGAIN)} == {OFFENDER}
        assert suricata.hostbits(SERVER) == {}

        eventually(lambda: suricata.hostbits(OFFENDER)[BIT] < EXPIRE_S - 3, "half of the time")
        suricata.wire.replay(ATTACK)
        eventually(lambda: suricata.hostbits(OFFENDER)[BIT] > EXPIRE_S - 3, "more time, since he goes on")
        eventually(lambda: suricata.hostbits(OFFENDER) == {}, "the end of the bit")

        suricata.wire.replay(ATTACK)
        eventually(lambda: BIT in suricata.hostbits(OFFENDER), "the bit, set for the second time")
        suricata.end(kill=True)
        suricata.start()
        suricata.wire.replay(ATTACK)
        eventually(lambda: BIT in suricata.hostbits(OFFENDER), "the bit at another Suricata")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    told = summary(suricata.folder)
    assert told["refreshed"] >= 1
    assert told["set"] == 2
    assert told["set_again"] >= 1


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        (f"authorized_scanners: [{OFFENDER}]\n", "authorized_scanner"),
        ("home_networks: [10.66.0.0/16]\n", "home"),
        (f"assets: {{'{OFFENDER}': [mail]}}\n", "asset"),
    ],
)
def test_who_is_ours_is_never_told_of(suricata: LiveSuricata, configuration: str, reason: str) -> None:
    with sidecar(suricata, configuration, "--eve", "alerts.json"):
        suricata.wire.replay(ATTACK)
        alerts = suricata.folder / "alerts.json"
        eventually(lambda: alerts.exists() and "1016102" in alerts.read_text(), "the leak")
        knock(suricata.wire)
    assert suricata.hostbits(OFFENDER) == {}
    assert suricata.alerts(COMES_AGAIN) == []
    told = summary(suricata.folder)
    assert told["offenders"] == []
    assert told["held_back"].keys() == {reason}


def test_a_dry_run_says_it_and_does_nothing(suricata: LiveSuricata) -> None:
    with sidecar(suricata, "", "--feedback-dry-run"):
        suricata.wire.replay(ATTACK)
        said = suricata.folder / "said"
        eventually(lambda: f"dry run: would set hostbit {BIT} of {OFFENDER} for" in said.read_text(), "the line")
    assert suricata.hostbits(OFFENDER) == {}
    assert summary(suricata.folder)["dry_run"] is True
