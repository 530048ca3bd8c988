"""``python -m benchmarks.sidecar_soak``: a live Suricata, attacks on its wire, its eve.json rotated every few seconds,
and two sidecars that follow it. One is left alone, the other killed (SIGKILL) at random and started again; in the end
both must have told the same alerts, each once. Needs root, Suricata and tcpreplay."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import REPOSITORY, Failed
from benchmarks.wire import FAR, NEAR, Wire, open_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CAPTURES",
    "CONTENT",
    "PATIENCE_S",
    "SAVE_OFTEN",
    "Sidecar",
    "catch_up",
    "compare",
    "end",
    "prepare",
    "send",
    "suricata",
]

CONTENT = REPOSITORY / "signatures" / "suricata"
CAPTURES = (
    "scan_vuln_stafford.pcap",
    "scan_vuln_masscan.pcap",
    "scan_vuln_sslyze.pcap",
    "reverse_pacemaker_client_vuln.pcap",
    "evasion_tcp_segmented.pcap",
    "pcapng_scan_vuln_heartleech.pcapng",
    "benign_hb_openssl_tls.pcap",
)
PACKETS_A_SECOND = 200
LOOPS = 4
"""Each with addresses of its own."""
SAVE_OFTEN = "memory:\n  save_interval_s: 0.3\n"
SOON_OVER = "flow-timeouts.tcp.closed: 2\nflow-timeouts.tcp.established: 4\nflow-timeouts.tcp.new: 4\n"
"""Flows end while somebody watches."""
PATIENCE_S = 60.0


class Sidecar:
    """One that follows eve.json, or reads another source."""

    def __init__(self, folder: Path, name: str, source: str = "eve.json") -> None:
        self._folder, self._name, self._source = folder, name, source
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = [sys.executable, "-m", "hbids", "sidecar", "--config", "hbids.yaml", "--state", f"{self._name}.state"]
        command += ["--eve", f"{self._name}.json", "--summary", f"{self._name}.summary", self._source]
        log = (self._folder / f"{self._name}.log").open("ab")
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, env=environment)
        log.close()

    def end(self, number: int) -> None:
        """With a signal."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        """If it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)

    def summary(self) -> dict[str, Any]:
        """Of the run that has ended."""
        summary: dict[str, Any] = json.loads((self._folder / f"{self._name}.summary").read_bytes())
        return summary

    def alerts(self) -> dict[str, list[str]]:
        """What each of them says, by its id."""
        told: dict[str, list[str]] = {}
        for line in (self._folder / f"{self._name}.json").read_bytes().rpartition(b"\n")[0].splitlines():
            alert = json.loads(line)["alert"]
            name = alert["context"]["hbids"]["alert_id"]
            text = f"{alert['signature_id']} {alert['source']['ip']} to {alert['target']['ip']}: {alert['signature']}"
            told.setdefault(name, []).append(text)
        return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds; 1 when the alerts differ or something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar_soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of all captures")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    args = parser.parse_args(arguments)
    try:
        with open_wire() as wire, tempfile.TemporaryDirectory() as folder:
            return _soak(wire, Path(folder), args.rounds, random.Random(args.seed))  # noqa: S311  no secret
    except Failed as error:
        print(error, file=sys.stderr)
        return 1


