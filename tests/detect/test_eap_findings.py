"""What is made of Heartbleed in EAP, through the whole program: endpoints, alerts, events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import hbids
from hbids.config import Output
from hbids.eve.event import alert
from hbids.signatures import shipped
from tests.conftest import shared_path
from tests.support import eap, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, write_pcap
from tests.support.eap import LEAK, Dialogue, Eapol, Radius, attacked, frames_of, greeted, in_turn, sealing
from tests.support.judging import alerts

if TYPE_CHECKING:
    from pathlib import Path

    from hbids.facts import Direction
    from tests.capture.build import Frame

CLIENT, SERVER = "fe80::ff:fe00:a", "fe80::ff:fe00:b"


def judged(folder: Path, engine_name: str, frames: list[Frame]) -> hbids.Result:
    return hbids.replay(write_pcap(folder / "eap.pcap", frames), engine=engine_name)


def endpoint(result: hbids.Result, ip: str) -> dict[str, Any]:
    (found,) = [endpoint for endpoint in result.endpoints if endpoint["ip"] == ip]
    return found


def test_a_radius_server_that_leaked(tmp_path: Path, engine_name: str) -> None:
    result = judged(tmp_path, engine_name, attacked().frames())
    found = endpoint(result, "10.0.0.2")
    assert (
        found
        | {
            "port": 1812,
            "role": "server",
            "protocol": "udp",
            "transport": "tls",
            "carrier": "eap",
            "verdict": "leaked",
            "overread_requests": 1,
            "leaking_answers": 1,
            "leaked_bytes": 0x4000,
            "sources": ["10.0.0.9"],
            "accepts_heartbeat_extension": True,
        }
        == found
    )
    assert alerts(result) == {1016001: 1, 1016100: 1, 1016102: 1, 1016500: 1}


def test_an_authenticator_that_leaked(tmp_path: Path, engine_name: str) -> None:
    result = judged(tmp_path, engine_name, attacked(Eapol(tags=((0x8100, 12),)), method=eap.EAP_TTLS).frames())
    found = endpoint(result, SERVER)
    assert found | {"port": 0, "protocol": "eapol", "carrier": "eap", "verdict": "leaked", "sources": [CLIENT]} == found
    assert result.summary()["leaked_bytes"] == 0x4000


@pytest.mark.parametrize(("carrier", "victim"), [(Radius(), "10.0.0.9"), (Eapol(), CLIENT)], ids=["RADIUS", "EAPOL"])
def test_a_supplicant_that_leaked(tmp_path: Path, engine_name: str, carrier: Radius | Eapol, victim: str) -> None:
    dialogue = greeted(carrier, method=eap.PEAP)
    dialogue.server(tls.request(0x4000))
    dialogue.client(LEAK)
    result = judged(tmp_path, engine_name, dialogue.frames())
    found = endpoint(result, victim)
    assert found | {"role": "client", "verdict": "leaked", "leaked_bytes": 0x4000, "carrier": "eap"} == found
    assert alerts(result) == {1016004: 1, 1016101: 1, 1016103: 1, 1016500: 1}


def test_a_sealed_harvest_of_many_conversations(tmp_path: Path, engine_name: str) -> None:
    dialogues = []
    for number in range(12):
        carrier = Radius(first_identifier=20 * number, tag=b"%c" % (65 + number), caller=b"%d" % number)
        dialogues.append(sealing(carrier))
        dialogues[-1].client(tls.sealed(27))
        dialogues[-1].server(tls.sealed(2_000))
    result = judged(tmp_path, engine_name, in_turn(dialogues))
    found = endpoint(result, "10.0.0.2")
    assert (found["verdict"], found["leaking_answers"], found["sealed_requests"]) == ("harvested", 12, 12)
    assert result.summary()["tls_sessions"] == result.summary()["flows"] == 12


@pytest.mark.parametrize("carrier", [Radius, Eapol])
def test_honest_conversations_raise_nothing(tmp_path: Path, engine_name: str, carrier: type[Radius | Eapol]) -> None:
    hello = tls.server_hello_body(extensions=())
    for method in eap.METHODS.values():
        dialogue = Dialogue(carrier(), method).identify().start().say_hello(server=hello).finish_handshake()
        dialogue.client(tls.application_data())
        dialogue.server(tls.application_data(3_000))
        result = judged(tmp_path, engine_name, dialogue.succeed().frames())
        assert result.endpoints == []
        assert result.findings == []


@pytest.mark.parametrize(
    ("lost", "found"),
    [(TO_SERVER, {1016120: 1, 1016500: 1}), (TO_CLIENT, {1016003: 1})],
    ids=["server only", "client only"],
)
@pytest.mark.parametrize("carrier", [Radius, Eapol])
def test_one_side_alone(
    tmp_path: Path, engine_name: str, carrier: type[Radius | Eapol], lost: Direction, found: dict[int, int]
) -> None:
    result = judged(tmp_path, engine_name, attacked(carrier()).lose_way(lost).frames())
    assert alerts(result) == found


@pytest.mark.parametrize("carrier", [Radius, Eapol])
def test_every_finding_makes_an_event_that_suricata_would_accept(
    tmp_path: Path, engine_name: str, carrier: type[Radius | Eapol]
) -> None:
    schema = jsonschema.Draft7Validator(json.loads((shared_path("eve-schema") / "schema.json").read_text()))
    reverse = greeted(carrier())
    reverse.wait(1).server(tls.request(0x4000))
    reverse.client(LEAK)
    result = judged(tmp_path, engine_name, frames_of(attacked(carrier()), reverse))
    assert len(result.findings) >= 4
    for finding in result.findings:
        event = json.loads(json.dumps(alert(finding, shipped()[finding.sid], Output())))
        assert [error.message for error in schema.iter_errors(event)] == []
        assert event["proto"] == ("UDP" if carrier is Radius else "EAPOL")
        assert event["alert"]["context"]["hbids"]["transport"] == "tls"
        assert ("ether" in event, "src_port" in event) == ((False, True) if carrier is Radius else (True, False))
