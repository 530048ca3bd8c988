"""Flows of UDP: their rows, and when they end."""

from __future__ import annotations

from hbids.config import Limits
from hbids.facts import EndReason, Phase, Transport
from tests.decode.dtls.conftest import DecodeDatagrams
from tests.decode.dtls.foreign import dns
from tests.support.conversation import SECOND_NS, TO_SERVER, batch_of, connected
from tests.support.decoding import check, column, decode_batches
from tests.support.dtls import Exchange, greeted


def test_the_flow_row_is_that_of_udp(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER)
    (flow,) = decode(exchange).flows
    check(
        flow,
        protocol=17,
        transport=Transport.DTLS,
        midstream=0,
        end_reason=EndReason.CAPTURE_END,
        client_port=40_000,
        server_port=4_433,
        packets_to_server=3,
        packets_to_client=2,
        records_to_server=[0, 0, 2, 0, 1],
        records_to_client=[0, 0, 2, 0, 0],
        heartbeats_to_server=1,
    )


def test_tcp_and_udp_on_the_same_ports_are_two_flows(engine_name: str) -> None:
    exchange = Exchange(server=("10.0.0.2", 443)).greet()
    exchange.beat(TO_SERVER)
    conversation = connected().say_hello()
    decoded = decode_batches(engine_name, [batch_of([*exchange.frames, *conversation.frames()])])
    assert column(decoded.flows, "protocol") == [17, 6]
    assert column(decoded.sessions, "transport") == [Transport.DTLS, Transport.TLS]


def test_ipv6(decode: DecodeDatagrams) -> None:
    exchange = Exchange(client=("fd00::1", 40_000), server=("fd00::2", 4_433)).greet()
    exchange.beat(TO_SERVER)
    assert column(decode(exchange).heartbeats, "claimed_length") == [0x4000]


def test_idle_flows_end(decode: DecodeDatagrams) -> None:
    plain = Exchange(client=("10.0.0.1", 50_001))
    plain.send(TO_SERVER, dns(1, 0x0100))
    talking = Exchange(client=("10.0.0.1", 50_002)).greet()
    later = Exchange(client=("10.0.0.1", 50_003))
    for seconds in (61, 125, 7300, 14_500):
        later.now_ns = plain.now_ns + seconds * SECOND_NS
        later.send(TO_SERVER, dns(1, 0x0100))
    flows = decode(plain, talking, later).flows
    assert set(column(flows, "end_reason")) == {EndReason.TIMEOUT, EndReason.CAPTURE_END}
    ended = {int(row["client_port"]): int(row["end_reason"]) for row in flows}
    assert (ended[50_001], ended[50_002]) == (EndReason.TIMEOUT, EndReason.TIMEOUT)


def test_flows_without_dtls_make_room_first(decode: DecodeDatagrams) -> None:
    talking = greeted()
    others = [Exchange(client=("10.0.0.9", port), now_ns=talking.now_ns + port) for port in range(1, 30)]
    for other in others:
        other.send(TO_SERVER, dns(1, 0x0100))
    talking.now_ns += SECOND_NS
    talking.beat(TO_SERVER)
    decoded = decode(talking, *others, limits=Limits(flows=4))
    check(decoded.heartbeats[0], midstream=0, phase=Phase.HANDSHAKE)
    assert decoded.drops == {"flows_evicted": 26}
