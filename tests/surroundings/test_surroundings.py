"""What a user says of his network changes how alerts are graded and told, and never what happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import hbids
from hbids.assets import Asset
from hbids.config import Config
from hbids.eve.event import alert
from hbids.facts import Facts
from hbids.pipeline import Analysis
from hbids.signatures import shipped
from tests.conftest import run_hbids, shared_path
from tests.detect.casebook import leak, leaks
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, frames_of, write_pcap
from tests.support.judging import alerts, judge

if TYPE_CHECKING:
    from pathlib import Path

    from hbids.facts import Finding
    from hbids.pipeline import Result

SCANNER, STRANGER, SERVER = "10.9.0.5", "203.0.113.66", "10.1.0.25"
LEAK, ATTEMPT, EXPOSURE, HARVEST, UNPATCHED = 1016100, 1016001, 1016500, 1016300, 1016110
MAIL = Config(assets=(Asset("10.1.0.0/24", ("mail",)),))
OUR_SCANNER = Config(authorized_scanners=("10.9.0.0/24",))


def asked(client: str = STRANGER, number: int = 0, *, name: bytes | None = None, server: str = SERVER) -> Conversation:
    """A connection on which both hellos were said."""
    start_ns = START_NS + number * SECOND_NS
    conversation = Conversation(client=client, server=server, client_port=20_000 + number, start_ns=start_ns).connect()
    extensions = [tls.heartbeat_extension(), *([tls.server_name(name)] if name else [])]
    return conversation.say_hello(tls.client_hello_body(extensions=extensions))


def leaking(client: str = STRANGER, number: int = 0, *, name: bytes | None = None) -> Conversation:
    conversation = asked(client, number, name=name)
    conversation.client(tls.request(0x100))
    conversation.server(tls.answer(0x100)[0])
    return conversation


def facts_of(folder: Path, *conversations: Conversation) -> Facts:
    result = hbids.replay(write_pcap(folder / "made.pcap", frames_of(*conversations)))
    return Facts(result.heartbeats, result.sessions, result.flows)


def attempt(client: str = STRANGER, number: int = 0) -> Conversation:
    conversation = asked(client, number)
    conversation.client(tls.request(0x4000))
    return conversation


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads((shared_path("eve-schema") / "schema.json").read_text()))


def events(result: Result, config: Config) -> dict[int, list[dict[str, Any]]]:
    """The alerts of each signature."""
    told: dict[int, list[dict[str, Any]]] = {}
    for finding in result.findings:
        event = alert(finding, shipped()[finding.sid], config.output)
        told.setdefault(finding.sid, []).append(event["alert"])
    return told


# --- assets -----------------------------------------------------------------------------------------------------------


def test_an_alert_names_the_asset(engine_name: str, tmp_path: Path) -> None:
    result = judge(tmp_path, engine_name, leaking(), config=MAIL)
    (told,) = events(result, MAIL)[LEAK]
    assert told["signature"].endswith(" [mail, authenticates]")
    assert told["metadata"]["asset"] == ["mail", "authenticates"]
    assert told["context"]["hbids"]["assets"] == ["mail", "authenticates"]
    assert result.endpoints[0]["assets"] == ["mail", "authenticates"]


@pytest.mark.parametrize(
    ("words", "severities"),
    [(("mail",), (1, 3)), (("public",), (1, 4)), (("public", "authenticates"), (1, 3)), ((), (1, 4))],
)
def test_where_people_authenticate_alerts_of_the_endpoint_are_graver(
    engine_name: str, tmp_path: Path, words: tuple[str, ...], severities: tuple[int, int]
) -> None:
    config = Config(assets=(Asset(SERVER, words),))
    told = events(judge(tmp_path, engine_name, leaking(), config=config), config)
    assert (told[LEAK][0]["severity"], told[EXPOSURE][0]["severity"]) == severities
    assert told[ATTEMPT][0]["severity"] == 2, "that somebody asks says nothing of the endpoint"


def test_a_proof_that_a_mail_server_is_not_patched_is_as_grave_as_a_leak(engine_name: str, tmp_path: Path) -> None:
    conversation = asked()
    conversation.client(tls.heartbeat(1, 16, bytes(16)))  # no padding
    conversation.server(tls.answer(16)[0])
    (told,) = events(judge(tmp_path, engine_name, conversation, config=MAIL), MAIL)[UNPATCHED]
    assert (told["severity"], told["metadata"]["signature_severity"]) == (1, ["Critical"])


@pytest.mark.parametrize(
    ("place", "is_meant"),
    [
        (SERVER, True),
        (f"{SERVER}:443", True),
        (f"{SERVER}:8443", False),
        ("10.1.0.26", False),
        ("0.0.0.0/0", True),
        ("mail.example.org", True),
        ("*.EXAMPLE.org", True),
        ("*.example.com", False),
    ],
)
def test_places_of_assets(engine_name: str, tmp_path: Path, place: str, *, is_meant: bool) -> None:
    config = Config(assets=(Asset(place, ("ot",)),))
    result = judge(tmp_path, engine_name, leaking(name=b"mail.example.org"), config=config)
    assert result.endpoints[0]["assets"] == (["ot"] if is_meant else [])
    assert ("assets" in result.findings[0].context) is is_meant


def test_a_name_holds_for_the_whole_endpoint_from_its_first_hello_on(engine_name: str, tmp_path: Path) -> None:
    config = Config(assets=(Asset("*.example.org", ("vpn",)),))
    told = [leaking("203.0.113.1", 0), asked("10.2.0.1", 1, name=b"vpn.example.org"), leaking("203.0.113.2", 2)]
    result = judge(tmp_path, engine_name, *told, config=config)
    named = {each.flow.client_ip: "assets" in each.context for each in result.findings if each.sid == LEAK}
    assert named == {"203.0.113.1": False, "203.0.113.2": True}
    assert result.endpoints[0]["assets"] == ["vpn", "authenticates"]


# --- scanners of our own ----------------------------------------------------------------------------------------------


def test_what_a_scanner_of_our_own_tries_is_of_the_least_severity(engine_name: str, tmp_path: Path) -> None:
    (told,) = events(judge(tmp_path, engine_name, attempt(SCANNER), config=OUR_SCANNER), OUR_SCANNER)[ATTEMPT]
    assert (told["severity"], told["metadata"]["signature_severity"]) == (4, ["Informational"])
    assert "Authorized_Scanner" in told["metadata"]["tag"]
    assert told["context"]["hbids"]["authorized_scanner"] is True
    assert told["signature"].endswith(" [authorized scanner]")


def test_a_leak_to_a_scanner_of_our_own_is_a_leak(engine_name: str, tmp_path: Path) -> None:
    result = judge(tmp_path, engine_name, leaking(SCANNER), config=OUR_SCANNER)
    (endpoint,) = result.endpoints
    assert (endpoint["verdict"], endpoint["leaked_bytes"]) == ("leaked", 0x100)
    assert endpoint["sources"] == endpoint["authorized_scanners"]["sources"] == [SCANNER]
    assert endpoint["authorized_scanners"]["leaking_answers"] == 1
    assert endpoint["authorized_scanners"]["leaked_bytes"] == 0x100
    assert events(result, OUR_SCANNER)[LEAK][0]["severity"] == 1


def test_a_scanner_of_our_own_is_no_harvester(engine_name: str, tmp_path: Path) -> None:
    scans = [leaking(SCANNER, number) for number in range(40)]
    assert alerts(judge(tmp_path, engine_name, *scans))[HARVEST] > 0
    result = judge(tmp_path, engine_name, *scans, config=OUR_SCANNER)
    assert result.endpoints[0]["verdict"] == "leaked"
    assert result.endpoints[0]["leaking_answers"] == 40
    assert not {sid for sid in alerts(result) if sid // 100 == 10163}


def test_who_harvests_beside_our_scanner_is_a_harvester(engine_name: str, tmp_path: Path) -> None:
    both = [leaking(client, number) for number, client in enumerate([SCANNER, STRANGER] * 10)]
    result = judge(tmp_path, engine_name, *both, config=OUR_SCANNER)
    (endpoint,) = result.endpoints
    assert (endpoint["verdict"], endpoint["leaking_answers"]) == ("harvested", 20)
    assert endpoint["authorized_scanners"]["leaking_answers"] == 10
    (harvest,) = [finding for finding in result.findings if finding.sid == HARVEST][:1]
    assert (harvest.flow.client_ip, harvest.context["answers"]) == (STRANGER, 10)


def test_our_scanner_makes_no_harvest_of_what_others_took(engine_name: str, tmp_path: Path) -> None:
    """Nine answers to others, who alone would be no harvest by their network or behaviour."""
    others = [leaking(f"10.9.1.{1 + number % 3}", number) for number in range(9)]
    scans = [leaking("10.9.1.200", 20 + number) for number in range(9)]
    config = Config(authorized_scanners=("10.9.1.200",))
    assert judge(tmp_path, engine_name, *others, *scans).endpoints[0]["verdict"] == "harvested"
    assert judge(tmp_path, engine_name, *others, *scans, config=config).endpoints[0]["verdict"] == "leaked"


# --- home networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("home", "direction"), [("10.1.0.0/16", "inbound"), ("0.0.0.0/0", "internal"), ("fd00::/8", None), (None, None)]
)
def test_the_direction_of_the_connection_is_told(
    engine_name: str, tmp_path: Path, home: str | None, direction: str | None
) -> None:
    config = Config(home_networks=(home,) if home else ())
    told = events(judge(tmp_path, engine_name, leaking(), config=config), config)
    if home == "fd00::/8":
        assert told == {}
        return
    assert told[LEAK][0]["context"]["hbids"].get("network_direction") == direction
    assert told[LEAK][0]["metadata"].get("network_direction") == ([direction] if direction else None)


def test_of_a_reverse_attack_the_connection_went_out(engine_name: str, tmp_path: Path) -> None:
    conversation = asked("10.1.0.7", server="203.0.113.9")
    conversation.server(tls.request(0x100))
    conversation.client(tls.answer(0x100)[0])
    result = judge(tmp_path, engine_name, conversation, config=Config(home_networks=("10.0.0.0/8",)))
    assert {finding.context["network_direction"] for finding in result.findings} == {"outbound"}
    assert result.totals["drops"]["victims_outside_home"] == 1  # that their server accepts heartbeats


# --- before the bug was public ----------------------------------------------------------------------------------------


def test_what_came_before_the_disclosure_is_marked(engine_name: str, tmp_path: Path) -> None:
    config = Config(disclosure_ns=START_NS + 5 * SECOND_NS)
    result = judge(tmp_path, engine_name, leaking("203.0.113.1", 0), leaking("203.0.113.2", 60), config=config)
    early, late = events(result, config)[LEAK]
    assert "Before_Disclosure" in early["metadata"]["tag"]
    assert early["context"]["hbids"]["before_disclosure"] is True
    assert "before disclosure" not in late["signature"]
    assert "before_disclosure" not in late["context"]["hbids"]


# --- while a sensor runs ----------------------------------------------------------------------------------------------


def test_other_surroundings_hold_from_then_on(tmp_path: Path) -> None:
    """As after a reload of the configuration."""
    told: list[Finding] = []
    before = Config(assets=(Asset("*.example.org", ("vpn",)),), disclosure_ns=START_NS + SECOND_NS)
    analysis = Analysis(before, told.append)
    analysis.add(facts_of(tmp_path, leaking(name=b"vpn.example.org")))
    assert analysis.endpoints()[0]["exposure"]["leaked_before_disclosure_bytes"] == 0x100
    after = Config(assets=before.assets, authorized_scanners=("203.0.113.0/24",), home_networks=("10.1.0.0/16",))
    analysis.adopt(after)
    analysis.add(facts_of(tmp_path, *(leaking(STRANGER, number) for number in range(20, 40))))
    (endpoint,) = analysis.endpoints()
    assert endpoint["verdict"] == "leaked", "by then it is a scanner, and scanners do not harvest"
    assert endpoint["assets"] == ["vpn", "authenticates"], "the name was learnt before"
    assert endpoint["exposure"]["leaked_before_disclosure_bytes"] is None
    analysis.adopt(Config(home_networks=("192.168.0.0/16",)))
    assert analysis.endpoints() == []


# --- as a user runs it ------------------------------------------------------------------------------------------------

CONFIG = """
assets:
  10.1.0.25:443: [mail, public]
  "*.example.org": [web-login]
  "[fd00::1]:993": [mail]
