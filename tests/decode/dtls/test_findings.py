"""What detectors make of DTLS."""

from __future__ import annotations

from pathlib import Path

import pytest

import hbids
from tests.decode.dtls.findings import graver_than_exposed
from tests.support import dtls, tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER, connected, write_pcap
from tests.support.dtls import DTLS_1_0, DTLS_1_2, HONEST, Exchange, greeted, sealing

# record length of OpenSSL's honest heartbeat of 37 bytes, and the smallest any honest one can have (19 bytes)
SEALED_LENGTHS = [
    (tls.AES_GCM, DTLS_1_2, 61, 43),
    (tls.CHACHA, DTLS_1_2, 53, 35),
    (tls.AES_CBC, DTLS_1_0, 80, 64),
    (tls.AES_CBC, DTLS_1_2, 80, 64),
    (tls.AES_CBC, dtls.BAD_VERSION, 80, 64),
]


@pytest.mark.parametrize(("cipher", "version", "honest", "smallest"), SEALED_LENGTHS)
def test_legal_keep_alives_of_both_sides_raise_nothing(
    engine_name: str, cipher: int, version: int, honest: int, smallest: int
) -> None:
    exchange = sealing(cipher, version)
    for length in (honest, smallest, honest + 96):
        for asker, answerer in ((TO_SERVER, TO_CLIENT), (TO_CLIENT, TO_SERVER)):
            exchange.beat(asker, tls.noise(length), epoch=1)
            exchange.beat(answerer, tls.noise(length), epoch=1)
            exchange.now_ns += 5 * SECOND_NS
    assert graver_than_exposed(engine_name, exchange) == []


@pytest.mark.parametrize(("cipher", "version", "smallest"), [(*row[:2], row[3]) for row in SEALED_LENGTHS])
def test_a_record_below_the_smallest_honest_one_is_reported(
    engine_name: str, cipher: int, version: int, smallest: int
) -> None:
    exchange = sealing(cipher, version)
    exchange.beat(TO_SERVER, tls.noise(smallest - 1), epoch=1)
    exchange.now_ns += 60 * SECOND_NS
    assert 1016200 in graver_than_exposed(engine_name, exchange)


def test_clear_and_honest_raises_nothing(engine_name: str) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER, HONEST)
    exchange.beat(TO_CLIENT, dtls.heartbeat(tls.RESPONSE, 18, bytes(34)))
    assert graver_than_exposed(engine_name, exchange) == []


def test_the_signatures_are_those_of_tls(engine_name: str) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER, dtls.heartbeat(tls.REQUEST, 1000))
    exchange.beat(TO_CLIENT, dtls.heartbeat(tls.RESPONSE, 1000, bytes(1016)))
    assert graver_than_exposed(engine_name, exchange) == [1016001, 1016100]


def test_the_same_port_over_tcp_and_over_udp_are_two_endpoints(engine_name: str, tmp_path: Path) -> None:
    exchange = Exchange(server=("10.0.0.2", 443)).greet()
    exchange.beat(TO_SERVER)
    path = write_pcap(tmp_path / "both.pcap", [*exchange.frames, *connected().say_hello().frames()])
    endpoints = hbids.replay(path, engine=engine_name).endpoints
    assert {(each["port"], each["transport"], each["verdict"]) for each in endpoints} == {
        (443, "dtls", "attempted"),
        (443, "tls", "exposed"),
    }
