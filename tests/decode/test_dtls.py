"""DTLS in UDP datagrams: records, hellos in fragments, replays, what is DTLS and what only looks like it."""

from __future__ import annotations

import random
import struct
from hashlib import md5
from itertools import permutations
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hbids
from hbids.config import Limits, Thresholds
from hbids.decode.engine import native_available
from hbids.detect import open_detectors
from hbids.facts import Direction, EndReason, Facts, Kind, Phase, Protection, TlsStart, Transport, Verdict
from tests.capture.build import Frame
from tests.conftest import missing
from tests.support import dtls, framing, tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER, batch_of, connected, write_pcap
from tests.support.decoding import TABLES, Decoded, all_facts, check, column, decode_batches, differences, engine_called
from tests.support.dtls import COOKIE, DTLS_1_0, DTLS_1_2, DTLS_1_3, HONEST, LIE, Exchange, greeted, sealing

if TYPE_CHECKING:
    from pathlib import Path

DTLS_COUNTERS = {
    "datagrams_cut",
    "datagrams_foreign",
    "dtls13_records",
    "dtls_cid_records",
    "dtls_records_overrun",
    "dtls_records_replayed",
}
"""Each has a test here."""


class DecodeDatagrams(Protocol):
    """Runs exchanges through the engine of this test."""

    def __call__(self, *exchanges: Exchange, limits: Limits | None = None) -> Decoded: ...


@pytest.fixture
def decode(engine_name: str) -> DecodeDatagrams:
    def run(*exchanges: Exchange, limits: Limits | None = None) -> Decoded:
        frames = [frame for exchange in exchanges for frame in exchange.frames]
        return decode_batches(engine_name, [batch_of(sorted(frames, key=lambda frame: frame.time_ns))], limits)

    return run


def findings(engine_name: str, frames: list[Frame]) -> list[tuple[int, Verdict]]:
    """What the detectors make of frames: signature and verdict."""
    facts = all_facts(engine_called(engine_name), [batch_of(frames)])
    nothing = Facts.empty()
    return [
        (finding.sid, finding.verdict)
        for detector in open_detectors(Thresholds())
        for step in (facts, nothing)
        for finding in detector.update(step)
    ]


def graver_than_exposed(engine_name: str, *exchanges: Exchange) -> list[int]:
    frames = [frame for exchange in exchanges for frame in exchange.frames]
    return [sid for sid, verdict in findings(engine_name, frames) if verdict > Verdict.EXPOSED]


# --- clear ----------------------------------------------------------------------------------------------------------


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


# --- records in datagrams -------------------------------------------------------------------------------------------


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


# --- replays --------------------------------------------------------------------------------------------------------


def test_a_record_sent_twice_is_one(decode: DecodeDatagrams) -> None:
    exchange = sealing()
    exchange.beat(TO_SERVER, tls.noise(61), epoch=1)
    again = exchange.frames[-1]
    exchange.frames += [again, again]
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 1
    assert decoded.drops == {"dtls_records_replayed": 2}


def test_records_out_of_order_are_no_replays(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    beats = [exchange.next(TO_SERVER, tls.HEARTBEAT, LIE) for _ in range(64)]
    for beat in [*reversed(beats), *beats]:
        exchange.send(TO_SERVER, beat)
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 64
    assert decoded.drops == {"dtls_records_replayed": 64}


def test_a_forged_number_far_ahead_hides_nothing(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    for number in (5, (1 << 48) - 1, 6, 6, 7):
        exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, number))
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 4
    assert decoded.drops == {"dtls_records_replayed": 1}


def test_epochs_count_for_themselves(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    for epoch in (0, 1, 2):
        exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 50, epoch=epoch))
    decoded = decode(exchange)
    assert column(decoded.heartbeats, "protection") == [Protection.CLEAR, Protection.SEALED, Protection.SEALED]


# --- hellos ---------------------------------------------------------------------------------------------------------


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


HELLO = dtls.client_hello_body(cookie=COOKIE)


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


# --- sealed ---------------------------------------------------------------------------------------------------------


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


# --- joined late ----------------------------------------------------------------------------------------------------


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


# --- what is read no further ----------------------------------------------------------------------------------------


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


# --- not DTLS -------------------------------------------------------------------------------------------------------


def dns(identifier: int, flags: int) -> bytes:
    return struct.pack(">HHHHHH", identifier, flags, 1, 0, 0, 1) + b"\x07example\x03com\x00" + struct.pack(">HH", 1, 1)


def quic(first: int) -> bytes:
    return bytes([first]) + b"\x00\x00\x00\x01\x08" + bytes(range(8)) + tls.noise(1180)


def rtp(number: int) -> bytes:
    return struct.pack(">BBHII", 0x80, 0x18, number, number * 160, 7) + tls.noise(160, number)


