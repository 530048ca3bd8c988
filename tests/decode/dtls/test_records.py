"""Records in datagrams, several or cut, and those that are read no further."""

from __future__ import annotations

import struct

import pytest

from hbids.facts import Phase, TlsStart
from tests.capture.build import Frame
from tests.decode.dtls.conftest import DecodeDatagrams
from tests.support import dtls, framing, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.decoding import check, column
from tests.support.dtls import DTLS_1_0, DTLS_1_2, DTLS_1_3, LIE, Exchange, greeted, sealing

DTLS_COUNTERS = {
    "datagrams_cut",
    "datagrams_foreign",
    "dtls13_records",
    "dtls_cid_records",
    "dtls_records_overrun",
    "dtls_records_replayed",
}
"""Each has a test in this folder."""


def test_several_records_in_a_datagram(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    alert = exchange.next(TO_SERVER, tls.ALERT, b"\x01\x5a")
    beats = [exchange.next(TO_SERVER, tls.HEARTBEAT, LIE) for _ in range(3)]
    exchange.send(TO_SERVER, alert + b"".join(beats))
    decoded = decode(exchange)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000] * 3
    check(decoded.flows[0], records_to_server=[0, 1, 2, 0, 3])


def test_a_heartbeat_glued_to_the_client_hello(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    hello = exchange.next(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, dtls.client_hello_body(), 0))
    exchange.send(TO_SERVER, hello + exchange.next(TO_SERVER, tls.HEARTBEAT, LIE))
    check(decode(exchange).heartbeats[0], phase=Phase.BEFORE_SERVER_HELLO, claimed_length=0x4000)


def test_a_record_longer_than_its_datagram_is_a_lie_that_is_read(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 9, length=500))
    decoded = decode(exchange)
    check(decoded.heartbeats[0], record_length=500, bytes_seen=3, gap=1, claimed_length=0x4000)
    assert decoded.drops == {"dtls_records_overrun": 1}


def test_what_follows_a_record_and_is_none_is_counted(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.send(TO_SERVER, exchange.next(TO_SERVER, tls.HEARTBEAT, LIE) + b"no record")
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 1
    assert decoded.drops == {"record_desync": 1}


def test_a_datagram_cut_by_the_snap_length(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    body = dtls.heartbeat(tls.REQUEST, 0x4000, bytes(100))
    exchange.send(TO_SERVER, exchange.next(TO_SERVER, tls.HEARTBEAT, body), captured_bytes=20)
    decoded = decode(exchange)
    check(decoded.heartbeats[0], record_length=103, bytes_seen=7, gap=1, claimed_length=0x4000)
    assert decoded.drops == {"datagrams_cut": 1}


@pytest.mark.parametrize("version", [0xFE00, DTLS_1_0, DTLS_1_3, dtls.BAD_VERSION])
def test_versions_may_lie_after_a_hello(decode: DecodeDatagrams, version: int) -> None:
    exchange = greeted()
    exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 9, version=version))
    check(decode(exchange).heartbeats[0], record_version=version, claimed_length=0x4000)


def test_other_protocols_on_the_same_ports_are_passed_over(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    stun = struct.pack(">HHI", 1, 0, 0x2112A442) + bytes(12)
    exchange.send(TO_SERVER, stun)
    exchange.greet()
    exchange.send(TO_CLIENT, stun)
    exchange.send(TO_SERVER, b"\x80\x60" + bytes(170))  # RTP
    exchange.beat(TO_SERVER)
    decoded = decode(exchange)
    check(decoded.sessions[0], midstream=0, start=TlsStart.DIRECT)
    check(decoded.heartbeats[0], claimed_length=0x4000, midstream=0)
    assert decoded.drops == {"datagrams_foreign": 2}


def test_an_answer_in_ip_fragments(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    exchange.beat(TO_SERVER, dtls.heartbeat(tls.REQUEST, 5000))
    whole = exchange.beat(TO_CLIENT, dtls.heartbeat(tls.RESPONSE, 5000, bytes(5016)))
    exchange.frames.remove(whole)
    datagram = whole.data[14 + 20 :]
    for at in reversed(range(0, len(datagram), 1480)):  # the first fragment comes last
        more = 0x2000 if at + 1480 < len(datagram) else 0
        piece = framing.ipv4("10.0.0.2", "10.0.0.1", 64, datagram[at : at + 1480], fragment=more | at // 8, protocol=17)
        data = framing.ETHERNET.wrap(piece)
        exchange.frames.append(Frame(exchange.now_ns, data, len(data)))
    decoded = decode(exchange)
    check(decoded.heartbeats[1], answers_message=1, bytes_seen=5019, record_length=5019, gap=0)


def test_connection_ids_are_counted_and_not_read(decode: DecodeDatagrams) -> None:
    exchange = sealing()
    exchange.send(TO_SERVER, dtls.record(dtls.TLS12_CID, b"\xc1d" + tls.noise(60), 1, epoch=1) + bytes(20))
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 0
    assert decoded.drops == {"dtls_cid_records": 1}


def test_records_of_dtls_1_3_are_counted_and_not_read(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    extensions = (tls.supported_versions(DTLS_1_2, DTLS_1_3),)
    exchange.ask(dtls.client_hello_body(extensions=extensions))
    exchange.answer(dtls.server_hello_body(extensions=(tls.selected_version(DTLS_1_3),)))
    sized = b"\x2e\x00\x01\x00\x20" + tls.noise(32)
    exchange.send(TO_CLIENT, sized + sized + b"\x22\x02" + tls.noise(40))
    decoded = decode(exchange)
    check(decoded.sessions[0], tls_version=DTLS_1_3, server_version=DTLS_1_2)
    assert decoded.sessions[0]["ja4"].startswith(b"dd3")
    assert decoded.drops == {"dtls13_records": 3}
