"""Less than all that hbids' content makes Suricata show: each kind of event gives what it can, and says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hbids.facts import Finding, Verdict
from tests.conftest import PCAPS, REPOSITORY, missing, shared_path
from tests.sidecar.comparison import CONTENTS, compared
from tests.support.suricata import RULES, STOCK_RULES, eve_of, judged
from tools.sidecar_table import less_rows

CORPUS = REPOSITORY.parent / "shared" / "corpus"
PAGE = (REPOSITORY / "docs" / "sidecar.md").read_text()
EXPOSURE = "1016500"
BENIGN = sorted(path.name for path in PCAPS.glob("benign*.pcap") if "eap" not in path.name and "vpn" not in path.name)


def stock_rules() -> Path:
    if not STOCK_RULES.exists():
        missing(f"{STOCK_RULES}, which comes with Suricata")
    return STOCK_RULES


def logging(directory: Path, *types: str) -> Path:
    """Settings that make Suricata log these types of events."""
    path = directory / "types.yaml"
    items = "".join(f"        - {name}\n" for name in types)
    path.write_text(f"%YAML 1.1\n---\noutputs:\n  - eve-log:\n      enabled: yes\n      types:\n{items}")
    return path


def told(summary: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Of each endpoint that was attacked."""
    return [
        (each["verdict"], each["leaked_bytes"], each["leaked_bytes_estimated"])
        for each in summary["endpoints"]
        if each["verdict"] != "exposed"
    ]


def evidence(findings: list[Finding]) -> set[str]:
    return {finding.context["evidence"] for finding in findings if finding.verdict > Verdict.EXPOSED}


# --- of the corpus ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.glob("*.pcap*")))
def test_the_second_table_of_the_documentation_is_true(name: str) -> None:
    stock_rules()
    assert less_rows(CORPUS / name) in PAGE


@pytest.mark.parametrize("content", ["sizes", "stock"])
@pytest.mark.parametrize("name", BENIGN)
def test_benign_traffic_raises_nothing_but_exposure(name: str, content: str) -> None:
    stock_rules()
    assert compared(PCAPS / name, content=content).sidecar["alerts"].keys() <= {EXPOSURE}


# --- Suricata as it comes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "verdict", "leaked_bytes"),
    [
        ("scan_vuln_stafford.pcap", "leaked", 32_736),
        ("scan_vuln_masscan.pcap", "leaked", 16_381),
        ("evasion_tcp_segmented.pcap", "leaked", 98_286),
        ("scan_patched_nmap.pcap", "attempted", 0),
        ("benign_hb_openssl_tls.pcap", None, 0),
        ("benign_hb_gnutls_tls.pcap", None, 0),
    ],
)
def test_of_suricata_as_it_comes_leaks_are_estimated_by_what_went_out(
    name: str, verdict: str | None, leaked_bytes: int
) -> None:
    summary, findings = judged(eve_of(PCAPS / name, rules=stock_rules(), fragment=None))
    assert {said for said, _, _ in told(summary)} == ({verdict} if verdict else set())
    assert 0.75 * leaked_bytes <= summary["leaked_bytes_estimated"] <= 1.1 * leaked_bytes
    assert evidence(findings) <= {"eve-flow"}
    assert all("claimed_length" not in finding.context for finding in findings if finding.verdict > Verdict.EXPOSED)


SAME_SIDS_AS_EMERGING_THREATS = """\
alert tcp any any -> any any (msg:"request that claims more"; flow:established; content:"|18 03|"; startswith; \
content:"|01|"; offset:5; depth:1; byte_test:2,>,200,6; sid:2018372;)
alert tcp any any -> any any (msg:"large answer"; flow:established; content:"|18 03|"; startswith; \
byte_test:2,>,200,3; content:"|02|"; offset:5; depth:1; sid:2018377;)
"""


def test_alerts_of_emerging_threats_are_evidence(tmp_path: Path) -> None:
    rules = tmp_path / "et.rules"
    rules.write_text(SAME_SIDS_AS_EMERGING_THREATS)
    summary, findings = judged(eve_of(PCAPS / "scan_vuln_stafford.pcap", rules=rules, fragment=None))
    [(verdict, _, estimated)] = told(summary)
    assert verdict == "leaked"
    assert 0.75 * 32_736 <= estimated <= 1.1 * 32_736
    assert evidence(findings) == {"eve-flow"}


