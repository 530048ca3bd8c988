"""Clear heartbeats: what a message is made of, when it came, and which request it answers."""

from __future__ import annotations

import pytest

from hbids.facts import Answer, Direction, Kind, Phase, Protection, Transport
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import TO_CLIENT, Conversation, Packet, connected, greeted
from tests.support.decoding import check, column

LIE = tls.request(0x4000)


def answer_to(conversation: Conversation, claimed: int, *, fragment: int = tls.FRAGMENT_BYTES) -> list[Packet]:
    """The answer, a segment a record."""
    return [packet for piece in tls.answer(claimed, fragment=fragment) for packet in conversation.server(piece)]


def test_claimed_and_present_are_two_facts(decode: Decode) -> None:
    conversation = greeted()
    (packet,) = conversation.client(tls.request(0x4000, b"Nmap ssl-heartbleed"))
    (row,) = decode(conversation).heartbeats
    check(row, claimed_length=0x4000, payload_present=19, padding_present=0, record_length=22, bytes_seen=22, records=1)
    check(row, kind=Kind.REQUEST, message_type=1, protection=Protection.CLEAR, transport=Transport.TLS, gap=0)
    check(row, direction=Direction.TO_SERVER, answers_message=0, request_record_length=-1, request_claimed_length=-1)
    check(row, time_ns=packet.time_ns, end_time_ns=packet.time_ns, message_id=1, flow_id=1, midstream=0)


def test_an_honest_request_has_its_payload_and_padding(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.honest_request())
    (row,) = decode(conversation).heartbeats
    check(row, claimed_length=18, payload_present=18, padding_present=16, record_length=37)


def test_a_row_knows_what_was_negotiated(decode: Decode) -> None:
    hello = tls.server_hello_body(cipher=tls.AES_CBC, extensions=[tls.ENCRYPT_THEN_MAC, tls.heartbeat_extension(2)])
    conversation = connected().say_hello(server=hello)
    conversation.client(LIE)
    (row,) = decode(conversation).heartbeats
    check(row, cipher_suite=tls.AES_CBC, tls_version=tls.TLS_1_2, encrypt_then_mac=Answer.YES, heartbeat_accepted=2)


def test_a_row_knows_its_flow_so_far(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE)
    answer_to(conversation, 0x4000)
    request, response = decode(conversation).heartbeats
    frames = conversation.frames()
    check(request, packet_number=6, packets_to_server=4, packets_to_client=2, flow_start_ns=frames[0].time_ns)
    check(response, packet_number=8, packets_to_server=4, packets_to_client=4)
    assert response["bytes_to_client"] == sum(len(frames[index].data) for index in (1, 4, 6, 7))


# --- when -------------------------------------------------------------------------------------------------------------


def test_the_phase_is_that_of_the_handshake(decode: Decode) -> None:
    conversation = connected()
    conversation.client(LIE)
    conversation.client(tls.client_hello())
    conversation.client(LIE)
    conversation.server(tls.server_hello() + tls.certificate())
    conversation.client(LIE)
    conversation.finish_handshake()
    conversation.client(tls.sealed(27))
    phases = column(decode(conversation).heartbeats, "phase")
    assert phases == [Phase.BEFORE_SERVER_HELLO, Phase.BEFORE_SERVER_HELLO, Phase.HANDSHAKE, Phase.AFTER]


@pytest.mark.parametrize("missing", ["ServerHello", "server"])
def test_where_the_server_hello_may_be_missing_the_phase_is_unknown(decode: Decode, missing: str) -> None:
    conversation = connected()
    conversation.client(tls.client_hello())
    hello = conversation.server(tls.server_hello())
    conversation.client(LIE)
    conversation.server(tls.certificate())
    conversation.wait(1).client(LIE)
    conversation.lose(*hello)
    if missing == "server":
        conversation.lose_way(TO_CLIENT)
    assert column(decode(conversation).heartbeats, "phase")[-1] == Phase.UNKNOWN


def test_a_request_before_any_hello_is_told_at_the_hello_with_its_own_time(decode: Decode) -> None:
    conversation = connected()
    (asked,) = conversation.client(LIE)
    conversation.wait(5).say_hello()
    (row,) = decode(conversation).heartbeats
    check(row, time_ns=asked.time_ns, end_time_ns=asked.time_ns, packet_number=4)


# --- which answers which ----------------------------------------------------------------------------------------------


def test_an_answer_names_its_request(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE)
    answer_to(conversation, 0x4000)
    _, response = decode(conversation).heartbeats
    check(response, kind=Kind.RESPONSE, answers_message=1, request_record_length=3, request_claimed_length=0x4000)


def test_of_several_requests_in_flight_the_one_with_the_same_claim_is_answered(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.request(100) + tls.request(200) + tls.request(300))
    for claimed in (300, 100, 200):
        answer_to(conversation, claimed)
    rows = decode(conversation).heartbeats
    assert column(rows, "answers_message") == [0, 0, 0, 3, 1, 2]


