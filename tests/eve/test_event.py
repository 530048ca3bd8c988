"""Findings as EVE alerts: valid for Suricata, readable by its consumers."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hbids.config import Output
from hbids.eve.event import alert, timestamp
from hbids.facts import PROTOCOL_EAPOL, Direction, Finding, FlowContext, Verdict
from hbids.signatures import shipped
from tests.conftest import shared_path

FLOW = FlowContext(
    client_ip="128.232.110.120",
    client_port=34855,
    server_ip="66.35.250.204",
    server_port=80,
    vlan=(),
    protocol=6,
    start_ns=1_795_456_842_000_000_001,
    packets_to_server=5,
    packets_to_client=4,
    bytes_to_server=600,
    bytes_to_client=17_000,
    packet_number=15,
)

CONTEXT: dict[str, Any] = {
    "transport": "tls",
    "sealed": False,
    "phase": "handshake",
    "claimed_length": 16384,
    "present_length": 0,
    "leaked_bytes": 16365,
    "tools": ["nmap ssl-heartbleed"],
}


def finding(**changes: Any) -> Finding:
    given: dict[str, Any] = {
        "sid": 1016100,
        "time_ns": 1_795_456_842_642_175_999,
        "flow": FLOW,
        "packet_direction": Direction.TO_CLIENT,
        "victim": Direction.TO_SERVER,
        "verdict": Verdict.LEAKED,
        "context": CONTEXT,
    }
    return Finding(**(given | changes))


def event_of(found: Finding, output: Output | None = None) -> dict[str, Any]:
    return alert(found, shipped()[found.sid], output or Output())


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads((shared_path("eve-schema") / "schema.json").read_text()))


@pytest.mark.parametrize("sid", sorted(shipped()))
def test_every_signature_makes_an_event_that_suricata_would_accept(
    sid: int, schema: jsonschema.Draft7Validator
) -> None:
    full = finding(sid=sid, flow=FLOW._replace(vlan=(100, 200)))
    bare = finding(sid=sid, packet_direction=Direction.UNKNOWN, flow=FLOW._replace(packet_number=0), context={})
    for event in (event_of(full, Output(sensor_name="span-1")), event_of(bare)):
        assert [error.message for error in schema.iter_errors(json.loads(json.dumps(event)))] == []


def test_an_answer_names_the_server_as_sender_and_as_target() -> None:
    event = event_of(finding())
    assert (event["src_ip"], event["src_port"], event["dest_ip"], event["dest_port"]) == (
        "66.35.250.204",
        80,
        "128.232.110.120",
        34855,
    )
    assert event["direction"] == "to_client"
    assert event["alert"]["source"] == {"ip": "128.232.110.120", "port": 34855}
    assert event["alert"]["target"] == {"ip": "66.35.250.204", "port": 80}
    assert event["flow"]["src_ip"] == "128.232.110.120"
    assert event["flow"]["dest_port"] == 80


def test_in_a_reverse_attack_the_client_is_the_target() -> None:
    event = event_of(finding(sid=1016004, victim=Direction.TO_CLIENT))
    assert event["alert"]["target"]["ip"] == "128.232.110.120"
    assert event["alert"]["source"]["ip"] == "66.35.250.204"
    assert event["alert"]["context"]["hbids"]["victim"] == "client"


def test_the_signature_text_carries_claim_and_leak() -> None:
    text = event_of(finding())["alert"]["signature"]
    assert "16365" in text
    assert "16384" in text


def test_an_alert_of_a_tool_is_as_sure_as_its_name() -> None:
    context = {"tool": "masscan --heartbleed", "tool_class": "research scanner", "tool_confidence": "Medium"}
    event = event_of(finding(sid=1016600, context=context))
    assert event["alert"]["metadata"]["confidence"] == ["Medium"]
    assert event["alert"]["signature"].endswith("masscan --heartbleed, research scanner")
    assert event_of(finding())["alert"]["metadata"]["confidence"] == ["High"]


def test_the_numbers_stand_in_the_context() -> None:
    assert event_of(finding())["alert"]["context"]["hbids"] == CONTEXT | {"verdict": "leaked", "victim": "server"}


EAPOL = FLOW._replace(
    client_ip="fe80::ff:fe00:a",
    client_port=0,
    server_ip="fe80::380:c2ff:fe00:3",
    server_port=0,
    protocol=PROTOCOL_EAPOL,
)


def test_eapol_has_addresses_of_the_network_and_no_ports(schema: jsonschema.Draft7Validator) -> None:
    event = event_of(finding(flow=EAPOL))
    assert [error.message for error in schema.iter_errors(json.loads(json.dumps(event)))] == []
    assert event["proto"] == "EAPOL"
    assert (event["src_ip"], event["dest_ip"]) == ("fe80::380:c2ff:fe00:3", "fe80::ff:fe00:a")
    assert event["ether"] == {
        "ether_type": 0x888E,
        "src_mac": "01:80:c2:00:00:03",
        "dest_mac": "02:00:00:00:00:0a",
    }
    assert event["alert"]["source"] == {"ip": "fe80::ff:fe00:a"}
    assert not [name for name in (*event, *event["flow"]) if "port" in name]
    assert "ip_v" not in event
    assert event["community_id"].startswith("1:")


def test_keys_come_in_suricatas_order() -> None:
    event = event_of(finding(flow=FLOW._replace(vlan=(100,))), Output(sensor_name="span-1"))
    assert list(event) == [
        "timestamp",
        "flow_id",
        "pcap_cnt",
        "event_type",
        "vlan",
        "src_ip",
        "src_port",
        "dest_ip",
        "dest_port",
        "proto",
        "ip_v",
        "pkt_src",
        "community_id",
        "alert",
        "app_proto",
        "direction",
        "flow",
        "host",
    ]


def test_what_is_not_known_is_left_out() -> None:
    event = event_of(finding(packet_direction=Direction.UNKNOWN, flow=FLOW._replace(packet_number=0)))
    assert not {"vlan", "host", "pcap_cnt", "direction"} & event.keys()


def test_a_flow_joined_late_lowers_the_confidence() -> None:
    sure, inferred = (event_of(finding(context=CONTEXT | more)) for more in ({}, {"midstream": True}))
    assert sure["alert"]["metadata"]["confidence"] == ["High"]
    assert inferred["alert"]["metadata"]["confidence"] == ["Medium"]


def test_names_of_the_flow() -> None:
    event = event_of(finding())
    assert event["community_id"] == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    assert event_of(finding(), Output(community_id_seed=1))["community_id"] == "1:3V71V58M3Ksw/yuFALMcW0LAHvc="
    assert 0 <= event["flow_id"] < 1 << 51
    assert event["flow_id"] == event_of(finding(sid=1016500))["flow_id"]
    later = finding(flow=FLOW._replace(start_ns=FLOW.start_ns + 1))
    assert event["flow_id"] != event_of(later)["flow_id"]


def test_ipv6_and_udp() -> None:
    flow = FLOW._replace(client_ip="fd66::66", server_ip="fd66::10", protocol=17)
    event = event_of(finding(flow=flow))
    assert (event["ip_v"], event["proto"]) == (6, "UDP")


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (1_795_456_842_642_175_999, "2026-11-23T18:00:42.642175+0000"),
        (0, "1970-01-01T00:00:00.000000+0000"),
        (-1, "1969-12-31T23:59:59.999999+0000"),
        (2**63 - 1, "2262-04-11T23:47:16.854775+0000"),
    ],
)
def test_timestamp(time_ns: int, text: str) -> None:
    assert timestamp(time_ns) == text
