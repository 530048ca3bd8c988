"""``hbids sniff`` as its users meet it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import dpkt
import jsonschema
import pytest

from tests.conftest import PCAPS, require_tool, run_hbids, shared_path
from tests.support.wire import Sniffer, Wire, eventually

STAFFORD = PCAPS / "scan_vuln_stafford.pcap"
LEAK = 1016100
BLIND = 1016900


def sids(sniffer: Sniffer) -> set[int]:
    return {alert["alert"]["signature_id"] for alert in sniffer.alerts}


def refused(wire: Wire, *arguments: str) -> tuple[int, str]:
    command = wire.inside(sys.executable, "-m", "hbids", "sniff", *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


def frames_of(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [bytes(frame) for _, frame in dpkt.pcap.Reader(file)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_leak_is_told_while_it_listens_and_a_signal_ends_it_well(
    wire: Wire, tmp_path: Path, number: signal.Signals
) -> None:
    with Sniffer(wire, tmp_path / "live", signal=number) as sniffer:
        wire.replay(STAFFORD)
        eventually(lambda: LEAK in sids(sniffer))
    assert sniffer.status == 0
    assert sniffer.summary["leaked_bytes"] == 32_736
    assert {alert["in_iface"] for alert in sniffer.alerts} == {"out0"}
    assert not any("pcap_cnt" in alert for alert in sniffer.alerts)
    assert "LEAKED 32,736 bytes" in (sniffer.folder / "stdout").read_text()


def test_silence_ends_as_well(wire: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live") as sniffer:
        pass
    assert sniffer.status == 0
    assert sniffer.summary["packets"] == 0


def test_every_event_is_one_that_suricata_could_have_written(wire: Wire, tmp_path: Path) -> None:
    schema = json.loads((shared_path("eve-schema") / "schema.json").read_text())
    with Sniffer(wire, tmp_path / "live") as sniffer:
        wire.replay(PCAPS / "vlan100_scan_vuln_stafford.pcap")
    assert [
        error.message for event in sniffer.events for error in jsonschema.Draft7Validator(schema).iter_errors(event)
    ] == []
    assert {event["event_type"] for event in sniffer.events} == {"alert", "stats"}


def test_tags_that_the_kernel_takes_off_are_put_back(wire: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live") as sniffer:
        wire.replay(PCAPS / "qinq_scan_vuln_pacemaker.pcap")
    assert {tuple(alert["vlan"]) for alert in sniffer.alerts} == {(200, 100)}


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("tcp port 443", {"scan_vuln_stafford", "vlan100_scan_vuln_stafford"}),  # the kernel has taken the tag off
        ("vlan 100 and tcp", {"vlan100_scan_vuln_stafford"}),
        ("udp", set()),
    ],
)
def test_a_filter_lets_through_what_it_says(wire: Wire, tmp_path: Path, expression: str, wanted: set[str]) -> None:
    captures = [PCAPS / f"{name}.pcap" for name in ("scan_vuln_stafford", "vlan100_scan_vuln_stafford")]
    with Sniffer(wire, tmp_path / "live", ("out0", "--filter", expression)) as sniffer:
        for path in captures:
            wire.replay(path)
    frames = [frame for path in captures if path.stem in wanted for frame in frames_of(path)]
    assert sniffer.summary["packets"] == sum(b"\x08\x00\x45" in frame[12:20] for frame in frames)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nope0"], 2, ["nope0: no such interface", "out0"]),
        (["out0", "--filter", "tcp portt 443"], 2, ["--filter 'tcp portt 443'", "'portt' (character 5)"]),
        (["out0", "--filter", "host 10.0.0.300"], 2, ["invalid IPv4 address '10.0.0.300'", "(character 6)"]),
        (["out0", "--filter", "tcp and (port 443"], 2, ["at its end"]),
        (["out0", "--hardware-timestamps"], 1, ["out0: its hardware cannot stamp", "ethtool -T out0"]),
        (["out0", "--workers", "0"], 2, ["'0' is not a number from 1 to 256"]),
        (["out0", "--user", "nobody-of-that-name"], 2, ["--user", "nobody-of-that-name"]),
        (["out0", "--backend", "scapy", "--pcap-ring", "ring"], 2, ["--pcap-ring", "need --backend ring"]),
        (["out0", "--engine", "reference", "--workers", "2"], 2, ["--workers", "need --backend ring"]),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_remedy(
    wire: Wire, arguments: list[str], status: int, words: list[str]
) -> None:
    ended, said = refused(wire, *arguments)
    assert ended == status, said
    assert [word for word in words if word not in said] == []


def test_without_the_capability_it_says_how_to_give_it(wire: Wire) -> None:
    unprivileged = (require_tool("setpriv"), "--reuid", "65534", "--clear-groups")
    command = wire.inside(*unprivileged, sys.executable, "-m", "hbids", "sniff", "out0")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert [word for word in ("CAP_NET_RAW", "setcap", "systemd") if word not in done.stderr] == []


def test_once_it_listens_it_has_no_privileges(wire: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live", user="nobody") as sniffer:
        status = Path(f"/proc/{sniffer.process.pid}/status").read_text()
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        threads = list(Path(f"/proc/{sniffer.process.pid}/task").iterdir())
        capabilities = {
            line
            for thread in threads
            for line in (thread / "status").read_text().splitlines()
            if line.startswith("Cap")
        }
        wire.replay(STAFFORD)
    assert set(facts["Uid"].split()) == {"65534"}
    assert facts["Groups"].split() == []
    assert facts["NoNewPrivs"] == "1"
    assert {line.split()[1].strip("0") for line in capabilities} == {""}
    assert len(threads) > 1
    assert sniffer.status == 0
    assert LEAK in sids(sniffer)


def test_what_the_kernel_drops_is_counted_to_the_last_frame_and_told(wire: Wire, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("capture: {ring_bytes: 2097152, block_bytes: 1048576, stats_interval_s: 0.2}\n")
    sent = len(frames_of(PCAPS / "scan_vuln_masscan.pcap")) * 200
    with Sniffer(wire, tmp_path / "live", ("out0", "--config", config)) as sniffer:
        sniffer.process.send_signal(signal.SIGSTOP)
        wire.replay(PCAPS / "scan_vuln_masscan.pcap", packets_a_second=0, loops=200)
        sniffer.process.send_signal(signal.SIGCONT)
        eventually(lambda: BLIND in sids(sniffer))
    interface = sniffer.summary["interfaces"]["out0"]
    assert interface["kernel_packets"] == sent
    assert interface["kernel_drops"] == sent - interface["frames"] > 0
    assert sniffer.summary["drops"]["kernel_drops"] == interface["kernel_drops"]
    [alert] = [alert for alert in sniffer.alerts if alert["alert"]["signature_id"] == BLIND]
    assert alert["alert"]["context"]["hbids"]["frames_lost"] == interface["kernel_drops"]
    statistics = [event["stats"]["capture"] for event in sniffer.events if event["event_type"] == "stats"]
    assert statistics[-1]["kernel_drops"] == interface["kernel_drops"]


def test_an_interface_that_goes_down_is_told_and_heard_again(wire: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live") as sniffer:
        wire.link("out0", "down")
        eventually(lambda: any("out0: went down" in line for line in sniffer.said))
        wire.link("out0", "up")
        eventually(lambda: any("out0: is up again" in line for line in sniffer.said))
        wire.replay(STAFFORD)
        eventually(lambda: LEAK in sids(sniffer))
    assert sniffer.status == 0
    assert sniffer.summary["interfaces"]["out0"]["interface_downs"] == 1


def test_an_interface_that_is_gone_is_told_and_the_last_one_ends_the_run(wire: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live", ("out0", "out1")) as sniffer:
        wire.run("ip", "link", "del", "in1")
        eventually(lambda: any("out1: is gone" in line for line in sniffer.said))
        wire.replay(STAFFORD)
        eventually(lambda: LEAK in sids(sniffer))
        wire.run("ip", "link", "del", "in0")
        assert sniffer.process.wait(30) == 1
    assert sniffer.summary["leaked_bytes"] == 32_736


@pytest.mark.parametrize("workers", [1, 2])
def test_the_two_legs_of_a_tap_are_one_conversation(wire: Wire, tmp_path: Path, workers: int) -> None:
    frames = frames_of(STAFFORD)
    client = frames[0][6:12]
    legs = [("in0" if frame[6:12] == client else "in1", frame) for frame in frames]
    with Sniffer(wire, tmp_path / "live", ("out0", "out1", "--workers", str(workers))) as sniffer:
        wire.send(legs)
    assert sniffer.summary["leaked_bytes"] == 32_736
    assert sniffer.summary["flows"] == 1
    assert {name: counted["frames"] for name, counted in sniffer.summary["interfaces"].items()} == {
        f"out{leg}": sum(name == f"in{leg}" for name, _ in legs) for leg in (0, 1)
    }
    assert {alert["in_iface"] for alert in sniffer.alerts} == {"out0,out1"}


@pytest.mark.parametrize("arguments", [("--backend", "scapy"), ("--engine", "reference")])
def test_without_rings_it_finds_the_same_and_says_what_it_lacks(
    wire: Wire, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with Sniffer(wire, tmp_path / "live", ("out0", *arguments)) as sniffer:
        wire.replay(PCAPS / "vlan100_scan_vuln_stafford.pcap", packets_a_second=500)
        eventually(lambda: LEAK in sids(sniffer))
    assert sniffer.status == 0
    assert {tuple(alert["vlan"]) for alert in sniffer.alerts} == {(100,)}
    assert sniffer.summary["engine"] == ("reference" if "reference" in arguments else "native")
    assert any("what the kernel drops is not counted" in line for line in sniffer.said)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_packets_of_alerts_are_kept_for_their_owner_alone(wire: Wire, tmp_path: Path, workers: int) -> None:
    ring = tmp_path / "ring"
    arguments = ("out0", "--pcap-ring", ring, "--workers", str(workers))
    with Sniffer(wire, tmp_path / "live", arguments) as sniffer:
        wire.replay(PCAPS / "benign_hb_openssl_tls.pcap")
        wire.replay(STAFFORD)
        eventually(lambda: LEAK in sids(sniffer))
    assert any("leaked memory" in line for line in sniffer.said)
    [path] = ring.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert ring.stat().st_mode & 0o777 == 0o700
    kept = frames_of(path)
    assert [frame for frame in frames_of(STAFFORD) if frame in kept] == [
        frame for frame in frames_of(STAFFORD) if frame[12:14] == b"\x08\x00"
    ]
    replayed = run_hbids("replay", path)
    assert "LEAKED 32,736 bytes" in replayed.stdout


def test_no_more_packets_are_kept_than_allowed(wire: Wire, tmp_path: Path) -> None:
    ring, config = tmp_path / "ring", tmp_path / "config.yaml"
    config.write_text("capture: {pcap_ring_bytes: 2097152, pcap_ring_wait_s: 0.1}\n")
    ring.mkdir()
    old = [ring / f"hbids-alert-20200101T00000{number}-000000000.pcap" for number in range(4)]
    for path in old:
        path.write_bytes(bytes(1 << 20))
    (ring / "notes.txt").write_bytes(bytes(4 << 20))
    with Sniffer(wire, tmp_path / "live", ("out0", "--pcap-ring", ring, "--config", config)) as sniffer:
        wire.replay(STAFFORD)
        eventually(lambda: LEAK in sids(sniffer))
    assert [path.exists() for path in old] == [False, False, False, True]
    assert (ring / "notes.txt").exists()


def test_from_python_alerts_come_as_they_are_made(wire: Wire) -> None:
    program = """
import sys, hbids
alerts = hbids.sniff("out0")
import threading, subprocess
threading.Timer(1.5, subprocess.run, [["tcpreplay", "-q", "-i", "in0", sys.argv[1]]], {"capture_output": True}).start()
print(next(alert["alert"]["signature_id"] for alert in alerts if alert["alert"]["severity"] == 1))
"""
    done = wire.run(sys.executable, "-c", program, STAFFORD)
    assert done.stdout.split() == [str(LEAK)]
