"""TLS that begins after plain text: which protocol it was, and hellos wherever its words end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.facts import Direction, Phase, TlsStart
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, TO_CLIENT, TO_SERVER, Conversation, connected
from tests.support.decoding import check, column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.decode.conftest import Decode
    from tests.support.decoding import Decoded

LIE = tls.request(0x4000)
ANSWER = tls.answer(0x100)[0]

Dialogue = list[tuple[Direction, bytes]]

LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
LDAP_SUCCESS = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
MYSQL_GREETING = b"\x4a\x00\x00\x00\x0a8.0.36\x00" + bytes(66)
MYSQL_SSL_REQUEST = b"\x20\x00\x00\x01" + b"\x85\xae\xff\x19" + b"\x00\x00\x00\x01\xff" + bytes(23)
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes.fromhex("0a000001 0a000002 1603 0301")
XMPP = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

DIALOGUES: dict[str, tuple[TlsStart, Dialogue]] = {
    "smtp": (
        TlsStart.SMTP,
        [
            (TO_CLIENT, b"220 mail.example ESMTP\r\n"),
            (TO_SERVER, b"EHLO me\r\n"),
            (TO_CLIENT, b"250-mail.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"),
            (TO_SERVER, b"starttls\r\n"),
            (TO_CLIENT, b"220 2.0.0 go ahead\r\n"),
        ],
    ),
    "imap": (
        TlsStart.IMAP,
        [
            (TO_CLIENT, b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
            (TO_SERVER, b"a001 STARTTLS\r\n"),
            (TO_CLIENT, b"a001 OK Begin TLS negotiation now.\r\n"),
        ],
    ),
    "pop3": (TlsStart.POP3, [(TO_CLIENT, b"+OK hi\r\n"), (TO_SERVER, b"STLS\r\n"), (TO_CLIENT, b"+OK begin\r\n")]),
    "ftp": (
        TlsStart.FTP,
        [(TO_CLIENT, b"220 ftp\r\n"), (TO_SERVER, b"AUTH TLS\r\n"), (TO_CLIENT, b"234 AUTH TLS ok\r\n")],
    ),
    "nntp": (
        TlsStart.NNTP,
        [(TO_CLIENT, b"200 news\r\n"), (TO_SERVER, b"STARTTLS\r\n"), (TO_CLIENT, b"382 continue\r\n")],
    ),
    "managesieve": (
        TlsStart.MANAGESIEVE,
        [
            (TO_CLIENT, b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK "ready"\r\n'),
            (TO_SERVER, b"STARTTLS\r\n"),
            (TO_CLIENT, b'OK "Begin TLS negotiation now."\r\n'),
        ],
    ),
    "irc": (
        TlsStart.IRC,
        [
            (TO_CLIENT, b":irc.example NOTICE * :*** Looking up your hostname\r\n"),
            (TO_SERVER, b"STARTTLS\r\n"),
            (TO_CLIENT, b":irc.example 670 me :STARTTLS successful, proceed with TLS handshake\r\n"),
        ],
    ),
    "xmpp": (
        TlsStart.XMPP,
        [
            (TO_SERVER, b"<?xml version='1.0'?><stream:stream to='example' version='1.0'>"),
            (TO_CLIENT, b"<stream:stream><stream:features><starttls/></stream:features>" + bytes(900)),
            (TO_SERVER, XMPP),
            (TO_CLIENT, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ],
    ),
    "ldap": (TlsStart.LDAP, [(TO_SERVER, LDAP_REQUEST), (TO_CLIENT, LDAP_SUCCESS)]),
    "postgresql": (
        TlsStart.POSTGRESQL,
        [(TO_SERVER, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (TO_CLIENT, b"S")],
    ),
    "postgresql after gss": (
        TlsStart.POSTGRESQL,
        [
            (TO_SERVER, b"\x00\x00\x00\x08\x04\xd2\x16\x30"),
            (TO_CLIENT, b"N"),
            (TO_SERVER, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"),
            (TO_CLIENT, b"S"),
        ],
    ),
    "mysql": (TlsStart.MYSQL, [(TO_CLIENT, MYSQL_GREETING), (TO_SERVER, MYSQL_SSL_REQUEST)]),
    "http connect": (
        TlsStart.HTTP_CONNECT,
        [
            (TO_SERVER, b"CONNECT example:443 HTTP/1.1\r\nHost: example:443\r\n\r\n"),
            (TO_CLIENT, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"),
            (TO_SERVER, b"CONNECT example:443 HTTP/1.1\r\nProxy-Authorization: Basic " + b"x" * 200 + b"\r\n\r\n"),
            (TO_CLIENT, b"HTTP/1.1 200 Connection established\r\n\r\n"),
        ],
    ),
    "socks4": (
        TlsStart.SOCKS,
        [(TO_SERVER, b"\x04\x01\x01\xbb\x0a\x00\x00\x02me\x00"), (TO_CLIENT, b"\x00\x5a" + bytes(6))],
    ),
    "socks4a": (
        TlsStart.SOCKS,
        [(TO_SERVER, b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00example\x00"), (TO_CLIENT, b"\x00\x5a" + bytes(6))],
    ),
    "socks5": (
        TlsStart.SOCKS,
        [
            (TO_SERVER, b"\x05\x02\x00\x02"),
            (TO_CLIENT, b"\x05\x02"),
            (TO_SERVER, b"\x01\x02me\x02it"),
            (TO_CLIENT, b"\x01\x00"),
            (TO_SERVER, b"\x05\x01\x00\x03\x07example\x01\xbb"),
            (TO_CLIENT, b"\x05\x00\x00\x01\x0a\x00\x00\x02\x01\xbb"),
        ],
    ),
    "proxy v1": (TlsStart.PROXY_PROTOCOL, [(TO_SERVER, b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n")]),
    "proxy v2": (TlsStart.PROXY_PROTOCOL, [(TO_SERVER, PROXY_V2)]),
    "proxy, then smtp": (
        TlsStart.SMTP,
        [
            (TO_SERVER, b"PROXY UNKNOWN\r\n"),
            (TO_CLIENT, b"220 mail\r\n"),
            (TO_SERVER, b"STARTTLS\r\n"),
            (TO_CLIENT, b"220 go\r\n"),
        ],
    ),
    "another": (TlsStart.UPGRADED, [(TO_SERVER, b"SECURE ME\n"), (TO_CLIENT, b"WELL\n")]),
}
NAMED = {name: case for name, case in DIALOGUES.items() if name != "another"}


def speak(conversation: Conversation, dialogue: Dialogue) -> Conversation:
    for way, words in dialogue:
        conversation.segment(way, words)
    return conversation


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
