"""``hbids inspect``: our view and tshark's, side by side."""

from __future__ import annotations

import io
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dpkt
import numpy as np
import pytest

from hbids.facts import FRAME_DTYPE, FrameBatch
from hbids.pipeline.carve import FlowKey, carve
from tests.conftest import PCAPS, require_tool, run_hbids
from tests.detect.casebook import leaks
from tests.support import dtls, eap
from tests.support.conversation import TO_SERVER, frames_of, write_pcap

if TYPE_CHECKING:
    from pathlib import Path


def test_both_views_of_a_leak() -> None:
    require_tool("tshark")
    done = run_hbids("inspect", PCAPS / "scan_vuln_stafford.pcap")
    assert done.returncode == 0
    assert "-> 10.66.0.10:443  leaked" in done.stdout
    assert "1016102  HBIDS Heartbleed leak total, server: 16384 bytes in 1 answers so far" in done.stdout
    assert "to_server  tshark  2, 6 bytes (lengths 3, 3); Invalid heartbeat payload length (16384)" in done.stdout
    assert "to_server  hbids   2, 6 bytes" in done.stdout


def test_both_views_of_dtls(tmp_path: Path) -> None:
    require_tool("tshark")
    exchange = dtls.greeted()
    exchange.beat(TO_SERVER)
    done = run_hbids("inspect", write_pcap(tmp_path / "dtls.pcap", exchange.frames))
    assert done.returncode == 0
    assert "-> 10.0.0.2:4433  attempted" in done.stdout
    assert "to_server  tshark  1, 3 bytes (lengths 3)" in done.stdout
    assert "to_server  hbids   1, 3 bytes" in done.stdout


def test_both_views_of_openvpn() -> None:
    require_tool("tshark")
    done = run_hbids("inspect", PCAPS / "openvpn_scan_vuln_nmap.pcap")
    assert done.returncode == 0
    assert "-> 10.66.0.30:1194  leaked" in done.stdout
    assert "to_server  tshark  1, 22 bytes (lengths 22)" in done.stdout
    assert "to_server  hbids   1, 22 bytes" in done.stdout


@pytest.mark.parametrize(
    ("carrier", "name"),
    [(eap.Radius(), "10.0.0.9:50000 -> 10.0.0.2:1812"), (eap.Eapol(), "02:00:00:00:00:0a -> 02:00:00:00:00:0b")],
    ids=["RADIUS", "EAPOL"],
)
def test_both_views_of_eap(tmp_path: Path, carrier: eap.Radius | eap.Eapol, name: str) -> None:
    require_tool("tshark")
    honest = eap.greeted(eap.Radius(client=("10.0.0.8", 1))), eap.greeted(eap.Eapol(client="02:00:00:00:00:77"))
    frames = eap.frames_of(eap.attacked(carrier), *honest)
    done = run_hbids("inspect", write_pcap(tmp_path / "eap.pcap", frames))
    assert done.returncode == 0
    assert f"{name}  leaked" in done.stdout
    for ours, theirs in (
        ("to_server  hbids   1, 3 bytes", "1, 3 bytes"),
        ("to_client  hbids   2, 16,403", "2, 16,403"),
    ):
        assert ours in done.stdout
        assert f"tshark  {theirs}" in done.stdout


def test_flows_that_no_alert_tells_of_are_flagged_as_well(tmp_path: Path) -> None:
    done = run_hbids("inspect", write_pcap(tmp_path / "scan.pcap", frames_of(*leaks(9))), "--flows", "2")
    assert done.returncode == 0
    assert "Flagged flows: 9, shown: 2." in done.stdout


def test_nothing_flagged() -> None:
    done = run_hbids("inspect", PCAPS / "benign_hb_openssl_tls.pcap")
    assert done.returncode == 0
    assert done.stdout.startswith("Flagged flows: 0")


def test_standard_input_cannot_be_read_twice() -> None:
    done = run_hbids("inspect", "-")
    assert done.returncode == 2
    assert "save it to a file" in done.stderr


def test_works_without_tshark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run_hbids("inspect", PCAPS / "scan_vuln_stafford.pcap")
    assert done.returncode == 0
    assert "hbids: warning: tshark is not installed" in done.stderr
    assert "to_server  hbids   2, 6 bytes" in done.stdout
    assert "tshark" not in done.stdout


@pytest.mark.parametrize(("client", "server"), [("10.0.0.1", "10.0.0.2"), ("fd66::1", "fd66::2")])
def test_carving_keeps_frames_and_nanoseconds(client: str, server: str, tmp_path: Path) -> None:
    wanted = [frame(client, 1000, server, 443), frame(server, 443, client, 1000)]
    others = [frame(client, 1001, server, 443), frame(client, 443, server, 1000), b"\0" * 60]
    packets = [wanted[0], *others, wanted[1]]
    rows = np.zeros(len(packets), FRAME_DTYPE)
    rows["time_ns"] = 1_795_456_842_642_175_999 + np.arange(len(packets))
    rows["captured_bytes"] = [len(packet) for packet in packets]
    rows["offset"] = np.cumsum(rows["captured_bytes"]) - rows["captured_bytes"]
    rows["link_type"] = 1
    path = tmp_path / "carved.pcap"
    with path.open("wb") as target:
        left_out = carve([FrameBatch(b"".join(packets), rows)], [FlowKey(client, 1000, server, 443)], target)
    assert left_out == set()
    carved = path.read_bytes()
    assert [bytes(packet) for _, packet in dpkt.pcap.Reader(io.BytesIO(carved))] == wanted
    assert (642_175_999).to_bytes(4, "little") in carved


def test_carving_finds_flows_in_tunnels_and_the_fragments_of_their_hosts(tmp_path: Path) -> None:
    plain = frame("10.0.0.1", 1000, "10.0.0.2", 443)[14:]
    tunnel = b"\0" * 12 + b"\x08\0" + bytes(dpkt.ip.IP(src=b"\1" * 4, dst=b"\2" * 4, p=4, data=plain))
    first_fragment = b"\0" * 12 + b"\x08\0" + plain[:6] + b"\x20\0" + plain[8:]
    others = [frame("10.0.0.1", 1001, "10.0.0.2", 443)]
    packets = [tunnel, *others, first_fragment]
    rows = np.zeros(len(packets), FRAME_DTYPE)
    rows["captured_bytes"] = [len(packet) for packet in packets]
    rows["offset"] = np.cumsum(rows["captured_bytes"]) - rows["captured_bytes"]
    rows["link_type"] = 1
    path = tmp_path / "carved.pcap"
    with path.open("wb") as target:
        carve([FrameBatch(b"".join(packets), rows)], [FlowKey("10.0.0.2", 443, "10.0.0.1", 1000)], target)
    carved = [bytes(packet) for _, packet in dpkt.pcap.Reader(io.BytesIO(path.read_bytes()))]
    assert carved == [tunnel, first_fragment]


def frame(source: str, source_port: int, target: str, target_port: int) -> bytes:
    addresses = {"src": ip_address(source).packed, "dst": ip_address(target).packed}
    tcp = dpkt.tcp.TCP(sport=source_port, dport=target_port)
    if len(addresses["src"]) == 4:
        packet = dpkt.ip.IP(**addresses, p=6, data=tcp)
        return bytes(dpkt.ethernet.Ethernet(type=0x0800, data=packet))
    packet = dpkt.ip6.IP6(**addresses, nxt=6, plen=len(tcp), data=tcp)
    return bytes(dpkt.ethernet.Ethernet(type=0x86DD, data=packet))
