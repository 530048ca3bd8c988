"""A real Suricata reads the captures; of its events the sidecar must make what replay makes of the packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from hbids.facts import Verdict
from tests.conftest import PCAPS, REPOSITORY, missing
from tests.sidecar.comparison import TOOLS_UNKNOWN, compared
from tests.support.suricata import eve_of, judged
from tools.sidecar_table import table_row

CORPUS = REPOSITORY.parent / "shared" / "corpus"
SHIPPED = sorted(
    path for path in PCAPS.glob("*.pcap*") if not path.name.startswith(("benign_eap", "benign_openvpn", "openvpn"))
)
"""Suricata does not look into OpenVPN, nor into EAP."""
CAPTURES = {path.name: path for path in [*SHIPPED, *sorted(CORPUS.glob("*.pcap*"))]}
EXPOSURE = "1016500"
WHAT_HAPPENED = (
    "verdict",
    "heartbeat_requests",
    "overread_requests",
    "sealed_requests",
    "leaking_answers",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "sources",
    "accepts_heartbeat_extension",
)


@pytest.fixture(params=CAPTURES)
def capture(request: pytest.FixtureRequest) -> Path:
    path: Path = CAPTURES[request.param]
    return path


def test_each_endpoint_has_the_verdict_and_the_bytes_of_a_replay(capture: Path) -> None:
    replay, sidecar = compared(capture).endpoints(*WHAT_HAPPENED)
    assert sidecar == replay


def test_leaks_have_their_times_and_patches_are_proved_only_where_a_replay_proves_them(capture: Path) -> None:
    replay, sidecar = compared(capture).endpoints("exposure")
    for endpoint, (exposure,) in sidecar.items():
        (whole,) = replay[endpoint]
        assert (exposure["first_leak"], exposure["last_leak"]) == (whole["first_leak"], whole["last_leak"])
        if exposure["first_patched"]:
            assert whole["first_patched"] <= exposure["first_patched"] <= whole["last_patched"]
        assert exposure["leaked_bytes"] == whole["leaked_bytes"]


def test_the_tools_are_known(capture: Path) -> None:
    if capture.name in TOOLS_UNKNOWN:
        return
    replay, sidecar = compared(capture).endpoints("tools")
    assert sidecar == replay


def test_benign_traffic_raises_nothing_but_exposure(capture: Path) -> None:
    if capture.name.startswith("benign"):
        assert compared(capture).sidecar["alerts"].keys() <= {EXPOSURE}


def test_each_alert_says_what_it_rests_on(capture: Path) -> None:
    assert compared(capture).evidence <= {"eve-alert"}


@pytest.mark.parametrize("name", ["scan_vuln_stafford.pcap", "pcapng_scan_vuln_heartleech.pcapng"])
def test_both_engines_read_what_suricata_tells(name: str, engine_name: str) -> None:
    replay, sidecar = compared(PCAPS / name, engine_name).endpoints(*WHAT_HAPPENED)
    assert sidecar == replay


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.glob("*.pcap*")))
def test_the_table_of_the_documentation_is_true(name: str) -> None:
    assert table_row(CORPUS / name) in (REPOSITORY / "docs" / "sidecar.md").read_text()


STOCK = Path("/etc/suricata/rules/tls-events.rules")


@pytest.mark.parametrize(
    ("name", "verdict", "leaked_bytes"),
    [
        ("scan_vuln_stafford.pcap", "leaked", 32_736),
        ("scan_vuln_masscan.pcap", "leaked", 16_381),
        ("evasion_tcp_segmented.pcap", "leaked", 98_286),
        ("benign_hb_openssl_tls.pcap", None, 0),
        ("benign_hb_gnutls_tls.pcap", None, 0),
    ],
)
def test_of_suricata_as_it_comes_leaks_are_estimated_by_what_went_out(
    name: str, verdict: str | None, leaked_bytes: int
) -> None:
    if not STOCK.exists():
        missing(f"{STOCK}, which comes with Suricata")
    summary, findings = judged(eve_of(PCAPS / name, rules=STOCK, fragment=None))
    told = [(each["verdict"], each["leaked_bytes"]) for each in summary["endpoints"] if each["verdict"] != "exposed"]
    assert told == ([(verdict, 0)] if verdict else [])
    assert 0.75 * leaked_bytes <= summary["leaked_bytes_estimated"] <= 1.1 * leaked_bytes
    evidence = [finding.context for finding in findings if finding.verdict > Verdict.EXPOSED]
    assert all(context["evidence"] == "eve-flow" and "claimed_length" not in context for context in evidence)