def test_two_requests_alike_are_answered_in_their_order(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE + LIE)
    answer_to(conversation, 0x4000)
    answer_to(conversation, 0x4000)
    assert column(decode(conversation).heartbeats, "answers_message") == [0, 0, 1, 2]


def test_requests_and_answers_of_both_sides_cross(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.request(500))
    conversation.server(tls.request(600))
    conversation.client(tls.answer(600)[0])
    conversation.server(tls.answer(500)[0])
    rows = decode(conversation).heartbeats
    assert column(rows, "kind") == [Kind.REQUEST, Kind.REQUEST, Kind.RESPONSE, Kind.RESPONSE]
    assert column(rows, "answers_message") == [0, 0, 2, 1]
    assert column(rows, "direction") == [1, 2, 1, 2]


def test_a_request_of_the_server_is_answered_by_the_client(decode: Decode) -> None:
    conversation = greeted()
    conversation.server(tls.request(0xFFED))
    for piece in tls.answer(0xFFED):
        conversation.client(piece)
    request, response = decode(conversation).heartbeats
    check(request, direction=Direction.TO_CLIENT, claimed_length=0xFFED)
    check(response, direction=Direction.TO_SERVER, answers_message=1, records=4, bytes_seen=65_536, client_port=40_000)


def test_an_answer_nobody_asked_for_answers_nothing(decode: Decode) -> None:
    conversation = greeted()
    answer_to(conversation, 0x400)
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.RESPONSE, answers_message=0, request_record_length=-1)


# --- answers over several records -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "records"),
    [(0x3FED, 1), (0x4000, 2), (0xFFED, 4), (0xFFFF, 5)],
    ids=["masstest", "stafford", "pacemaker", "metasploit"],
)
def test_an_answer_over_records_is_one_message(decode: Decode, claimed: int, records: int) -> None:
    conversation = greeted()
    conversation.client(tls.request(claimed))
    packets = answer_to(conversation, claimed)
    _, response = decode(conversation).heartbeats
    check(response, records=records, bytes_seen=claimed + 19, payload_present=claimed, padding_present=16, gap=0)
    check(response, time_ns=packets[0].time_ns, end_time_ns=packets[-1].time_ns)
    check(response, record_length=min(claimed + 19, tls.FRAGMENT_BYTES))


