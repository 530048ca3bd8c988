"""Hellos: what the session row says of them, however they are cut, framed or lied about."""

from __future__ import annotations

import pytest

from hbids.config import Limits
from hbids.facts import NO_SUITE, Answer, TlsStart, Transport
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import Conversation, connected, greeted
from tests.support.decoding import check

ABSENT, NOT_SEEN = -1, -2
FULL_CLIENT = tls.client_hello_body(
    session_id=bytes(32),
    extensions=[
        tls.server_name(b"www.example.org"),
        tls.protocols(b"h2", b"http/1.1"),
        tls.heartbeat_extension(1),
        tls.groups(29, 23),
        tls.point_formats(0),
    ],
)
FULL_SERVER = tls.server_hello_body(
    session_id=bytes(range(32)),
    extensions=[tls.heartbeat_extension(2), tls.protocols(b"h2"), tls.ENCRYPT_THEN_MAC],
)


def test_a_session_row_says_what_both_hellos_said(decode: Decode) -> None:
    conversation = connected()
    (first,) = conversation.client(tls.client_hello(FULL_CLIENT))
    conversation.server(tls.server_hello(FULL_SERVER))
    (row,) = decode(conversation).sessions
    check(row, time_ns=first.time_ns, flow_id=1, transport=Transport.TLS, start=TlsStart.DIRECT, midstream=0)
    check(row, client_record_version=tls.TLS_1_0, client_version=tls.TLS_1_2, server_version=tls.TLS_1_2)
    check(row, tls_version=tls.TLS_1_2, cipher_suite=tls.AES_GCM, client_hello_length=len(FULL_CLIENT))
    check(row, heartbeat_offered=1, heartbeat_accepted=2, encrypt_then_mac=Answer.YES, resumed=Answer.NO)
    check(row, client_random=list(tls.CLIENT_RANDOM), server_random=list(tls.SERVER_RANDOM))
    check(row, sni=b"www.example.org", alpn_offered=b"h2,http/1.1", alpn_selected=b"h2")
    check(row, client_port=40_000, server_port=443, vlan=[0xFFFF] * 3)


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 255])
def test_the_heartbeat_mode_is_what_the_byte_says(decode: Decode, mode: int) -> None:
    extensions = [tls.heartbeat_extension(mode)]
    conversation = connected().say_hello(
        tls.client_hello_body(extensions=extensions), tls.server_hello_body(extensions=extensions)
    )
    check(decode(conversation).sessions[0], heartbeat_offered=mode, heartbeat_accepted=mode)


@pytest.mark.parametrize("extensions", [[], None, [tls.SESSION_TICKET]], ids=["none", "not even a length", "another"])
def test_without_the_extension_it_is_absent(decode: Decode, extensions: list[bytes] | None) -> None:
    conversation = connected().say_hello(
        tls.client_hello_body(extensions=extensions), tls.server_hello_body(extensions=extensions)
    )
    check(decode(conversation).sessions[0], heartbeat_offered=ABSENT, heartbeat_accepted=ABSENT)


def test_an_empty_heartbeat_extension_is_there_with_mode_0(decode: Decode) -> None:
    extensions = [tls.extension(15)]
    conversation = connected().say_hello(tls.client_hello_body(extensions=extensions))
    check(decode(conversation).sessions[0], heartbeat_offered=0, heartbeat_accepted=1)


def test_of_two_equal_extensions_the_first_counts(decode: Decode) -> None:
    extensions = [tls.heartbeat_extension(1), tls.heartbeat_extension(2)]
    conversation = connected().say_hello(tls.client_hello_body(extensions=extensions))
    check(decode(conversation).sessions[0], heartbeat_offered=1)


@pytest.mark.parametrize("version", [tls.SSL_3_0, tls.TLS_1_0, tls.TLS_1_1, tls.TLS_1_2])
def test_the_version_is_the_servers_choice(decode: Decode, version: int) -> None:
    conversation = connected().say_hello(server=tls.server_hello_body(version=version))
    check(decode(conversation).sessions[0], client_version=tls.TLS_1_2, server_version=version, tls_version=version)


@pytest.mark.parametrize(("resumes", "answer"), [(False, Answer.NO), (True, Answer.YES)])
def test_tls_1_3_is_negotiated_by_an_extension(decode: Decode, answer: Answer, *, resumes: bool) -> None:
    pre_shared_key = [tls.extension(41, b"\x00\x00")] if resumes else []
    conversation = connected().say_hello(
        tls.client_hello_body(extensions=[tls.supported_versions(0x0A0A, tls.TLS_1_3, tls.TLS_1_2)]),
        tls.server_hello_body(cipher=0x1301, extensions=[tls.selected_version(tls.TLS_1_3), *pre_shared_key]),
    )
    (row,) = decode(conversation).sessions
    check(row, tls_version=tls.TLS_1_3, server_version=tls.TLS_1_2, cipher_suite=0x1301, resumed=answer)


