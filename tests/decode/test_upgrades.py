"""TLS that begins after plain text: which protocol it was, and hellos wherever its words end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.facts import Direction, Phase, TlsStart
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, TO_CLIENT, TO_SERVER, Conversation, connected
from tests.support.decoding import check, column
from tests.support.dialogues import DIALOGUES, Dialogue, speak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.decode.conftest import Decode
    from tests.support.decoding import Decoded

LIE = tls.request(0x4000)
ANSWER = tls.answer(0x100)[0]

NAMED = {name: case for name, case in DIALOGUES.items() if name != "another"}


def attack(conversation: Conversation) -> Conversation:
    """Hellos, a lie and its answer."""
    conversation.say_hello()
    conversation.client(LIE)
    conversation.server(ANSWER)
    return conversation


def check_attack(decoded: Decoded, start: TlsStart) -> None:
    assert column(decoded.sessions, "start") == [start] * len(decoded.sessions)
    assert set(column(decoded.sessions, "heartbeat_accepted")) == {1}
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x100] * len(decoded.sessions)
    assert set(column(decoded.flows, "transport")) == {1}
    assert set(column(decoded.heartbeats, "midstream")) == {0}
    assert decoded.drops == {}


@pytest.mark.parametrize(("start", "dialogue"), DIALOGUES.values(), ids=DIALOGUES)
def test_the_protocol_is_named(decode: Decode, start: TlsStart, dialogue: Dialogue) -> None:
    check_attack(decode(attack(speak(connected(), dialogue))), start)


@pytest.mark.parametrize(("start", "dialogue"), DIALOGUES.values(), ids=DIALOGUES)
def test_byte_by_byte_it_reads_the_same(decode: Decode, start: TlsStart, dialogue: Dialogue) -> None:
    conversation = connected()
    whole = attack(speak(Conversation(), dialogue))
    for packet in whole.packets:
        for at in range(len(packet.payload)):
            conversation.segment(packet.way, packet.payload[at : at + 1])
    check_attack(decode(conversation), start)


@pytest.mark.parametrize(("start", "dialogue"), NAMED.values(), ids=NAMED)
def test_a_hello_glued_behind_the_words_that_ask_is_found(decode: Decode, start: TlsStart, dialogue: Dialogue) -> None:
    last = max(at for at, (way, _) in enumerate(dialogue) if way is TO_SERVER)
    conversation = speak(connected(), dialogue[:last])
    conversation.client(dialogue[last][1] + tls.client_hello())
    granting = b"".join(words for _, words in dialogue[last + 1 :])
    conversation.server(granting + tls.server_hello())
    conversation.client(LIE)
    conversation.server(ANSWER)
    check_attack(decode(conversation), start)


@pytest.mark.parametrize("name", ["smtp", "postgresql", "mysql", "proxy v1", "proxy v2", "http connect"])
def test_glued_and_split_at_any_byte_it_is_found(decode: Decode, name: str) -> None:
    start, dialogue = NAMED[name]
    last = max(at for at, (way, _) in enumerate(dialogue) if way is TO_SERVER)
    asking = dialogue[last][1] + tls.client_hello()
    granting = b"".join(words for _, words in dialogue[last + 1 :]) + tls.server_hello()
    places = [at for at in range(1, max(len(asking), len(granting))) if at < 100 or at % 20 == 0]
    conversations = []
    for at in places:
        conversation = Conversation(client_port=10_000 + at, start_ns=START_NS + at * SECOND_NS).connect()
        speak(conversation, dialogue[:last])
        conversation.client(asking, cut=_within(asking, at))
        conversation.server(granting, cut=_within(granting, at))
        conversation.client(LIE)
        conversation.server(ANSWER)
        conversations.append(conversation)
    decoded = decode(*conversations)
    assert len(decoded.sessions) == len(places)
    check_attack(decoded, start)


def _within(data: bytes, at: int) -> Sequence[int]:
    return [at] if at < len(data) else []


@pytest.mark.parametrize(("start", "dialogue"), NAMED.values(), ids=NAMED)
def test_seen_from_the_client_alone_it_is_named(decode: Decode, start: TlsStart, dialogue: Dialogue) -> None:
    conversation = attack(speak(connected(), dialogue)).lose_way(TO_CLIENT)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    if start in (TlsStart.SOCKS, TlsStart.HTTP_CONNECT, TlsStart.NNTP, TlsStart.MANAGESIEVE, TlsStart.IRC):
        return  # words of other turns come before, or only the server tells whose STARTTLS it is
    if dialogue[0][1].startswith(b"PROXY"):
        return
    check(decoded.sessions[0], start=start)


@pytest.mark.parametrize(
    "name", ["smtp", "imap", "pop3", "ftp", "nntp", "managesieve", "irc", "xmpp", "ldap", "postgresql", "socks4"]
)
def test_seen_from_the_server_alone_it_is_named(decode: Decode, name: str) -> None:
    start, dialogue = NAMED[name]
    decoded = decode(attack(speak(connected(), dialogue)).lose_way(TO_SERVER))
    check(decoded.sessions[0], start=start, client_version=0, heartbeat_accepted=1)
    assert column(decoded.heartbeats, "claimed_length") == [0x100]


@pytest.mark.parametrize("hello", [tls.client_hello(), tls.server_hello()], ids=["client", "server"])
def test_where_tls_was_agreed_a_hello_may_be_lost(decode: Decode, hello: bytes) -> None:
    conversation = attack(speak(connected(), NAMED["smtp"][1]))
    conversation.lose(next(packet for packet in conversation.packets if packet.payload == hello))
    for _ in range(3):
        conversation.wait(20)
        conversation.client(LIE)
        conversation.server(ANSWER)
    decoded = decode(conversation)
    assert sorted(column(decoded.heartbeats, "claimed_length")) == [0x100] * 4 + [0x4000] * 4
    check(decoded.sessions[0], start=TlsStart.SMTP)


def test_the_answer_captured_before_its_request_is_read(decode: Decode) -> None:
    conversation = speak(connected(), NAMED["smtp"][1])
    hellos = conversation.client(tls.client_hello()) + conversation.server(tls.server_hello())
    conversation.client(LIE)
    conversation.server(ANSWER)
    conversation.reorder([1, 0], hellos)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x100]
    check(decoded.sessions[0], start=TlsStart.SMTP)


def test_a_heartbeat_before_any_hello_is_told_where_tls_was_agreed(decode: Decode) -> None:
    conversation = speak(connected(), NAMED["smtp"][1])
    conversation.client(LIE)
    conversation.say_hello()
    (row,) = decode(conversation).heartbeats
    check(row, claimed_length=0x4000, phase=Phase.BEFORE_SERVER_HELLO)


def test_an_alert_may_be_the_answer_to_a_hello(decode: Decode) -> None:
    conversation = speak(connected(), NAMED["smtp"][1])
    conversation.client(tls.client_hello())
    conversation.server(tls.alert(2, 40))
    decoded = decode(conversation)
    check(decoded.sessions[0], start=TlsStart.SMTP, server_version=0)
    assert decoded.flows[0]["records_to_client"].tolist() == [0, 1, 0, 0, 0]


def test_a_malicious_server_need_not_say_hello_before_it_asks(decode: Decode) -> None:
    conversation = speak(connected(), NAMED["smtp"][1])
    conversation.client(tls.client_hello())
    conversation.server(LIE)
    conversation.client(ANSWER)
    assert column(decode(conversation).heartbeats, "direction") == [TO_CLIENT, TO_SERVER]


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_after_much_plain_text_the_words_are_still_heard(decode: Decode, way: Direction) -> None:
    conversation = speak(connected(), NAMED["smtp"][1][:3])
    for index in range(40):
        conversation.segment(way, b"text %d " % index + b"x" * 1_400 + b"\r\n")
    speak(conversation, NAMED["smtp"][1][3:])
    check_attack(decode(attack(conversation)), TlsStart.SMTP)


def test_a_tunnel_may_follow_other_requests_to_a_proxy(decode: Decode) -> None:
    conversation = connected()
    conversation.client(b"GET http://example/ HTTP/1.1\r\nHost: example\r\n\r\n")
    conversation.server(b"HTTP/1.1 200 OK\r\nContent-Length: 28000\r\n\r\n")
    for _ in range(20):
        conversation.server(bytes(1_400))
    speak(conversation, NAMED["http connect"][1][2:])
    check_attack(decode(attack(conversation)), TlsStart.HTTP_CONNECT)


def test_a_refused_request_leads_to_no_tls(decode: Decode) -> None:
    conversation = connected()
    conversation.server(b"220 mail\r\n")
    conversation.client(b"STARTTLS\r\n" + tls.client_hello() + LIE)
    conversation.server(b"454 TLS not available\r\n")
    conversation.server(b"500 what?\r\n")
    decoded = decode(conversation)
    assert (len(decoded.sessions), len(decoded.heartbeats)) == (0, 0)
    assert decoded.drops == {"heartbeats_without_tls": 1}


def test_a_pipelined_lie_is_told_once_the_server_lets_tls_begin(decode: Decode) -> None:
    conversation = connected()
    conversation.server(b"220 mail\r\n")
    (asked,) = conversation.client(b"STARTTLS\r\n" + tls.client_hello() + LIE)
    conversation.server(b"220 go\r\n")
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000, time_ns=asked.time_ns)
    check(decoded.sessions[0], start=TlsStart.SMTP)