@pytest.mark.parametrize("fragment", [512, 1024, 4096])
def test_an_answer_in_fragments_of_the_negotiated_size_is_one_message(decode: Decode, fragment: int) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x2000))
    answer_to(conversation, 0x2000, fragment=fragment)
    _, response = decode(conversation).heartbeats
    check(response, records=-(-(0x2000 + 19) // fragment), bytes_seen=0x2000 + 19)


@pytest.mark.parametrize(
    "memory",
    [
        b"\x01\xff\xff",
        b"\x02\x40\x00",
        tls.request(0x4000),
        tls.answer(0x40)[0],
        tls.client_hello(),
        b"\x18\x03\x03" * 9,
    ],
    ids=["request", "answer", "request record", "answer record", "hello", "type 24"],
)
def test_what_continues_an_answer_is_memory_whatever_it_looks_like(decode: Decode, memory: bytes) -> None:
    conversation = greeted()
    conversation.client(LIE + tls.request(0x4000))
    message_head_bytes = 3
    leaked = tls.noise(tls.FRAGMENT_BYTES - message_head_bytes) + memory
    for piece in tls.answer(len(leaked) + 40, memory=leaked):
        conversation.server(piece)
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 3
    check(decoded.heartbeats[2], kind=Kind.RESPONSE, records=2)


def test_the_tail_of_an_answer_comes_glued_to_the_next_answer(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE)
    whole, tail = tls.answer(0x4000)
    conversation.server(whole)
    conversation.client(LIE)
    conversation.server(tail + whole)
    conversation.client(LIE)
    conversation.server(tail + whole)
    rows = decode(conversation).heartbeats
    answers = rows[rows["kind"] == Kind.RESPONSE]
    assert column(answers, "records") == [2, 2, 1]
    assert column(answers, "bytes_seen") == [16_403, 16_403, 16_384]
    assert set(column(answers, "answers_message")) == set(column(rows[rows["kind"] == Kind.REQUEST], "message_id"))


def test_answers_of_exactly_one_whole_record_are_messages_of_their_own(decode: Decode) -> None:
    conversation = greeted()
    for _ in range(3):
        conversation.client(tls.request(0x3FED))
        answer_to(conversation, 0x3FED)
    rows = decode(conversation).heartbeats
    assert column(rows, "answers_message") == [0, 1, 0, 3, 0, 5]
    assert column(rows[1::2], "bytes_seen") == [16_384] * 3


def test_a_growing_answer_is_told_as_soon_as_it_exceeds_its_request(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE)
    packets = conversation.server(tls.answer(0x4000)[0], cut=[8, 9, 5000])
    decoded = decode(conversation)
    (early,) = decoded.early
    check(early, is_final=0, message_id=2, answers_message=1, bytes_seen=4, end_time_ns=packets[1].time_ns)
    check(decoded.heartbeats[1], is_final=1, message_id=2, bytes_seen=16_384)


def test_an_honest_answer_has_no_early_row(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.honest_request())
    conversation.server(tls.answer(18)[0], cut=[5, 8, 20, 40])
    decoded = decode(conversation)
    assert (len(decoded.early), len(decoded.heartbeats)) == (0, 2)


@pytest.mark.parametrize("claimed", [0x4000, 0xFFFF])
def test_an_answer_whose_beginning_was_lost_is_known_by_its_end(decode: Decode, claimed: int) -> None:
    conversation = greeted()
    conversation.client(tls.request(claimed))
    first, *others = tls.answer(claimed)
    conversation.lose(conversation.server(first, cut=[1_400])[0])
    for record in others:
        conversation.server(record)
    _, response = decode(conversation).heartbeats
    carried = sum(len(record) - 5 for record in others)
    check(response, kind=Kind.RESPONSE, answers_message=1, gap=1, bytes_seen=carried, claimed_length=claimed)


def test_what_was_not_asked_for_ends_no_lost_answer(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x4000))
    conversation.lose(conversation.server(tls.application_data())[0])
    conversation.server(tls.heartbeat(7, 0, bytes(20)))
    check(decode(conversation).heartbeats[-1], kind=Kind.MALFORMED, answers_message=0)


def test_an_answer_cut_short_by_the_end_counts_what_came(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.request(0xFFFF))
    first, second, *_ = tls.answer(0xFFFF)
    conversation.server(first)
    conversation.server(second[:1005])
    _, response = decode(conversation).heartbeats
    check(response, records=2, bytes_seen=17_384, payload_present=17_381, padding_present=0)


# --- what an evader sends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before_the_server_speaks", [True, False])
@pytest.mark.parametrize("record_length", [3, 600, 16_384])
def test_an_answer_of_the_asker_does_not_swallow_its_request(
    decode: Decode, record_length: int, *, before_the_server_speaks: bool
) -> None:
    conversation = connected()
    conversation.client(tls.client_hello())
    if not before_the_server_speaks:
        conversation.server(tls.server_hello())
    carried = tls.noise(record_length - 3)
    conversation.client(tls.heartbeat(tls.RESPONSE, 0xFFFF, carried))
    conversation.client(tls.request(0xFFFF, carried))
    for piece in tls.answer(0xFFFF):
        conversation.server(piece)
    _, request, response = decode(conversation).heartbeats
    check(request, kind=Kind.REQUEST, claimed_length=0xFFFF, record_length=record_length)
    check(response, kind=Kind.RESPONSE, answers_message=2, request_record_length=record_length)


def test_every_request_is_told_even_when_each_pretends_to_continue_the_last(decode: Decode) -> None:
    conversation = greeted()
    for _ in range(4):
        conversation.client(tls.request(0xFFFF, tls.noise(16_381)))
    assert column(decode(conversation).heartbeats, "kind") == [Kind.REQUEST] * 4


def test_a_malformed_request_does_not_take_the_answer_of_the_real_one(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.record(tls.HEARTBEAT, b"\x01") + LIE)
    answer_to(conversation, 0x4000)
    check(decode(conversation).heartbeats[2], answers_message=2)


def test_many_requests_before_the_lie_do_not_hide_its_answer(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.honest_request() * 80)
    conversation.client(LIE)
    answer_to(conversation, 0x4000)
    decoded = decode(conversation)
    check(decoded.heartbeats[-1], kind=Kind.RESPONSE, answers_message=81, request_record_length=3)
    assert decoded.drops == {"pending_requests_dropped": 17}


@pytest.mark.parametrize("before", [b"", tls.alert()], ids=["at once", "behind an alert"])
def test_a_hello_that_never_ends_hides_nothing(decode: Decode, before: bytes) -> None:
    conversation = connected()
    conversation.client(before + tls.record(22, tls.client_hello()[5:11]))
    conversation.client(LIE)
    answer_to(conversation, 0x4000)
    request, response = decode(conversation).heartbeats
    check(request, kind=Kind.REQUEST, phase=Phase.BEFORE_SERVER_HELLO, midstream=0)
    check(response, kind=Kind.RESPONSE, answers_message=request["message_id"], payload_present=0x4000)


def test_many_honest_requests_within_the_hello_do_not_hide_the_lie(decode: Decode) -> None:
    conversation = connected()
    message = tls.client_hello()[5:]
    conversation.client(tls.record(tls.HANDSHAKE, message[:1]) + tls.honest_request() * 20 + LIE)
    answer_to(conversation, 0x4000)
    conversation.client(tls.record(tls.HANDSHAKE, message[1:]))
    decoded = decode(conversation)
    check(decoded.heartbeats[-1], kind=Kind.RESPONSE, answers_message=21, request_record_length=3)
    check(decoded.sessions[0], heartbeat_offered=1)
    assert decoded.drops == {}
