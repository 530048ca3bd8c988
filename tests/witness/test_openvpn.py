"""tshark agrees on TLS in OpenVPN's control channel: the same hellos, and the same records where each lies in one
packet, which is as far as tshark puts them together."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import NamedTuple

import pytest

from hbids.facts import CONTENT_TYPES, TlsStart
from tests.conftest import PCAPS, require_tool
from tests.support.decoding import decode_file

FIELDS = ("udp.srcport", "tls.record.content_type", "tls.record.length", "tls.handshake.ja3", "tls.handshake.ja3s")
HEARTBEAT = CONTENT_TYPES.index(24)


class Seen(NamedTuple):
    """What tshark sees of a capture."""

    records: Counter[tuple[int, int]]
    """By port of the sender and content type."""
    heartbeat_lengths: list[int]
    fingerprints: list[str]


def ask_tshark(name: str) -> Seen:
    command = [require_tool("tshark"), "-r", str(PCAPS / name), "-Y", "tls.record", "-d", "udp.port==1194,openvpn"]
    command += ["-T", "fields", *(word for field in FIELDS for word in ("-e", field))]
    seen = Seen(Counter(), [], [])
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        port, types, lengths, *fingerprints = line.split("\t")
        seen.fingerprints.extend(filter(None, fingerprints))
        for kind, length in zip(types.split(","), lengths.split(","), strict=True):
            seen.records[int(port), int(kind)] += 1
            if int(kind) == 24:
                seen.heartbeat_lengths.append(int(length))
    return seen


@pytest.mark.parametrize("name", ["benign_openvpn_udp.pcap", "openvpn_scan_vuln_nmap.pcap"])
def test_the_same_hellos(name: str, engine_name: str) -> None:
    decoded = decode_file(engine_name, PCAPS / name)
    (session,) = decoded.sessions
    assert session["start"] == TlsStart.OPENVPN
    assert ask_tshark(name).fingerprints == [session["ja3"].decode(), session["ja3s"].decode()]


def test_the_same_records(engine_name: str) -> None:
    decoded = decode_file(engine_name, PCAPS / "benign_openvpn_udp.pcap")
    (flow,) = decoded.flows
    ours = {
        (int(flow[port]), kind): count
        for port, way in (("client_port", "to_server"), ("server_port", "to_client"))
        for kind, count in zip(CONTENT_TYPES, flow[f"records_{way}"].tolist(), strict=True)
        if count
    }
    assert ours == ask_tshark("benign_openvpn_udp.pcap").records


def test_the_same_request(engine_name: str) -> None:
    decoded = decode_file(engine_name, PCAPS / "openvpn_scan_vuln_nmap.pcap")
    assert ask_tshark("openvpn_scan_vuln_nmap.pcap").heartbeat_lengths == [decoded.heartbeats["record_length"][0]]
    assert decoded.flows["records_to_server"][0, HEARTBEAT] == 1
