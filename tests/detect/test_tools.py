"""Tools are named by what gives them away, and never where something else would do as well."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from hbids import fingerprints
from hbids.fingerprints import Tool, most_telling
from tests.detect.casebook import ASKED, LIE
from tests.support import tls
from tests.support.conversation import Conversation, connected, sealing
from tests.support.judging import findings_of, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hbids import Result

RECOGNISED = 1016600
STAFFORD = "ssltest.py (Stafford, or a copy)"
STAFFORDS_RANDOM = bytes.fromhex("53435b909d9b720bbc0cbc2b92a84897cfbd3904cc160a8503909f770433d4de")
TESTSSLS_RANDOM = bytes.fromhex("54511e7adeadbeef3133070000000000cfbd3904cc160b8503909f770433d4de")
PACEMAKERS_RANDOM = bytes.fromhex("5234c66d868de84097daee7e21c41d2e9fe9605f05b0ceaf7eb7958c33423fd5")
METASPLOITS_SUITES = (
    *(0xC014, 0xC00A, 0xC022, 0xC021, 0x39, 0x38, 0x88, 0x87, 0x87, 0xC00F, 0x35, 0x84, 0xC012, 0xC008, 0xC01C, 0xC01B),
    *(0x16, 0x13, 0xC00D, 0xC003, 0x0A, 0xC013, 0xC009, 0xC01F, 0xC01E, 0x33, 0x32, 0x9A, 0x99, 0x45, 0x44, 0xC00E),
    *(0xC004, 0x2F, 0x96, 0x41, 0xC011, 0xC007, 0xC00C, 0xC002, 0x05, 0x04, 0x15, 0x12, 0x09, 0x14, 0x11, 0x08, 0x06),
    *(0x03, 0xFF),
)


def asked_by(request: bytes, *, random: bytes = tls.CLIENT_RANDOM, **hello: Any) -> Conversation:
    conversation = connected().say_hello(client=tls.client_hello_body(random=random, **hello))
    conversation.client(request)
    return conversation


def asked_without_offering(request: bytes) -> Conversation:
    conversation = connected()
    conversation.say_hello(tls.client_hello_body(extensions=[]), tls.server_hello_body(extensions=[]))
    conversation.client(request)
    return conversation


def asked_before_the_server_spoke(request: bytes) -> Conversation:
    conversation = connected()
    conversation.client(tls.client_hello(tls.client_hello_body(extensions=[])))
    conversation.client(request)
    conversation.server(tls.server_hello(tls.server_hello_body(extensions=[])))
    return conversation


def asked_by_the_server(request: bytes, *, port: int = 443, random: bytes = tls.SERVER_RANDOM) -> Conversation:
    conversation = Conversation(server_port=port).connect()
    conversation.say_hello(server=tls.server_hello_body(random=random))
    conversation.server(request)
    return conversation


def metasploit(version: int) -> Conversation:
    return asked_by(tls.request(0xFFFF), version=version, ciphers=METASPLOITS_SUITES)


def named(result: Result) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for endpoint in result.endpoints:
        found |= endpoint["tool_classes"]
    return found


GIVEN_AWAY: dict[str, tuple[Callable[[], Conversation], str, str]] = {
    "nmap": (lambda: asked_by(tls.request(0x4000, b"Nmap ssl-heartbleed")), "checker", "nmap ssl-heartbleed"),
    "testssl": (lambda: asked_by(LIE, random=TESTSSLS_RANDOM), "checker", "testssl.sh"),
    "stafford": (lambda: asked_by(LIE, random=STAFFORDS_RANDOM), "exploit", STAFFORD),
    "heartbleed.py": (lambda: asked_by(LIE, random=b"B" * 32), "exploit", "pacemaker heartbleed.py"),
    "heartleech raw": (
        lambda: asked_by(LIE, random=bytes.fromhex("922ba1e5") + bytes(28)),
        "exploit",
        "heartleech (raw)",
    ),
    "metasploit, TLS 1.0": (lambda: metasploit(tls.TLS_1_0), "exploit", "metasploit openssl_heartbleed"),
    "metasploit, TLS 1.1": (lambda: metasploit(tls.TLS_1_1), "exploit", "metasploit openssl_heartbleed"),
    "metasploit, TLS 1.2": (lambda: metasploit(tls.TLS_1_2), "exploit", "metasploit openssl_heartbleed"),
    "sslyze": (
        lambda: asked_before_the_server_spoke(tls.request(16_381, bytes(16_381)) + tls.request(3, bytes(3))),
        "checker",
        "sslyze",
    ),
    "sslyze, server quicker": (
        lambda: asked_without_offering(tls.request(16_381, bytes(16_381)) + tls.request(3, bytes(3))),
        "checker",
        "sslyze",
    ),
    "burp": (lambda: asked_without_offering(tls.request(5_000, bytes(5_000))), "checker", "Burp Heartbleed extension"),
    "pacemaker.py": (
        lambda: asked_by_the_server(tls.request(0x4000), random=PACEMAKERS_RANDOM),
        "exploit",
        "pacemaker.py",
    ),
    "metasploit's server": (
        lambda: asked_by_the_server(tls.request(0xFFFF), port=8443),
        "exploit",
        "metasploit openssl_heartbeat_client_memory",
    ),
}

NOBODY_KNOWN: dict[str, Callable[[], Conversation]] = {
    "one byte more than nmap": lambda: asked_by(tls.request(0x4000, b"Nmap ssl-heartbleed!")),
    "a lie": lambda: asked_by(LIE),
    "sslyze's sizes after agreeing to heartbeats": lambda: asked_by(tls.request(16_381, bytes(16_381))),
    "burp's sizes after agreeing to heartbeats": lambda: asked_by(tls.request(5_000, bytes(5_000))),
    "another random beginning like pacemaker's": lambda: asked_by_the_server(
        LIE, random=PACEMAKERS_RANDOM[:31] + b"\0"
    ),
    "a server that asks for all": lambda: asked_by_the_server(tls.request(0xFFFF)),
}


@pytest.mark.parametrize("case", GIVEN_AWAY)
def test_a_tool_is_named_with_its_class(case: str, engine_name: str, tmp_path: Path) -> None:
    build, tool_class, name = GIVEN_AWAY[case]
    result = judge(tmp_path, engine_name, build())
    assert named(result) == {tool_class: [name]}
    (told,) = findings_of(result, [RECOGNISED])
    assert (told.context["tool"], told.context["tool_class"]) == (name, tool_class)
    asked = [finding for finding in result.findings if "request_bytes" in finding.context]
    assert {finding.context["tool_class"] for finding in asked} == {tool_class}


@pytest.mark.parametrize("case", NOBODY_KNOWN)
def test_what_no_tool_gives_away_is_unknown(case: str, engine_name: str, tmp_path: Path) -> None:
    result = judge(tmp_path, engine_name, NOBODY_KNOWN[case]())
    assert named(result) == {"unknown": []}
    assert findings_of(result, [RECOGNISED]) == []
    assert [endpoint["tools"] for endpoint in result.endpoints if endpoint["tool_classes"]] == [[]]


def test_a_server_that_attacks_a_checker_is_not_taken_for_it(engine_name: str, tmp_path: Path) -> None:
    conversation = connected().say_hello(client=tls.client_hello_body(random=TESTSSLS_RANDOM))
    conversation.server(LIE)
    assert named(judge(tmp_path, engine_name, conversation)) == {"unknown": []}


def test_a_known_tool_does_no_less_harm(engine_name: str, tmp_path: Path) -> None:
    verdicts = []
    for random in (tls.CLIENT_RANDOM, TESTSSLS_RANDOM):
        conversation = asked_by(LIE, random=random)
        conversation.server(tls.answer(0x4000)[0])
        result = judge(tmp_path, engine_name, conversation)
        verdicts.append([(endpoint["verdict"], endpoint["leaked_bytes"]) for endpoint in result.endpoints])
    unknown, checker = verdicts
    assert unknown == checker == [("leaked", 0x4000 - 3)]


def test_without_its_hello_a_tool_known_by_a_random_is_unknown(engine_name: str, tmp_path: Path) -> None:
    conversation = asked_by(LIE, random=STAFFORDS_RANDOM)
    conversation.packets = conversation.packets[4:]
    assert named(judge(tmp_path, engine_name, conversation)) == {"unknown": []}


def test_honest_heartbeats_in_sealed_records_are_nobodys(engine_name: str, tmp_path: Path) -> None:
    conversation = sealing()
    for _ in range(70):
        conversation.client(tls.sealed(ASKED))
        conversation.server(tls.sealed(ASKED))
    assert named(judge(tmp_path, engine_name, conversation)) == {"unknown": []}


@pytest.mark.parametrize(("outcome", "fits"), [("leak", True), ("silence", True), ("", False)])
def test_what_looks_honest_names_nobody_before_its_outcome_is_known(outcome: str, *, fits: bool) -> None:
    request: dict[str, object] = {"sealed": True, "request_bytes": 61, "victim": "server", "outcome": outcome}
    of_openssl_1_0_1 = {"ja3": "bd9c99b3a0f752c3ab8b052a79e9de3e"}
    tools = fingerprints.shipped()
    assert any(tool.matches(request, of_openssl_1_0_1) for tool in tools) == fits
    assert any(tool.may_yet_match(request, of_openssl_1_0_1) for tool in tools)
    assert not any(tool.may_yet_match(request, {"ja3": "another"}) for tool in tools)


# --- which of several ------------------------------------------------------------------------------------------------


def tool(name: str, *, copy_of: str | None = None, **session: str) -> Tool:
    return Tool(name, "exploit", "High", {}, {}, session, copy_of)


RANDOM, JA3 = {"client_random": "00"}, {"ja3": "11"}


@pytest.mark.parametrize(
    ("fitting", "name"),
    [
        ([], None),
        ([tool("a", **JA3)], "a"),
        ([tool("a", **JA3), tool("a", **JA3)], "a"),
        ([tool("a", **JA3), tool("b", **JA3)], None),
        ([tool("a", **JA3), tool("b")], "b"),
        ([tool("a"), tool("b", **RANDOM), tool("c", **JA3)], "b"),
        ([tool("a", **RANDOM), tool("b", **RANDOM, copy_of="a")], "b"),
        ([tool("a", **RANDOM), tool("b", **RANDOM, copy_of="a"), tool("c", **RANDOM, copy_of="a")], "a"),
    ],
)
def test_constants_count_before_sizes_before_ja3_and_equals_silence_each_other(
    fitting: list[Tool], name: str | None
) -> None:
    for order in (fitting, fitting[::-1]):
        found = most_telling(order)
        assert (found.name if found else None) == name


def test_fourteen_tools_are_known() -> None:
    assert len({tool.name for tool in fingerprints.shipped()}) >= 14


def test_copies_are_of_tools_that_are_known() -> None:
    names = {tool.name for tool in fingerprints.shipped()}
    assert {tool.copy_of for tool in fingerprints.shipped()} - {None} <= names


def test_entries_of_one_tool_are_of_one_class() -> None:
    by_name = sorted((tool.name, tool.tool_class) for tool in fingerprints.shipped())
    assert all(one[0] != other[0] or one[1] == other[1] for one, other in pairwise(by_name))
