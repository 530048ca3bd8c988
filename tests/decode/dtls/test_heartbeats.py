"""Heartbeats in clear and in sealed epochs: each record is a message."""

from __future__ import annotations

import pytest

from hbids.facts import Direction, Kind, Phase, Protection, Transport
from tests.decode.dtls.conftest import DecodeDatagrams
from tests.support import dtls, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.decoding import check, column
from tests.support.dtls import DTLS_1_2, Exchange, greeted, sealing


def test_an_over_read_in_the_handshake_and_its_answer(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER, dtls.heartbeat(tls.REQUEST, 1000))
    exchange.beat(TO_CLIENT, dtls.heartbeat(tls.RESPONSE, 1000, bytes(1016)))
    decoded = decode(exchange)
    request, response = decoded.heartbeats
    check(
        request,
        transport=Transport.DTLS,
        direction=Direction.TO_SERVER,
        protection=Protection.CLEAR,
        kind=Kind.REQUEST,
        phase=Phase.HANDSHAKE,
        midstream=0,
        record_version=DTLS_1_2,
        record_length=3,
        claimed_length=1000,
        tls_version=DTLS_1_2,
        cipher_suite=tls.AES_GCM,
    )
    check(response, kind=Kind.RESPONSE, answers_message=1, request_record_length=3, payload_present=1000, records=1)
    assert decoded.drops == {}


def test_heartbeats_before_the_server_hello(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    exchange.ask(dtls.client_hello_body())
    exchange.beat(TO_SERVER)
    check(decode(exchange).heartbeats[0], phase=Phase.BEFORE_SERVER_HELLO, midstream=0)


def test_each_record_is_a_message_however_much_it_claims(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER, dtls.heartbeat(tls.REQUEST, 2000))
    answer = dtls.heartbeat(tls.RESPONSE, 2000, bytes(2016))
    exchange.beat(TO_CLIENT, answer[:1000])
    exchange.beat(TO_CLIENT, answer[1000:])
    decoded = decode(exchange)
    assert column(decoded.heartbeats, "records") == [1, 1, 1]
    assert column(decoded.heartbeats, "bytes_seen") == [3, 1000, 1019]


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x01\x40", b"\x07\x00\x01\x00"])
def test_malformed_heartbeats(decode: DecodeDatagrams, body: bytes) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER, body)
    check(decode(exchange).heartbeats[0], kind=Kind.MALFORMED, record_length=len(body))


def test_sealed_requests_and_answers_are_paired(decode: DecodeDatagrams) -> None:
    exchange = sealing()
    exchange.beat(TO_SERVER, tls.noise(48), epoch=1)
    exchange.beat(TO_CLIENT, tls.noise(1360), epoch=1)
    request, response = decode(exchange).heartbeats
    check(request, protection=Protection.SEALED, kind=Kind.REQUEST, phase=Phase.AFTER, claimed_length=-1)
    check(response, kind=Kind.RESPONSE, answers_message=1, request_record_length=48, bytes_seen=1360)


def test_a_sealed_answer_of_a_full_record_is_a_message_of_its_own(decode: DecodeDatagrams) -> None:
    exchange = sealing()
    exchange.beat(TO_SERVER, tls.noise(61), epoch=1)
    for _ in range(2):
        exchange.beat(TO_CLIENT, tls.noise(16_408), epoch=1)
    decoded = decode(exchange)
    assert column(decoded.heartbeats, "records") == [1, 1, 1]


def test_a_clear_request_after_the_handshake_is_clear(decode: DecodeDatagrams) -> None:
    exchange = sealing()
    exchange.beat(TO_SERVER)
    check(decode(exchange).heartbeats[0], protection=Protection.CLEAR, claimed_length=0x4000, phase=Phase.AFTER)