authorized_scanners: [10.9.0.5]
home_networks: [10.1.0.0/16]
disclosure: 2014-04-07
"""


def test_all_of_it_from_a_configuration_file(tmp_path: Path, schema: jsonschema.Draft7Validator) -> None:
    path = tmp_path / "hbids.yaml"
    path.write_text(CONFIG)
    capture = write_pcap(tmp_path / "made.pcap", frames_of(leaking(SCANNER), *leaks(2), attempt(number=9)))
    eve = tmp_path / "eve.json"
    done = run_hbids("replay", capture, "--config", path, "--eve", eve)
    assert done.returncode == 0
    assert "10.1.0.25:443 LEAKED 256 bytes" in done.stdout
    text = " ".join(done.stdout.split())
    assert "asset: mail, public, authenticates; by 10.9.0.5 (authorized scanner), 203.0.113.66; 256 bytes" in text
    told = [json.loads(line) for line in eve.read_text().splitlines()]
    assert [error.message for event in told for error in schema.iter_errors(event)] == []
    assert {event["alert"]["metadata"]["network_direction"][0] for event in told} == {"inbound"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("assets: {10.0.0.300: [mail]}", ":1: '10.0.0.300' is no network, address or host name: write 10.0.0.0/8"),
        ("assets:\n  '10.0.0.1:99999': [mail]", ":2: '10.0.0.1:99999' is no network, address or host name"),
        ("assets:\n  10.0.0.1: [Mail server]", ":2: 'Mail server' does not describe an asset: write a word like"),
        ("assets: [mail]", ":1: expected a mapping, found a list"),
        ("assets: {10.0.0.1: mail}", ":1: expected a list, found 'mail'"),
        ("authorized_scanners:\n- scanner", ":2: 'scanner' is not a network: write it like 10.0.0.0/8"),
        ("disclosure: last year", ":1: 'last year' is no date: write it like 2014-04-07"),
        ("disclosure: 2014-02-31", ":1: '2014-02-31' is no date"),
    ],
)
def test_mistakes_are_told_with_place_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "hbids.yaml"
    path.write_text(text)
    done = run_hbids("replay", "nowhere.pcap", "--config", path)
    assert done.returncode == 2
    assert f"{path}{complaint}" in done.stderr


def test_the_day_of_disclosure_may_be_given_alone(tmp_path: Path) -> None:
    conversation = leak(Conversation(start_ns=1_390_000_000 * SECOND_NS).connect())  # January 2014
    capture = write_pcap(tmp_path / "made.pcap", frames_of(conversation))
    for day, marked in ((), True), (("2014-01-01",), False), (("2014-01-18T00:00Z",), True):
        told = run_hbids("replay", capture, "--eve", "-", "--disclosure", *day).stdout
        assert ("Before_Disclosure" in told) is marked
    assert "Before_Disclosure" not in run_hbids("replay", capture, "--eve", "-").stdout
    done = run_hbids("replay", "--disclosure", capture, capture)
    assert done.returncode == 2
    assert (
        "is no date: write it like 2014-04-07 or 2014-04-07T17:30Z, or put --disclosure behind the files" in done.stderr
    )
