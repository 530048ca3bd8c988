"""Every capture of the corpus gives what is known of it, on both engines."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import numpy as np
import pytest

from hbids.facts import ABSENT, Direction, Kind, Protection, TlsStart, Verdict
from tests.corpus.labels import (
    HEARTBEATS_COUNT,
    LABELS,
    LOOKALIKE,
    PADDING_BYTES,
    attacked_endpoints,
    endpoint_name,
    replayed,
)

EXPOSURE = "1016500"

TOOL_NAMES = {
    "filippo": "FiloSottile Heartbleed (filippo.io)",
    "heartleech": "heartleech",
    "masscan": "masscan --heartbleed",
    "nmap": "nmap ssl-heartbleed",
    "pacemaker": "pacemaker heartbleed.py",
    "pacemaker.py": "pacemaker.py",
    "sslyze": "sslyze",
    "stafford": "ssltest.py (Stafford, or a copy)",
    "testssl": "testssl.sh",
    "zgrab": "zgrab",
}
"""What hbids calls the tools of the labels."""

STARTTLS_PORTS = {25: TlsStart.SMTP, 110: TlsStart.POP3, 143: TlsStart.IMAP}

CLAIMED_AND_CARRIED = {
    "masscan": (0x4000, 0),
    "nmap": (0x4000, 19),
    "pacemaker": (0xFFED, 0),
    "pacemaker.py": (0xFFED, 0),
    "stafford": (0x4000, 0),
    "testssl": (0x4000, 0),
}
"""Payload bytes that the tools' clear requests claim and carry, from their sources."""

COPIED_BY = {"hbclient": {TOOL_NAMES["stafford"]}}
"""Emulations that send another tool's ClientHello, and may be taken for it."""