@pytest.mark.parametrize(
    ("echoed", "answer"), [(bytes(32), Answer.YES), (bytes(31) + b"\x01", Answer.NO), (b"", Answer.NO)]
)
def test_a_session_is_resumed_when_the_server_repeats_its_id(decode: Decode, echoed: bytes, answer: Answer) -> None:
    conversation = connected().say_hello(FULL_CLIENT, tls.server_hello_body(session_id=echoed))
    check(decode(conversation).sessions[0], resumed=answer)


def test_a_hello_without_an_answer_is_told_at_the_end(decode: Decode) -> None:
    conversation = connected()
    conversation.client(tls.client_hello())
    (row,) = decode(conversation).sessions
    check(row, client_version=tls.TLS_1_2, server_version=0, tls_version=0, cipher_suite=NO_SUITE)
    check(
        row, heartbeat_offered=1, heartbeat_accepted=NOT_SEEN, resumed=Answer.UNKNOWN, server_random=[0] * 32, ja3s=b""
    )


def test_a_hello_of_the_server_alone_is_told(decode: Decode) -> None:
    conversation = connected()
    conversation.server(tls.server_hello())
    (row,) = decode(conversation).sessions
    check(row, client_version=0, client_hello_length=NOT_SEEN, heartbeat_offered=NOT_SEEN, heartbeat_accepted=1)
    check(row, client_random=[0] * 32, ja3=b"", ja4=b"", sni=b"", resumed=Answer.UNKNOWN)


# --- how it comes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fragment", [1, 3, 4, 5, 50])
def test_a_hello_may_take_many_records(decode: Decode, fragment: int) -> None:
    message = tls.handshake(tls.CLIENT_HELLO, FULL_CLIENT)
    records = [
        tls.record(tls.HANDSHAKE, message[at : at + fragment], version=tls.TLS_1_0)
        for at in range(0, len(message), fragment)
    ]
    conversation = connected()
    conversation.client(b"".join(records[:1]))
    conversation.client(b"".join(records[1:]))
    conversation.server(tls.server_hello(FULL_SERVER))
    (row,) = decode(conversation).sessions
    check(row, sni=b"www.example.org", heartbeat_offered=1, client_hello_length=len(FULL_CLIENT), heartbeat_accepted=2)


def test_messages_that_share_the_servers_record_are_no_matter(decode: Decode) -> None:
    hello_request = tls.handshake(0, b"")
    body = hello_request + tls.handshake(tls.SERVER_HELLO, FULL_SERVER) + tls.handshake(tls.CERTIFICATE, bytes(900))
    conversation = connected()
    conversation.client(tls.client_hello())
    conversation.server(tls.record(tls.HANDSHAKE, body))
    check(decode(conversation).sessions[0], heartbeat_accepted=2)


@pytest.mark.parametrize("version", [0x0002, 0x0300, 0x0301, 0x0303])
def test_a_hello_in_sslv2_framing_is_a_hello_without_extensions(decode: Decode, version: int) -> None:
    body = b"\x01" + tls.words([version, 6, 0, 16]) + bytes.fromhex("010080 00002f") + bytes(16)
    conversation = connected()
    conversation.client(tls.words([0x8000 | len(body)]) + body)
    conversation.server(tls.server_hello())
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    check(decoded.sessions[0], client_version=version, heartbeat_offered=ABSENT, heartbeat_accepted=1, ja3=b"")
    check(decoded.heartbeats[0], claimed_length=0x4000)


def test_a_second_hello_of_the_same_connection_changes_nothing(decode: Decode) -> None:
    conversation = greeted()
    conversation.say_hello(server=tls.server_hello_body(extensions=[]))
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    assert len(decoded.sessions) == 1
    check(decoded.heartbeats[0], heartbeat_accepted=1)


def test_two_connections_have_two_sessions(decode: Decode) -> None:
    second = Conversation(client_port=40_001).connect().say_hello(server=tls.server_hello_body(extensions=[]))
    rows = decode(greeted(), second).sessions
    assert sorted(rows["heartbeat_accepted"].tolist()) == [ABSENT, 1]


# --- lies -----------------------------------------------------------------------------------------------------------


