"""Which findings make an offender, by events of a real Suricata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hbids.assets import Asset
from hbids.config import Config
from hbids.config import Feedback as Settings
from hbids.feedback.hostbits import DryRun, Hostbits
from hbids.feedback.offenders import Offenders
from hbids.pipeline.eve_inputs import read_once
from hbids.pipeline.feedback import Feedback
from hbids.pipeline.sidecar import Sidecar
from tests.conftest import PCAPS, missing, run_hbids, shared_path
from tests.support.suricata import CONTENT, eve_of, suricata

STOCK_RULES = Path("/etc/suricata/rules/tls-events.rules")
ATTACKER = "10.66.9.66"


def feedback_of(*eves: Path, config: Config | None = None) -> dict[str, Any]:
    """What a dry run over files of EVE lines says in its summary."""
    config = config or Config()
    hostbits = Hostbits(Offenders(config.feedback), DryRun(), config.feedback, lambda _: None)
    sidecar = Sidecar(config=config, feedback=Feedback(config, hostbits))
    feedback: dict[str, Any] = read_once(sidecar, list(map(str, eves)), config.eve).summary()["feedback"]
    return feedback


def told(feedback: dict[str, Any]) -> set[str]:
    return {offender["ip"] for offender in feedback["offenders"]}


@pytest.mark.parametrize(
    ("capture", "offenders", "held_back"),
    [
        ("scan_vuln_stafford.pcap", {ATTACKER}, set()),  # an exploit took memory
        ("pcapng_scan_vuln_heartleech.pcapng", {ATTACKER}, set()),  # sealed
        ("reverse_pacemaker_client_vuln.pcap", {ATTACKER}, set()),  # a server took it from clients
        ("evasion_tcp_segmented.pcap", {ATTACKER}, set()),
        ("scan_vuln_filippo.pcap", set(), {"tool"}),  # a checker
        ("scan_vuln_masscan.pcap", set(), {"tool"}),  # a research scanner
        ("scan_patched_nmap.pcap", set(), set()),  # nothing was taken
        ("ipv6_scan_vuln_nmap.pcap", set(), {"ipv6"}),
        ("benign_hb_openssl_tls.pcap", set(), set()),
    ],
)
def test_who_took_memory_is_one(capture: str, offenders: set[str], held_back: set[str]) -> None:
    feedback = feedback_of(eve_of(PCAPS / capture))
    assert told(feedback) == offenders
    assert feedback["held_back"].keys() == held_back


@pytest.mark.parametrize(
    ("capture", "offenders"),
    [
        ("harvest_distributed_8src_stafford_real.pcap", 8),
        ("harvest_single_emul_4k.pcap", 1),
        ("lowslow_single_6days.pcap", 1),
        ("tls_encrypted_emul_harvest.pcap", 1),
    ],
)
def test_all_harvesters_are(capture: str, offenders: int) -> None:
    config = Config(feedback=Settings(expire_ns=10**18))  # nobody is over before the end
    assert len(told(feedback_of(eve_of(shared_path("corpus") / capture), config=config))) == offenders


def test_a_datagram_proves_no_address() -> None:
    feedback = feedback_of(eve_of(shared_path("corpus") / "dtls_vuln_encrypted_emul.pcap"))
    assert (told(feedback), feedback["held_back"].keys()) == (set(), {"forgeable"})


def test_an_estimate_by_the_flow_is_not_enough() -> None:
    """Of Suricata as it comes, with its own rules."""
    if not STOCK_RULES.exists():
        missing(f"{STOCK_RULES}, which comes with Suricata")
    feedback = feedback_of(eve_of(PCAPS / "scan_vuln_stafford.pcap", rules=STOCK_RULES, fragment=None))
    assert (told(feedback), feedback["held_back"].keys()) == (set(), {"estimated"})


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (Config(authorized_scanners=(f"{ATTACKER}/32",)), "authorized_scanner"),
        (Config(home_networks=("10.66.0.0/16",)), "home"),
        (Config(assets=(Asset(ATTACKER, ("mail",)),)), "asset"),
        (Config(assets=(Asset(f"{ATTACKER}:25", ("mail",)),)), "asset"),
    ],
)
def test_who_is_ours_is_none_even_if_he_harvests(config: Config, reason: str) -> None:
    for path in (PCAPS / "scan_vuln_stafford.pcap", shared_path("corpus") / "harvest_single_emul_4k.pcap"):
        feedback = feedback_of(eve_of(path), config=config)
        assert told(feedback) == set()
        assert reason in feedback["held_back"]


def test_where_the_line_is_drawn_can_be_moved() -> None:
    patched, leaking = (eve_of(PCAPS / f"scan_{which}.pcap") for which in ("patched_nmap", "vuln_stafford"))
    for verdict, offenders in (("attempted", {ATTACKER}), ("harvested", set[str]())):
        config = Config(feedback=Settings(verdict=verdict))
        assert told(feedback_of(leaking, config=config)) == offenders
        assert told(feedback_of(patched, config=config)) == set()  # by a checker, which took nothing


def test_the_example_rules_are_taken_by_suricata(tmp_path: Path) -> None:
    said = suricata("-T", "-l", tmp_path, rules=CONTENT / "offenders.rules")
    assert [line for line in said.splitlines() if line.startswith(("W:", "E:", "Warning", "Error"))] == []
    drop = (CONTENT / "offenders.rules").read_text().replace("\n#drop", "\ndrop")
    (tmp_path / "drop.rules").write_text(drop)
    suricata("-T", "-l", tmp_path, rules=tmp_path / "drop.rules")


def test_a_dry_run_over_old_events_says_what_would_have_been() -> None:
    eve = eve_of(PCAPS / "scan_vuln_stafford.pcap")
    done = run_hbids(
        "sidecar", "--once", "--feedback", "hostbits", "--feedback-dry-run", "--home-net", "10.66.0.0/24", eve
    )
    assert done.returncode == 0
    assert f"dry run: would set hostbit hbids.offender of {ATTACKER} for 3,600 s, by 1016100" in done.stderr
    assert "1 offender would have been told to Suricata" in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--once", "--feedback", "hostbits"), "add --feedback-dry-run"),
        (("--feedback", "blacklist"), "write hostbits, or hostbits:SOCKET"),
        (("--feedback-dry-run",), "of what? Add --feedback hostbits"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    (tmp_path / "eve.json").touch()
    done = run_hbids("sidecar", *options, tmp_path / "eve.json")
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_a_verdict_that_is_none_is_told_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "hbids.yaml").write_text("feedback:\n  verdict: severe\n")
    done = run_hbids("sidecar", "--config", tmp_path / "hbids.yaml", "eve.json")
    assert done.returncode == 2
    assert "hbids.yaml:2" in done.stderr
    assert "write attempted, leaked or harvested" in done.stderr