def above_exposed(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [endpoint for endpoint in summary["endpoints"] if Verdict[endpoint["verdict"].upper()] > Verdict.EXPOSED]


@pytest.mark.parametrize("name", LABELS)
def test_every_packet_goes_through_the_engine_asked_for(name: str, engine_name: str) -> None:
    result = replayed(name, engine_name)
    assert result.engine == engine_name
    assert result.summary()["packets"] == LABELS[name]["packets"]
    assert result.problems == []


@pytest.mark.parametrize("name", LABELS)
def test_those_who_were_attacked_and_nobody_else_have_the_right_verdict(name: str, engine_name: str) -> None:
    expected = attacked_endpoints(name)
    verdicts = {endpoint_name(each): each["verdict"] for each in above_exposed(replayed(name, engine_name).summary())}
    assert verdicts.keys() == expected.keys()
    assert [who for who, verdict in verdicts.items() if verdict not in expected[who].verdicts()] == []


@pytest.mark.parametrize("name", [name for name, label in LABELS.items() if label["benign"]])
def test_benign_traffic_raises_nothing_but_exposure(name: str, engine_name: str) -> None:
    assert replayed(name, engine_name).summary()["alerts"].keys() <= {EXPOSURE}


def test_what_only_looks_like_heartbeats_is_not_reported(engine_name: str) -> None:
    result = replayed(LOOKALIKE, engine_name)
    summary = result.summary()
    assert (summary["endpoints"], summary["alerts"], summary["tls_sessions"]) == ([], {}, 0)
    assert not any(summary["heartbeats"].values())
    assert len(result.heartbeats) == 0
    label = LABELS[LOOKALIKE]
    messages = label["hb_requests_clear"] + label["hb_responses_clear_msgs"]
    counted = summary["drops"]["held_heartbeats_dropped"] + summary["drops"]["heartbeats_without_tls"]
    assert counted == messages + 1  # nothing vanishes; the long "answer" is held twice, with its early row


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_clear_heartbeats_are_counted(name: str, engine_name: str) -> None:
    label, counted = LABELS[name], replayed(name, engine_name).summary()["heartbeats"]
    assert counted["requests"] == label["hb_requests_clear"]
    assert counted["overread_requests"] == label["hb_requests_clear_overreading"]
    assert counted["responses"] == label["hb_responses_clear_msgs"]
    assert counted["malformed"] == 0


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_sealed_heartbeats_are_counted(name: str, engine_name: str) -> None:
    label, result = LABELS[name], replayed(name, engine_name)
    sealed = result.heartbeats[result.heartbeats["protection"] == Protection.SEALED]
    from_client = sealed["direction"] == Direction.TO_SERVER
    assert sealed["records"][from_client].sum() == label["hb_records_enc_from_client"]
    assert sealed["records"][~from_client].sum() == label["hb_records_enc_from_server"]
    assert result.summary()["heartbeats"]["sealed"] == len(sealed)
    if label["hb_requests_enc_malicious"]:
        answers = sum(connection.get("enc_answers_msgs", 0) for connection in label["connections"])
        assert np.count_nonzero(sealed["kind"] == Kind.REQUEST) == label["hb_requests_enc_malicious"]
        assert np.count_nonzero(sealed["kind"] == Kind.RESPONSE) == answers


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_leaked_bytes(name: str, engine_name: str) -> None:
    label, summary = LABELS[name], replayed(name, engine_name).summary()
    answers = sum(connection.get("enc_answers_msgs", 0) for connection in label["connections"])
    assert summary["leaked_bytes"] == label["leaked_bytes_clear"]
    assert summary["leaked_bytes_estimated"] == pytest.approx(label["leaked_bytes_sealed"], abs=PADDING_BYTES * answers)
    leaking_answers = label["leaking_answers_clear"] + (answers if label["leaked_bytes_sealed"] else 0)
    assert sum(endpoint["leaking_answers"] for endpoint in summary["endpoints"]) == leaking_answers


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_requests_are_booked_to_the_endpoint_they_went_to(name: str, engine_name: str) -> None:
    booked = {
        endpoint_name(each): (each["heartbeat_requests"], each["overread_requests"], each["sealed_requests"])
        for each in above_exposed(replayed(name, engine_name).summary())
    }
    assert booked == {
        who: (attacked.requests, attacked.overreads, attacked.sealed_attacks)
        for who, attacked in attacked_endpoints(name).items()
    }


@pytest.mark.parametrize("name", [name for name, label in LABELS.items() if label["tool"] in CLAIMED_AND_CARRIED])
def test_over_read_is_what_the_tool_claims_beyond_what_it_carries(name: str, engine_name: str) -> None:
    claimed, carried = CLAIMED_AND_CARRIED[LABELS[name]["tool"]]
    contexts = [finding.context for finding in replayed(name, engine_name).findings if "overread" in finding.context]
    assert bool(contexts) == bool(LABELS[name]["hb_requests_clear"])
    told = {(each["claimed_length"], each["present_length"], each["overread"]) for each in contexts}
    assert told <= {(claimed, carried, claimed - carried)}


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_sources_are_the_attackers(name: str, engine_name: str) -> None:
    endpoints = replayed(name, engine_name).summary()["endpoints"]
    attackers = {attacker.split()[0] for attacker in LABELS[name]["attackers"]}  # "10.66.9.66 (server side)"
    assert {source for endpoint in endpoints for source in endpoint["sources"]} == attackers


def test_the_victims_of_a_malicious_server_are_its_clients(engine_name: str) -> None:
    summary = replayed("reverse_pacemaker_client_vuln.pcap", engine_name).summary()
    victims = {(each["ip"], each["role"], each["verdict"]) for each in above_exposed(summary)}
    assert victims == {("10.66.5.1", "client", "leaked"), ("10.66.5.2", "client", "attempted")}


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_the_tool_is_named_and_never_another(name: str, engine_name: str) -> None:
    label = LABELS[name]
    for endpoint in above_exposed(replayed(name, engine_name).summary()):
        if label["real_tool"]:
            assert endpoint["tools"] == [TOOL_NAMES[label["tool"]]]
        else:
            assert set(endpoint["tools"]) <= COPIED_BY.get(label["tool"], set())


def test_of_real_tools_95_of_100_captures_name_them_and_none_names_another(engine_name: str) -> None:
    named: list[bool] = []
    for name in HEARTBEATS_COUNT:
        endpoints = above_exposed(replayed(name, engine_name).summary())
        if LABELS[name]["real_tool"] and endpoints:  # some look, and ask for nothing where the extension is missing
            names = {tool for endpoint in endpoints for tool in endpoint["tools"]}
            assert names <= {TOOL_NAMES[LABELS[name]["tool"]]}, name
            unknown = any("unknown" in endpoint["tool_classes"] for endpoint in endpoints)
            named.append(bool(names) and not unknown)
    assert len(named) >= 20
    assert sum(named) / len(named) >= 0.95


@pytest.mark.parametrize("name", HEARTBEATS_COUNT)
def test_sessions_of_the_labelled_connections(name: str, engine_name: str) -> None:
    sessions: dict[tuple[str, str], set[tuple[Any, ...]]] = {}
    for row in replayed(name, engine_name).sessions:
        ends = _named(row["client_addr"], row["client_port"]), _named(row["server_addr"], row["server_port"])
        sessions.setdefault(ends, set()).add(
            (
                row["ja3"].decode(),
                int(row["tls_version"]),
                int(row["heartbeat_offered"]),
                int(row["heartbeat_accepted"]),
                TlsStart(int(row["start"])),
            )
        )
    for connection in LABELS[name]["connections"]:
        if "truncated" in connection:
            continue
        assert sessions[connection["client"], connection["server"]] == {
            (
                connection["ja3"],
                int(connection["tls_version"], 16),
                ABSENT if connection["ch_heartbeat_ext"] is None else connection["ch_heartbeat_ext"],
                ABSENT if connection["sh_heartbeat_ext"] is None else connection["sh_heartbeat_ext"],
                STARTTLS_PORTS[int(connection["server"].rpartition(":")[2])]
                if connection["starttls"]
                else TlsStart.DIRECT,
            )
        }


def test_mail_servers_are_told_by_their_words(engine_name: str) -> None:
    sessions = replayed("benign_mail_starttls.pcap", engine_name).sessions
    starts = {(int(row["server_port"]), TlsStart(int(row["start"]))) for row in sessions}
    assert starts == {*STARTTLS_PORTS.items(), (995, TlsStart.DIRECT)}


def _named(address: np.ndarray[Any, Any], port: int) -> str:
    parsed = IPv6Address(address.tobytes())
    return f"{parsed.ipv4_mapped or parsed}:{port}"