NOT_DTLS = {
    "dns, ids like content types": [dns(kind << 8 | low, 0) for kind in range(20, 26) for low in (0xFE, 0x01)],
    "dns, flags like versions": [dns(0x18FE, flags) for flags in (0xFF00, 0xFD00, 0xFEFF)],
    "quic": [quic(first) for first in (0xC0, 0xE3, 0x40, 0x17, 0x18)],
    "rtp": [rtp(number) for number in range(50)],
    "random": [tls.noise(length, 9) for length in range(0, 1400, 7)],
    "random behind a content type and a version": [
        bytes([20 + length % 5, 0xFE, 0xFD]) + tls.noise(length, 8) for length in range(10, 1400, 7)
    ],
    "a byte too many": [dtls.record(tls.HEARTBEAT, LIE, number) + b"\0" for number in range(9)],
    "a byte too few": [dtls.record(tls.HEARTBEAT, LIE, number)[:-1] for number in range(9)],
    "numbers beyond reason": [dtls.record(tls.HEARTBEAT, LIE, number << 40) for number in range(1, 9)],
    "epochs beyond reason": [dtls.record(tls.HEARTBEAT, LIE, 1, epoch=epoch << 8) for epoch in range(1, 9)],
    "versions of TLS": [dtls.record(tls.HEARTBEAT, LIE, number, version=0x0303) for number in range(9)],
    "the version of AnyConnect without a hello": [
        dtls.record(tls.HEARTBEAT, LIE, number, version=dtls.BAD_VERSION) for number in range(9)
    ],
    "TLS in datagrams": [tls.client_hello(), tls.server_hello(), tls.request(0x4000)],
    "a hello's header with fragments that do not fit": [
        dtls.record(tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, 0)[:9] + b"\xff\xff\xff", 1) + b"\0"
    ],
    "type 25 alone": [dtls.record(dtls.TLS12_CID, tls.noise(40), number, epoch=1) for number in range(9)],
    "nothing": [b""] * 3,
}


@pytest.mark.parametrize("name", NOT_DTLS)
def test_what_is_not_dtls(engine_name: str, name: str) -> None:
    exchange = Exchange()
    for payload in NOT_DTLS[name]:
        exchange.send(TO_SERVER, payload)
        exchange.send(TO_CLIENT, payload)
    decoded = decode_batches(engine_name, [batch_of(exchange.frames)])
    assert (len(decoded.heartbeats), len(decoded.sessions)) == (0, 0)
    (flow,) = decoded.flows
    packets = len(NOT_DTLS[name])
    check(flow, protocol=17, transport=0, packets_to_server=packets, packets_to_client=packets)
    assert findings(engine_name, exchange.frames) == []
    assert decoded.drops == {}


def test_the_version_of_anyconnect_after_a_hello(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    hello = dtls.fragment(tls.CLIENT_HELLO, dtls.client_hello_body(version=dtls.BAD_VERSION), 0)
    exchange.send(TO_SERVER, dtls.record(tls.HANDSHAKE, hello, 0, version=dtls.BAD_VERSION))
    exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 1, version=dtls.BAD_VERSION))
    check(decode(exchange).heartbeats[0], claimed_length=0x4000, record_version=dtls.BAD_VERSION)


# --- both engines ---------------------------------------------------------------------------------------------------

_bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(dtls.heartbeat, st.integers(0, 3), st.sampled_from([0, 18, 1000, 0x4000]), st.binary(max_size=60)),
    st.builds(
        b"".join,
        st.lists(
            st.builds(
                dtls.fragment,
                st.sampled_from([tls.CLIENT_HELLO, tls.SERVER_HELLO, dtls.HELLO_VERIFY_REQUEST]),
                st.sampled_from([HELLO, dtls.server_hello_body(), dtls.client_hello_body(random=bytes(32)), b"short"]),
                st.integers(0, 2),
                st.integers(0, 90),
                st.none() | st.integers(0, 120),
            ),
            max_size=4,
        ),
    ),
)
_records = st.builds(
    dtls.record,
    st.sampled_from([20, 21, 22, 22, 23, 24, 24, 25, 0x2E]),
    _bodies,
    st.integers(0, 5) | st.integers(0, (1 << 48) - 1),
    epoch=st.sampled_from([0, 0, 0, 1, 1, 2, 0xFFFF]),
    version=st.sampled_from([DTLS_1_2, DTLS_1_2, DTLS_1_0, DTLS_1_3, dtls.BAD_VERSION, 0x0303]),
    length=st.none() | st.none() | st.integers(0, 0xFFFF),
)
_datagrams = st.lists(
    st.tuples(
        st.sampled_from([TO_SERVER, TO_CLIENT]),
        st.lists(_records, max_size=3).map(b"".join) | st.binary(max_size=40),
        st.none() | st.none() | st.none() | st.integers(0, 60),
        st.sampled_from([0, 1, 400]),
    ),
    max_size=12,
)


@settings(max_examples=400, deadline=None)
@given(datagrams=_datagrams, hello=st.booleans(), hello_bytes=st.sampled_from([50, 65_536]))
def test_both_engines_agree_on_made_up_datagrams(
    datagrams: list[tuple[Direction, bytes, int | None, int]], hello: bool, hello_bytes: int
) -> None:
    if not native_available():
        missing("the native engine")
    exchange = greeted() if hello else Exchange()
    for way, payload, captured, seconds in datagrams:
        exchange.now_ns += seconds * SECOND_NS
        exchange.send(way, payload, captured_bytes=captured)
    engines = [engine_called(name, Limits(hello_bytes=hello_bytes)) for name in ("native", "reference")]
    first, second = (all_facts(engine, [batch_of(exchange.frames)]) for engine in engines)
    for table in TABLES:
        assert differences(getattr(first, table), getattr(second, table)) == [], table
    counted = [{name: n for name, n in engine.counters().items() if n} for engine in engines]
    assert counted[0] == counted[1]


# --- the end --------------------------------------------------------------------------------------------------------


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
