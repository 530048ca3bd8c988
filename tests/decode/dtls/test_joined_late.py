"""Flows of which the hellos were not captured."""

from __future__ import annotations

from hbids.facts import Direction, Phase, Protection, TlsStart, Transport
from tests.decode.dtls.conftest import DecodeDatagrams
from tests.support import dtls, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.decoding import check, column
from tests.support.dtls import LIE, Exchange


def test_a_sealed_exchange_joined_late(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.beat(TO_SERVER, tls.noise(48), epoch=1)
    exchange.beat(TO_CLIENT, tls.noise(1360), epoch=1)
    decoded = decode(exchange)
    request, response = decoded.heartbeats
    check(request, midstream=1, protection=Protection.SEALED, phase=Phase.UNKNOWN, direction=Direction.TO_SERVER)
    check(response, midstream=1, answers_message=1, phase=Phase.AFTER)
    check(decoded.flows[0], midstream=1, transport=Transport.DTLS)
    assert len(decoded.sessions) == 0


def test_clear_requests_joined_late(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.send(TO_SERVER, b"".join(exchange.next(TO_SERVER, tls.HEARTBEAT, LIE) for _ in range(2)))
    decoded = decode(exchange)
    assert column(decoded.heartbeats, "midstream") == [1, 1]
    assert column(decoded.heartbeats, "protection") == [Protection.CLEAR] * 2


def test_one_record_proves_nothing(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.beat(TO_SERVER)
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 0
    check(decoded.flows[0], transport=0)
    assert decoded.drops == {"heartbeats_without_tls": 1}


def test_the_same_record_twice_proves_nothing(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    for _ in range(5):
        exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 1))
    check(decode(exchange).flows[0], transport=0)


def test_a_hello_settles_what_it_is(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.beat(TO_SERVER)
    exchange.greet()
    decoded = decode(exchange)
    check(decoded.heartbeats[0], claimed_length=0x4000, midstream=1)
    check(decoded.sessions[0], midstream=1, start=TlsStart.UNKNOWN, heartbeat_accepted=1)