def lie(what: str) -> bytes:
    """A ClientHello body with one length that claims more than there is."""
    usual = tls.heartbeat_extension()
    head = tls.words([tls.TLS_1_2]) + tls.CLIENT_RANDOM
    ciphers = tls.vector(2, tls.words([tls.AES_GCM]))
    return {
        "session id": head + tls.vector(1, b"", length=255) + ciphers + b"\x01\x00" + tls.vector(2, usual),
        "ciphers": head + b"\x00" + tls.vector(2, tls.words([tls.AES_GCM]), length=0xFFFF) + b"\x01\x00",
        "compression": head + b"\x00" + ciphers + tls.vector(1, b"\x00", length=200) + tls.vector(2, usual),
        "extensions": head + b"\x00" + ciphers + b"\x01\x00" + tls.vector(2, usual, length=0xFFFF),
        "extension": head + b"\x00" + ciphers + b"\x01\x00" + tls.vector(2, tls.extension(15, b"\x01", length=9)),
        "server name": tls.client_hello_body(extensions=[tls.extension(0, b"\xff\xff\x00\xff\xffname"), usual]),
        "protocols": tls.client_hello_body(extensions=[tls.extension(16, b"\xff\xff\xffh2"), usual]),
    }[what]


@pytest.mark.parametrize(
    ("what", "offered"),
    [
        ("session id", ABSENT),
        ("ciphers", ABSENT),
        ("compression", ABSENT),
        ("extensions", 1),
        ("extension", 1),
        ("server name", 1),
        ("protocols", 1),
    ],
)
def test_a_length_that_lies_costs_a_field_and_never_the_hello(decode: Decode, what: str, offered: int) -> None:
    conversation = connected().say_hello(lie(what))
    (row,) = decode(conversation).sessions
    check(row, client_version=tls.TLS_1_2, client_random=list(tls.CLIENT_RANDOM), heartbeat_offered=offered)
    assert row["ja3"] != b""
    check(row, sni=b"name" if what == "server name" else b"", alpn_offered=b"h2" if what == "protocols" else b"")


@pytest.mark.parametrize("kept", range(0, len(FULL_CLIENT), 5))
def test_a_hello_that_claims_only_its_beginning_is_read_as_far_as_it_goes(decode: Decode, kept: int) -> None:
    conversation = connected().say_hello(FULL_CLIENT[:kept])
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    check(decoded.sessions[0], client_hello_length=kept if kept >= 34 else NOT_SEEN, server_version=tls.TLS_1_2)
    assert decoded.drops == ({} if kept >= 34 else {"hello_malformed": 1})
    assert len(decoded.heartbeats) == 1


@pytest.mark.parametrize("length", [70_000, 0xFFFFFF])
def test_an_endless_hello_is_given_up_and_counted(decode: Decode, length: int) -> None:
    conversation = connected()
    conversation.client(tls.record(tls.HANDSHAKE, tls.handshake(tls.CLIENT_HELLO, FULL_CLIENT, length=length)))
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    assert decoded.drops == {"hello_too_long": 1}
    check(decoded.heartbeats[0], claimed_length=0x4000)


def test_the_limit_of_a_hello_is_the_configured_one(decode: Decode) -> None:
    conversation = connected().say_hello(FULL_CLIENT)
    exact = Limits(hello_bytes=len(FULL_CLIENT))
    assert decode(conversation, limits=exact).drops == {}
    less = Limits(hello_bytes=len(FULL_CLIENT) - 1)
    assert decode(conversation, limits=less).drops == {"hello_too_long": 1}


@pytest.mark.parametrize("field_bytes", [255, 256, 1000])
def test_long_names_are_cut_to_the_width_of_their_column(decode: Decode, field_bytes: int) -> None:
    name = b"a" * field_bytes
    extensions = [tls.server_name(name), tls.protocols(*[b"proto-%03d" % number for number in range(20)])]
    conversation = connected().say_hello(tls.client_hello_body(extensions=extensions))
    (row,) = decode(conversation).sessions
    check(row, sni=name[:255])
    assert len(row["alpn_offered"]) == 64


@pytest.mark.parametrize("kept", [6, 20, 40])
def test_a_hello_cut_by_a_snap_length_lets_heartbeats_count(decode: Decode, kept: int) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x4000))
    for packet in conversation.packets:
        packet.captured_bytes = 14 + 20 + 20 + kept
    conversation.packets[-1].captured_bytes = None
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000, midstream=0)
    check(decoded.flows[0], transport=Transport.TLS)
    assert decoded.drops == {"hello_incomplete": 2, "stream_gaps": 2}
