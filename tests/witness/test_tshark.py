"""tshark agrees: the same heartbeat records of the same lengths, the same fingerprints, the same suites."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from ipaddress import IPv6Address
from typing import NamedTuple

import numpy as np
import pytest

import hbids
from hbids.facts import CONTENT_TYPES, NO_SUITE, Direction, Transport
from tests.conftest import PCAPS, REPOSITORY, require_tool
from tests.witness.tshark import Sender, ask_tshark

pytestmark = pytest.mark.filterwarnings("ignore:.*[cC]hild_?[wW]atcher:DeprecationWarning")  # pyshark's

CORPUS = REPOSITORY.parent / "shared" / "corpus"
CAPTURES = {
    path.name: path
    for folder in (CORPUS, PCAPS)
    for path in sorted(folder.glob("*.pcap*"))
    if "openvpn" not in path.name and "_eap_" not in path.name
}
"""The shipped captures, and the whole corpus where it is. OpenVPN is in ``test_openvpn``: of TLS that it carries in
several packets, tshark tells only the beginning. EAP is in ``test_tshark_eap``."""

CUT_ANSWERS = {
    "harvest_distributed_8src_stafford_real.pcap": 160,
    "lowslow_single_6days.pcap": 1,
    "scan_vuln_stafford.pcap": 1,
    "vlan100_scan_vuln_stafford.pcap": 1,
}
"""Answers in flight when the client closes, as ssltest.py does after its second request: the last record is not whole.
hbids counts it, with the bytes that came; tshark tells of whole records only."""

HELLOS_TAKEN_FOR_MAIL = {"starttls_patched_nmap.pcap": 1, "starttls_vuln_nmap.pcap": 1}
"""nmap first tries TLS at once on port 25. tshark takes such a ClientHello for a line of SMTP."""

HEARTBEAT_COLUMN = CONTENT_TYPES.index(24)


class Message(NamedTuple):
    """A heartbeat message as hbids has it."""

    first_record_length: int
    records: int
    bytes_seen: int


@pytest.fixture(scope="module", autouse=True)
def _witness_is_there() -> None:
    require_tool("tshark")


@pytest.mark.parametrize("name", CAPTURES)
def test_heartbeat_messages_are_made_of_the_records_that_tshark_sees(name: str, engine_name: str) -> None:
    ours, theirs = messages_of(name, engine_name), ask_tshark(CAPTURES[name]).heartbeats
    assert ours.keys() >= theirs.keys()
    left = {sender: unexplained(messages, theirs.get(sender, [])) for sender, messages in ours.items()}
    assert {sender: why for sender, why in left.items() if why not in {"", "cut"}} == {}
    assert sum(why == "cut" for why in left.values()) == CUT_ANSWERS.get(name, 0)


@pytest.mark.parametrize("name", CAPTURES)
def test_flows_count_the_heartbeat_records_that_tshark_sees(name: str, engine_name: str) -> None:
    flows = replayed(name, engine_name).flows
    flows = flows[flows["transport"] == Transport.TLS]
    records, record_bytes = Counter[Sender](), Counter[Sender]()
    for row in flows:
        for way, sender in zip(("to_server", "to_client"), both_ways(row), strict=True):
            records[sender] += int(row[f"records_{way}"][HEARTBEAT_COLUMN])
            record_bytes[sender] += int(row[f"record_bytes_{way}"][HEARTBEAT_COLUMN])
    theirs = ask_tshark(CAPTURES[name]).heartbeats
    differing = [sender for sender in records if records[sender] != len(theirs.get(sender, []))]
    assert len(differing) == CUT_ANSWERS.get(name, 0)
    assert all(records[sender] == len(theirs.get(sender, [])) + 1 for sender in differing)
    agreeing = records.keys() - set(differing)
    assert {sender: record_bytes[sender] for sender in agreeing if record_bytes[sender]} == {
        sender: sum(lengths) for sender, lengths in theirs.items() if sender in agreeing
    }


@pytest.mark.parametrize("name", CAPTURES)
def test_fingerprints_and_suites(name: str, engine_name: str) -> None:
    clients, servers = Counter[tuple[Sender, str]](), Counter[tuple[Sender, str, int]]()
    for row in replayed(name, engine_name).sessions:
        client, server = both_ways(row)
        if row["ja3"]:
            clients[client, row["ja3"].decode()] += 1
        if row["cipher_suite"] != NO_SUITE:
            servers[server, row["ja3s"].decode(), int(row["cipher_suite"])] += 1
    theirs = ask_tshark(CAPTURES[name])
    assert servers == theirs.server_hellos
    assert theirs.client_hellos - clients == Counter()
    only_ours = clients - theirs.client_hellos
    assert only_ours.total() == HELLOS_TAKEN_FOR_MAIL.get(name, 0)
    assert {sender.to_port for sender, _ in only_ours} <= {25}


@cache
def replayed(name: str, engine_name: str) -> hbids.Result:
    return hbids.replay(CAPTURES[name], engine=engine_name)


def messages_of(name: str, engine_name: str) -> dict[Sender, list[Message]]:
    heartbeats = replayed(name, engine_name).heartbeats
    found: dict[Sender, list[Message]] = defaultdict(list)
    for row in heartbeats[np.argsort(heartbeats["message_id"])]:
        sender = both_ways(row)[0 if row["direction"] == Direction.TO_SERVER else 1]
        message = Message(int(row["record_length"]), int(row["records"]), int(row["bytes_seen"]))
        found[sender].append(message)
    return found


def unexplained(messages: list[Message], lengths: list[int]) -> str:
    """Deal ``lengths``, records that tshark saw, out to messages. Empty when they fit; ``cut`` when just the very last
    record is missing and incomplete."""
    for index, message in enumerate(messages):
        own, lengths = lengths[: message.records], lengths[message.records :]
        if own[:1] == [message.first_record_length] and (len(own), sum(own)) == (message.records, message.bytes_seen):
            continue
        last = index == len(messages) - 1
        incomplete = sum(own) <= message.bytes_seen < sum(own) + message.first_record_length
        return "cut" if last and len(own) == message.records - 1 and incomplete else f"{message} is not {own}"
    return f"tshark sees more: {lengths}" if lengths else ""


def both_ways(row: np.void) -> tuple[Sender, Sender]:
    """The client and the server of a row, as senders."""
    client, server = (_text(row[name].tobytes()) for name in ("client_addr", "server_addr"))
    client_port, server_port = int(row["client_port"]), int(row["server_port"])
    return Sender(client, client_port, server, server_port), Sender(server, server_port, client, client_port)


def _text(address: bytes) -> str:
    parsed = IPv6Address(address)
    return str(parsed.ipv4_mapped or parsed)
