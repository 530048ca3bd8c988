"""A real Suricata reads the captures; of its events the sidecar must make what replay makes of the packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import PCAPS, REPOSITORY
from tests.sidecar.comparison import TOOLS_UNKNOWN, compared
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