# --- netflow ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scan_vuln_stafford.pcap", "scan_patched_nmap.pcap", "benign_hb_openssl_tls.pcap"])
def test_netflow_says_what_flow_says_and_both_say_it_once(name: str, tmp_path: Path) -> None:
    said = []
    for types in (["flow"], ["netflow"], ["flow", "netflow"], ["netflow", "flow"]):
        settings = logging(tmp_path, "alert", "tls: {extended: yes}", *types)
        eve_of.cache_clear()
        summary, findings = judged(eve_of(PCAPS / name, rules=stock_rules(), fragment=settings))
        totals = {name: summary[name] for name in ("packets", "bytes", "flows", "tls_sessions", "heartbeats", "drops")}
        said.append((told(summary), totals, sorted(finding.sid for finding in findings)))
    assert said[1:] == said[:1] * 3


def test_netflow_of_one_direction_is_a_flow_too(tmp_path: Path) -> None:
    settings = logging(tmp_path, "alert", "netflow")
    lines = eve_of(PCAPS / "scan_patched_nmap.pcap", rules=stock_rules(), fragment=settings).read_bytes()
    one_way = [line for line in lines.splitlines() if b'"event_type":"netflow"' in line and b'"dest_port":8443' in line]
    (tmp_path / "eve.json").write_bytes(b"\n".join(one_way) + b"\n")
    summary, _ = judged(tmp_path / "eve.json")
    assert summary["flows"] == len([line for line in one_way if b'"app_proto":"tls"' in line]) > 0


# --- anomalies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("scan_patched_nmap.pcap", "attempted"), ("scan_vuln_sslyze.pcap", "probed")],
)
def test_an_anomaly_of_a_heartbeat_is_evidence_without_any_rule(name: str, verdict: str, tmp_path: Path) -> None:
    (tmp_path / "no.rules").touch()
    settings = logging(tmp_path, "anomaly", "tls", "flow")
    summary, findings = judged(eve_of(PCAPS / name, rules=tmp_path / "no.rules", fragment=settings))
    assert {said for said, _, _ in told(summary)} == {verdict}
    assert evidence(findings) == {"eve-flow"}


def test_other_anomalies_are_blind_spots_counted_by_name(tmp_path: Path) -> None:
    settings = logging(tmp_path, "anomaly: {types: {decode: yes, stream: yes, applayer: yes}}", "tls", "flow")
    summary, _ = judged(eve_of(PCAPS / "scan_vuln_masscan.pcap", rules=RULES, fragment=settings))
    names = summary["eve"]["anomalies"]
    assert names["stream.fin_but_no_session"] == summary["drops"]["eve_anomalies"] == 2


def test_names_of_anomalies_are_bounded(tmp_path: Path) -> None:
    names = ["stream.\x1b[2J", "", *(f"made_up_{number}" for number in range(1_000))]
    lines = [
        json.dumps(
            {
                "timestamp": "2026-11-24T10:00:00.000000+0000",
                "event_type": "anomaly",
                "anomaly": {"type": "stream", "event": name},
            }
        )
        for name in names
    ]
    (tmp_path / "eve.json").write_text("\n".join(lines) + "\n")
    summary, _ = judged(tmp_path / "eve.json")
    counts = summary["eve"]["anomalies"]
    assert sum(counts.values()) == len(names) == summary["drops"]["eve_anomalies"]
    assert len(counts) <= 65
    assert not any("\x1b" in name for name in counts)


# --- sizes of records -------------------------------------------------------------------------------------------------


def test_a_sealed_leak_is_told_by_the_sizes_of_records_alone() -> None:
    """filippo.io asks for 22 bytes more than it sends: no counter would show them."""
    comparison = compared(PCAPS / "scan_vuln_filippo.pcap", content="sizes")
    assert comparison.evidence == {"eve-frame"}
    assert told(comparison.sidecar) == told(comparison.replay) == [("leaked", 0, 22)]


@pytest.mark.parametrize("name", ["tls_encrypted_emul_cbc.pcap", "tls_encrypted_emul_harvest.pcap"])
def test_what_suricata_does_not_show_of_a_long_answer_is_estimated_by_the_flow(name: str) -> None:
    comparison = compared(shared_path("corpus") / name, content="sizes")
    assert comparison.evidence == {"eve-frame", "eve-flow"}
    leaked = comparison.replay["leaked_bytes_estimated"]
    assert leaked <= comparison.sidecar["leaked_bytes_estimated"] <= 1.01 * leaked


def test_no_byte_of_payload_is_logged() -> None:
    log = eve_of(PCAPS / "scan_vuln_stafford.pcap", *CONTENTS["sizes"]).read_text()
    events = [json.loads(line) for line in log.splitlines()]
    assert {"alert", "frame", "flow"} <= {event["event_type"] for event in events}
    assert not any(event.get("payload") or event.get("packet") for event in events)
    assert not any(event["frame"].get("payload") for event in events if "frame" in event)