def _soak(wire: Wire, folder: Path, rounds: int, dice: random.Random) -> int:
    prepare(wire, folder)
    process = suricata(wire, folder)
    undisturbed, disturbed = Sidecar(folder, "undisturbed"), Sidecar(folder, "disturbed")
    kills = rotations = 0
    try:
        for sidecar in (undisturbed, disturbed):
            sidecar.start()
        time.sleep(3)
        for name in CAPTURES:
            attack = send(wire, name, rounds * LOOPS)
            while attack.poll() is None:
                time.sleep(dice.uniform(0, 2))
                if dice.random() < 0.4 and (folder / "eve.json").exists():
                    rotations += 1
                    _rotate(folder, process, rotations)
                if dice.random() < 0.7:
                    kills += 1
                    disturbed.end(signal.SIGKILL)
                    disturbed.start()
            if attack.returncode != 0:
                raise Failed(f"tcpreplay ended with {attack.returncode}")
        time.sleep(12)  # until the last flows are over
        end(process)
        catch_up(undisturbed, disturbed)
        for sidecar in (undisturbed, disturbed):
            sidecar.end(signal.SIGTERM)
    finally:
        end(process)
        for sidecar in (undisturbed, disturbed):
            sidecar.kill()
    return compare(undisturbed.alerts(), disturbed.alerts(), f"{rounds} rounds, {rotations} rotations, {kills} kills")


def catch_up(one: Sidecar, other: Sidecar) -> None:
    """Wait until both have told the same, as far as that comes to be."""
    time.sleep(5)
    deadline_s = time.monotonic() + PATIENCE_S
    while one.alerts().keys() != other.alerts().keys() and time.monotonic() < deadline_s:
        time.sleep(1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a Suricata end, if it still runs."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def prepare(wire: Wire, folder: Path) -> None:
    """Make the wire take all frames of the captures, and sidecars save often."""
    for end in (NEAR, FAR):
        subprocess.run(wire.inside("ip", "link", "set", end, "mtu", "9000"), check=True)
    (folder / "hbids.yaml").write_text(SAVE_OFTEN)


def compare(expected: dict[str, list[str]], told: dict[str, list[str]], what: str) -> int:
    """Print both counts and each difference; 1 if there is one, or nothing."""
    print(f"{what}: {len(expected)} alerts undisturbed, {len(told)} disturbed")
    wrong = 0
    for name in {**expected, **told}:
        times = len(expected.get(name, ())), len(told.get(name, ()))
        if times != (1, 1):
            wrong += 1
            print(f"{times[0]} and {times[1]} times: {(expected.get(name) or told[name])[0]}")
    return 1 if wrong or not expected else 0


def suricata(wire: Wire, folder: Path, fragment: Path = CONTENT / "hbids.yaml") -> subprocess.Popen[bytes]:
    """One that listens at the far end and writes into the folder. Raises Failed."""
    (folder / "suricata.pid").unlink(missing_ok=True)
    (folder / "soon.yaml").write_text(f"%YAML 1.1\n---\n{SOON_OVER}")
    options = [f"--include={fragment}", f"--include={folder / 'soon.yaml'}"]
    options += ["-S", str(CONTENT / "hbids.rules"), "-k", "none", f"--af-packet={FAR}", "-l", str(folder)]
    options += [f"--pidfile={folder / 'suricata.pid'}", "--set", "unix-command.enabled=no"]
    command = wire.inside("suricata", "-c", "/etc/suricata/suricata.yaml", *options)
    log = (folder / "suricata.out").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    log.close()
    deadline = time.monotonic() + PATIENCE_S
    while b"Engine started" not in (folder / "suricata.out").read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed((folder / "suricata.out").read_text())
        time.sleep(0.1)
    return process


def send(wire: Wire, name: str, loops: int) -> subprocess.Popen[bytes]:
    """Send a capture again and again, with addresses of their own each time."""
    command = ["tcpreplay", "-q", "-i", NEAR, "--pps", str(PACKETS_A_SECOND), "--unique-ip", f"--loop={loops}"]
    command.append(str(REPOSITORY / "pcaps" / name))
    return subprocess.Popen(wire.inside(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _rotate(folder: Path, process: subprocess.Popen[bytes], number: int) -> None:
    """As logrotate does: rename, then SIGHUP."""
    (folder / "eve.json").rename(folder / f"eve.json.{10_000 - number}")
    process.send_signal(signal.SIGHUP)


if __name__ == "__main__":
    sys.exit(main())
