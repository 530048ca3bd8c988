"""Decoys: segments that the sensor sees and the host refuses. None may hide a request, and no capture that merely looks
so (checksums left to the network card, paths that change) may make the sensor blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.config import Limits
from hbids.facts import Kind
from tests.decode.conftest import Decode
from tests.support import dtls, framing, tls
from tests.support.conversation import (
    ACK,
    PSH,
    SECOND_NS,
    TO_CLIENT,
    TO_SERVER,
    Conversation,
    Packet,
    batch_of,
    checked,
    greeted,
)
from tests.support.decoding import check, column, decode_batches

if TYPE_CHECKING:
    from collections.abc import Callable

LIE, HONEST = tls.request(0x4000), tls.request(0)
DECOY_COUNTERS = {"segments_refused", "datagrams_refused", "urgent_bytes"}
URG = 0x20


def instead(conversation: Conversation, data: bytes = HONEST) -> Packet:
    """A decoy that takes the place of what the client will send next."""
    return conversation.stray(TO_SERVER, data, seq=conversation.next_seq[TO_SERVER])


def wrong_checksum(conversation: Conversation) -> None:
    instead(conversation).checksum = False


def low_ttl(conversation: Conversation) -> None:
    instead(conversation).ttl = 3


def acknowledges_what_was_never_sent(conversation: Conversation) -> None:
    instead(conversation).ack = conversation.next_seq[TO_CLIENT] + 5_000


DECOYS = [wrong_checksum, low_ttl, acknowledges_what_was_never_sent]


@pytest.mark.parametrize("throw_in", DECOYS)
def test_a_decoy_does_not_hide_what_comes_in_its_place(
    decode: Decode, throw_in: Callable[[Conversation], None]
) -> None:
    conversation = checked()
    throw_in(conversation)
    conversation.client(LIE)
    conversation.server(tls.answer(0x4000)[0])
    decoded = decode(conversation)
    request, answer = decoded.heartbeats
    check(request, kind=Kind.REQUEST, claimed_length=0x4000)
    check(answer, kind=Kind.RESPONSE, answers_message=1)
    assert decoded.drops == {"segments_refused": 1}
    check(decoded.flows[0], conflicts_to_server=0)


@pytest.mark.parametrize("throw_in", DECOYS)
def test_a_decoy_behind_a_hole_does_not_hide_what_comes_in_its_place(
    decode: Decode, throw_in: Callable[[Conversation], None]
) -> None:
    conversation = checked()
    late = conversation.client(tls.application_data(40))[0]
    throw_in(conversation)
    conversation.client(LIE)
    conversation.lose(late)
    conversation.repeat(late)
    assert column(decode(conversation).heartbeats, "claimed_length") == [0x4000]


@pytest.mark.parametrize("throw_in", [wrong_checksum, low_ttl])
def test_a_decoy_that_only_the_sensor_saw_adds_nothing(
    decode: Decode, throw_in: Callable[[Conversation], None]
) -> None:
    conversation = checked()
    instead_of = conversation.next_seq[TO_SERVER]
    throw_in(conversation)
    conversation.packets[-1].payload = LIE
    conversation.server(tls.application_data(30))
    conversation.stray(TO_CLIENT, b"", seq=conversation.next_seq[TO_CLIENT], flags=ACK, ack=instead_of)
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 0
    assert decoded.drops == {"segments_refused": 1}


def test_a_copy_with_one_hop_less_is_no_decoy(decode: Decode) -> None:
    """A span port may show each packet before and behind a router."""
    conversation = checked()
    conversation.client(LIE)
    conversation.server(tls.answer(0x4000)[0])
    for packet in list(conversation.packets):
        conversation.repeat(packet)
        conversation.packets[-1].ttl -= 1
        conversation.packets[-1].time_ns = packet.time_ns
    conversation.packets.sort(key=lambda packet: packet.time_ns)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x4000]
    assert decoded.drops == {"segments_repeated": 4}


def test_a_wrong_ip_header_checksum_is_a_decoy_too(decode: Decode) -> None:
    def network(source: str, target: str, ttl: int, segment: bytes) -> bytes:
        packet = bytearray(framing.ipv4(source, target, ttl, segment))
        packet[10] ^= 0x55 if segment.endswith(HONEST) else 0
        return bytes(packet)

    conversation = Conversation(checksums=True, network=network).connect().say_hello()
    instead(conversation)
    conversation.client(LIE)
    assert column(decode(conversation).heartbeats, "claimed_length") == [0x4000]


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_a_side_whose_checksums_are_all_wrong_left_them_to_its_network_card(decode: Decode, way: int) -> None:
    conversation = checked()
    conversation.client(LIE)
    conversation.server(tls.answer(0x4000)[0])
    for packet in conversation.packets:
        packet.checksum = packet.way != way
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 2
    assert decoded.drops == {}


def test_a_host_that_leaves_only_some_checksums_to_its_card_is_believed_once_acknowledged(decode: Decode) -> None:
    conversation = checked()
    conversation.client(LIE)
    for record in tls.answer(0xFFFF):
        for packet in conversation.server(record, cut=range(1448, len(record), 1448)):
            packet.checksum = False
        conversation.segment(TO_SERVER, flags=ACK)
    _, answer = (decoded := decode(conversation)).heartbeats
    check(answer, bytes_seen=3 + 0xFFFF + 16, gap=0, answers_message=1)
    assert decoded.drops == {}


def test_a_path_that_grows_is_believed_once_acknowledged(decode: Decode) -> None:
    conversation = checked()
    for packet in conversation.packets:
        packet.ttl = 64 if packet.way == TO_SERVER else 255
    for number in range(3):
        request = conversation.client(LIE)[0]
        request.ttl = 60 - number
        for packet in conversation.server(tls.answer(0x4000)[0], cut=range(1448, 16_389, 1448)):
            packet.ttl = 64
        conversation.segment(TO_SERVER, flags=ACK)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "answers_message") == [0, 1, 0, 3, 0, 5]
    assert decoded.drops == {}


@pytest.mark.parametrize("throw_in", [wrong_checksum, low_ttl])
def test_in_a_capture_of_one_way_a_doubtful_request_counts_when_nothing_takes_its_place(
    decode: Decode, throw_in: Callable[[Conversation], None]
) -> None:
    conversation = checked().lose_way(TO_CLIENT)
    throw_in(conversation)
    conversation.packets[-1].payload = LIE
    assert column(decode(conversation).heartbeats, "claimed_length") == [0x4000]


def test_so_many_decoys_are_held_and_more_refused(decode: Decode) -> None:
    conversation = checked()
    for _ in range(40):
        wrong_checksum(conversation)
    conversation.client(LIE)
    decoded = decode(conversation, limits=Limits(out_of_order_bytes=4_096))
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert decoded.drops == {"segments_refused": 40}


def test_a_datagram_with_a_wrong_checksum_does_not_hide_the_record_of_its_number(engine_name: str) -> None:
    exchange = dtls.Exchange(checksums=True).greet()
    lie = exchange.next(TO_SERVER, tls.HEARTBEAT, dtls.LIE)
    decoy = exchange.send(TO_SERVER, lie[:-1] + b"\x01")
    exchange.frames[-1] = decoy._replace(data=decoy.data[:-1] + b"\x02")
    exchange.send(TO_SERVER, lie)
    decoded = decode_batches(engine_name, [batch_of(exchange.frames)])
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert decoded.drops == {"datagrams_refused": 1}


# --- answers before their requests ------------------------------------------------------------------------------------


def test_an_answer_captured_before_its_request_is_paired_with_it(decode: Decode) -> None:
    conversation = checked()
    request = conversation.client(LIE)[0]
    answer = conversation.server(tls.answer(0x4000)[0])[0]
    conversation.reorder([1, 0], [request, answer])
    asked, answered = sorted(decode(conversation).heartbeats, key=lambda row: row["kind"])
    check(asked, kind=Kind.REQUEST, phase=2)
    check(answered, kind=Kind.RESPONSE, answers_message=int(asked["message_id"]), bytes_seen=16_384)


def test_a_side_that_lags_behind_the_other_is_put_in_order(decode: Decode) -> None:
    """Two ports of a tap, of which one is late: every answer stands before its question."""
    conversation = Conversation(checksums=True).connect()
    began_ns = conversation.now_ns
    conversation.say_hello()
    conversation.client(LIE)
    conversation.server(tls.answer(0x4000)[0])
    conversation.segment(TO_SERVER, flags=ACK)
    for packet in conversation.packets:
        if packet.way == TO_SERVER and packet.time_ns >= began_ns:
            packet.time_ns += 50_000_000
    conversation.packets.sort(key=lambda packet: packet.time_ns)
    decoded = decode(conversation)
    check(decoded.sessions[0], heartbeat_offered=1, heartbeat_accepted=1)
    assert {int(row["kind"]): int(row["answers_message"]) for row in decoded.heartbeats} == {1: 0, 2: 1}
    check(decoded.flows[0], gaps_to_server=0, gaps_to_client=0)


def test_an_answer_whose_request_the_capture_lost_is_read_when_acknowledged(decode: Decode) -> None:
    conversation = checked()
    conversation.lose(*conversation.client(LIE))
    conversation.server(tls.answer(0x4000)[0])
    conversation.segment(TO_SERVER, flags=ACK)
    (answer,) = decode(conversation).heartbeats
    check(answer, kind=Kind.RESPONSE, answers_message=0, bytes_seen=16_384)


# --- two copies that say different things -----------------------------------------------------------------------------


def copies_in_order(conversation: Conversation) -> None:
    seq = conversation.next_seq[TO_SERVER]
    conversation.client(LIE)
    conversation.stray(TO_SERVER, HONEST, seq=seq)


def a_copy_that_reaches_further(conversation: Conversation) -> None:
    seq = conversation.next_seq[TO_SERVER]
    conversation.client(LIE)
    conversation.stray(TO_SERVER, HONEST + tls.application_data(20), seq=seq)


def copies_behind_a_hole(conversation: Conversation) -> None:
    seq = conversation.next_seq[TO_SERVER]
    conversation.stray(TO_SERVER, LIE[4:], seq=seq + 4)
    conversation.stray(TO_SERVER, HONEST[2:], seq=seq + 2)
    conversation.stray(TO_SERVER, LIE[:4], seq=seq)


def a_copy_around_what_waits(conversation: Conversation) -> None:
    seq = conversation.next_seq[TO_SERVER]
    conversation.stray(TO_SERVER, LIE[6:7], seq=seq + 6)
    conversation.stray(TO_SERVER, tls.request(0x0000)[5:], seq=seq + 5)
    conversation.stray(TO_SERVER, LIE[:5], seq=seq)


@pytest.mark.parametrize(
    "send", [copies_in_order, a_copy_that_reaches_further, copies_behind_a_hole, a_copy_around_what_waits]
)
def test_a_second_copy_with_other_bytes_is_noted_and_the_first_counts(
    decode: Decode, send: Callable[[Conversation], None]
) -> None:
    conversation = greeted()
    send(conversation)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    check(decoded.flows[0], conflicts_to_server=1, conflicts_to_client=0)


def test_honest_copies_and_keep_alives_contradict_nothing(decode: Decode) -> None:
    conversation = greeted()
    data = tls.application_data(3_000)
    packets = conversation.client(data, cut=[700, 1400, 2100])
    conversation.repeat(*packets)
    conversation.stray(TO_SERVER, data[500:2500], seq=packets[0].seq + 500)
    conversation.stray(TO_SERVER, b"\0", seq=conversation.next_seq[TO_SERVER] - 1, flags=ACK)
    check(decode(conversation).flows[0], conflicts_to_server=0)


# --- urgent data ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(len(LIE)))
def test_an_urgent_byte_is_none_of_the_stream(decode: Decode, place: int) -> None:
    conversation = greeted()
    packet = conversation.client(LIE[:place] + b"!" + LIE[place:])[0]
    packet.flags, packet.urgent = PSH | ACK | URG, place + 1
    conversation.client(tls.request(7))
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 7]
    assert decoded.drops == {"urgent_bytes": 1}


def test_an_urgent_byte_may_be_announced_before_it_comes(decode: Decode) -> None:
    conversation = greeted()
    first, _ = conversation.client(LIE[:4] + b"!" + LIE[4:], cut=[2])
    first.flags, first.urgent = PSH | ACK | URG, 5
    assert column(decode(conversation).heartbeats, "claimed_length") == [0x4000]


def test_simultaneous_open(decode: Decode) -> None:
    conversation = Conversation(checksums=True)
    client, server = conversation.next_seq[TO_SERVER], conversation.next_seq[TO_CLIENT]
    for way, flags in ((TO_SERVER, 2), (TO_CLIENT, 2), (TO_SERVER, 2 | ACK), (TO_CLIENT, 2 | ACK)):
        seq, back = (client, server) if way == TO_SERVER else (server, client)
        conversation.stray(way, b"", seq=seq, flags=flags, ack=back + 1 if flags & ACK else 0)
    conversation.next_seq = {TO_SERVER: client + 1, TO_CLIENT: server + 1}
    conversation.say_hello().client(LIE)
    conversation.server(tls.answer(0x4000)[0])
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {}
    check(decoded.flows[0], midstream=0, client_port=40_000)


def test_decoys_end_with_the_flow_and_leave_no_charge(decode: Decode) -> None:
    """What a flow held is free for others when it ends."""
    limits = Limits(out_of_order_bytes_total=3_000, closed_timeout_ns=SECOND_NS)
    flows = []
    for number in range(20):
        conversation = Conversation(
            checksums=True, client_port=30_000 + number, start_ns=1_700_000_000 * SECOND_NS + number * 20 * SECOND_NS
        )
        conversation.connect().say_hello()
        wrong_checksum(conversation)
        conversation.client(LIE)
        conversation.rst(TO_SERVER)
        flows.append(conversation)
    decoded = decode(*flows, limits=limits)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000] * 20
