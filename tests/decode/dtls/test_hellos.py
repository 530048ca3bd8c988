"""Hellos in fragments, with cookies, again and anew."""

from __future__ import annotations

import random
from hashlib import md5
from itertools import permutations

import pytest

from hbids.config import Limits
from hbids.facts import Kind, Phase, Protection, TlsStart, Transport
from tests.decode.dtls.conftest import DecodeDatagrams
from tests.support import dtls, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.decoding import check, column
from tests.support.dtls import COOKIE, DTLS_1_0, DTLS_1_2, HELLO, Exchange, greeted


def test_the_session_is_that_of_the_client_hello_with_the_cookie(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    named = (tls.heartbeat_extension(), tls.server_name(b"dtls.example"))
    exchange.ask(dtls.client_hello_body())
    exchange.demand_cookie()
    exchange.ask(dtls.client_hello_body(cookie=COOKIE, extensions=named), 1)
    exchange.answer(number=1)
    (row,) = decode(exchange).sessions
    expected = ",".join([str(DTLS_1_2), f"{tls.AES_GCM}-{tls.AES_CBC}", "15-0", "", ""])
    check(
        row,
        transport=Transport.DTLS,
        start=TlsStart.DIRECT,
        midstream=0,
        sni=b"dtls.example",
        client_version=DTLS_1_2,
        server_version=DTLS_1_2,
        tls_version=DTLS_1_2,
        cipher_suite=tls.AES_GCM,
        heartbeat_offered=1,
        heartbeat_accepted=1,
        client_hello_length=len(dtls.client_hello_body(cookie=COOKIE, extensions=named)),
        ja3=md5(expected.encode(), usedforsecurity=False).hexdigest().encode(),
    )
    assert row["ja4"].startswith(b"dd2d020200_")


def test_a_handshake_without_an_answer_gives_a_session_row(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.ask(dtls.client_hello_body(version=DTLS_1_0))
    (row,) = decode(exchange).sessions
    check(row, client_version=DTLS_1_0, server_version=0, heartbeat_offered=1, heartbeat_accepted=-2)
    assert row["ja4"].startswith(b"dd1i020100_")


def test_answers_alone_give_a_session_row(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.answer()
    exchange.beat(TO_CLIENT, dtls.heartbeat(tls.RESPONSE, 500, bytes(516)))
    decoded = decode(exchange)
    check(decoded.sessions[0], client_version=0, heartbeat_accepted=1, client_port=40_000, midstream=0)
    check(decoded.heartbeats[0], kind=Kind.RESPONSE, answers_message=0, phase=Phase.HANDSHAKE)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_hello_in_fragments_in_any_order(decode: DecodeDatagrams, order: tuple[int, ...]) -> None:
    exchange = Exchange()
    pieces = [(0, 20), (20, 50), (50, None)]
    for index in order:
        begin, end = pieces[index]
        exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, 1, begin, end))
    exchange.answer()
    decoded = decode(exchange)
    check(decoded.sessions[0], client_random=list(tls.CLIENT_RANDOM), heartbeat_offered=1, midstream=0)
    assert decoded.drops == {}


@pytest.mark.parametrize("size", [1, 7])
def test_overlapping_and_tiny_fragments_in_one_record(decode: DecodeDatagrams, size: int) -> None:
    exchange = Exchange()
    places = list(range(0, len(HELLO), size))
    random.Random(size).shuffle(places)  # noqa: S311  a fixed order, not a secret
    pieces = [dtls.fragment(tls.CLIENT_HELLO, HELLO, 0, at, at + size + 3) for at in places]
    exchange.say(TO_SERVER, tls.HANDSHAKE, b"".join(pieces))
    check(decode(exchange).sessions[0], client_random=list(tls.CLIENT_RANDOM), heartbeat_offered=1)


def test_of_what_overlaps_the_first_copy_counts(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    other = HELLO[:2] + bytes(32) + HELLO[34:]
    for body, begin, end in ((HELLO, 2, 34), (other, 0, None)):
        exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, body, 0, begin, end))
    # the second is whole by itself: it is read as it stands
    check(decode(exchange).sessions[0], client_random=[0] * 32)
    exchange = Exchange()
    for body, begin, end in ((HELLO, 2, 34), (other, 0, 60), (other, 60, None)):
        exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, body, 0, begin, end))
    check(decode(exchange).sessions[0], client_random=list(tls.CLIENT_RANDOM))


def test_a_hello_that_never_becomes_whole_hides_nothing(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, 0, 0, 50))
    exchange.beat(TO_SERVER)
    decoded = decode(exchange)
    check(decoded.sessions[0], client_version=0, heartbeat_offered=-2)
    check(decoded.heartbeats[0], claimed_length=0x4000, midstream=0)
    assert decoded.drops == {"hello_incomplete": 1}


def test_hellos_beyond_the_limit(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.ask(HELLO)
    exchange.beat(TO_SERVER)
    decoded = decode(exchange, limits=Limits(hello_bytes=50))
    assert decoded.drops == {"hello_too_long": 1}
    check(decoded.sessions[0], client_version=0)
    check(decoded.heartbeats[0], claimed_length=0x4000)


def test_fragments_that_claim_hellos_they_never_send_are_bounded(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    for number in range(40):
        exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, number, 0, 40))
    holes = b"".join(dtls.fragment(tls.SERVER_HELLO, bytes(60_000), 0, at, at + 1) for at in range(1, 1200, 2))
    for at in range(0, len(holes), 1300):
        exchange.say(TO_CLIENT, tls.HANDSHAKE, holes[at : at + 1300])
    assert decode(exchange).drops["hello_incomplete"] >= 42


def test_a_client_that_begins_anew_on_the_same_ports(decode: DecodeDatagrams) -> None:
    exchange = greeted().finish()
    exchange.numbers.clear()  # both count from zero again
    fresh = bytes(32)
    exchange.ask(dtls.client_hello_body(random=fresh))
    exchange.demand_cookie()
    exchange.ask(dtls.client_hello_body(random=fresh, cookie=COOKIE), 1)
    exchange.answer(dtls.server_hello_body(random=fresh, cipher=tls.AES_CBC), 1)
    exchange.beat(TO_SERVER)
    decoded = decode(exchange)
    assert column(decoded.sessions, "cipher_suite") == [tls.AES_GCM, tls.AES_CBC]
    assert decoded.sessions["time_ns"][1] > decoded.sessions["time_ns"][0]
    check(decoded.heartbeats[0], cipher_suite=tls.AES_CBC, protection=Protection.CLEAR, phase=Phase.HANDSHAKE)
    assert decoded.drops == {}


def test_hellos_sent_again_are_the_same_session(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.ask(dtls.client_hello_body(cookie=COOKIE), 1)
    exchange.answer(number=1)
    assert len(decode(exchange).sessions) == 1
