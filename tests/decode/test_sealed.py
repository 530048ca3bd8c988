"""Sealed heartbeats: neither type nor claim can be read, so sizes and order must tell what is what."""

from __future__ import annotations

import pytest

from hbids.config import Limits
from hbids.facts import Direction, Kind, Phase, Protection
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER, connected, greeted, sealing
from tests.support.decoding import check, column

WHOLE = 16_408
"""A full AES-GCM record."""
ASKED = 61
"""An OpenSSL heartbeat under AES-GCM."""


def test_sealing_begins_with_the_change_of_cipher_of_each_side(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x4000) + tls.ccs() + tls.sealed(ASKED))
    conversation.server(tls.answer(0x4000)[0] + tls.ccs() + tls.sealed(ASKED))
    rows = decode(conversation).heartbeats
    assert column(rows, "protection") == [Protection.CLEAR, Protection.SEALED, Protection.CLEAR, Protection.SEALED]
    assert column(rows, "phase") == [Phase.HANDSHAKE, Phase.HANDSHAKE, Phase.HANDSHAKE, Phase.AFTER]
    assert column(rows, "answers_message") == [0, 0, 1, 2]


def test_what_cannot_be_read_is_absent(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    (row,) = decode(conversation).heartbeats
    check(
        row, kind=Kind.REQUEST, protection=Protection.SEALED, phase=Phase.AFTER, record_length=ASKED, bytes_seen=ASKED
    )
    check(row, message_type=-1, claimed_length=-1, payload_present=-1, padding_present=-1, answers_message=0)
    check(row, cipher_suite=tls.AES_GCM, tls_version=tls.TLS_1_2, heartbeat_accepted=1)


@pytest.mark.parametrize("from_server", [False, True])
def test_a_record_of_the_other_side_answers_what_waits(decode: Decode, *, from_server: bool) -> None:
    conversation = sealing()
    ask, reply = conversation.client, conversation.server
    if from_server:
        ask, reply = reply, ask
    ask(tls.sealed(327))
    reply(tls.sealed(327))
    request, response = decode(conversation).heartbeats
    directions = (
        [Direction.TO_CLIENT, Direction.TO_SERVER] if from_server else [Direction.TO_SERVER, Direction.TO_CLIENT]
    )
    check(request, kind=Kind.REQUEST, direction=directions[0])
    check(response, kind=Kind.RESPONSE, direction=directions[1], answers_message=1, request_record_length=327)


@pytest.mark.parametrize("glued", [True, False])
def test_an_answer_over_records_is_one_message(decode: Decode, *, glued: bool) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    records = (WHOLE, WHOLE, WHOLE, 42)
    for lengths in [records] if glued else [(length,) for length in records]:
        conversation.server(tls.sealed(*lengths))
    _, response = decode(conversation).heartbeats
    check(response, kind=Kind.RESPONSE, records=4, bytes_seen=3 * WHOLE + 42, record_length=WHOLE, answers_message=1)


def test_answers_of_whole_records_alone_are_told_apart_by_their_requests(decode: Decode) -> None:
    conversation = sealing()
    for _ in range(3):
        conversation.client(tls.sealed(ASKED))
        conversation.server(tls.sealed(WHOLE, WHOLE))
        conversation.server(tls.sealed(WHOLE, WHOLE))
    rows = decode(conversation).heartbeats
    assert column(rows, "answers_message") == [0, 1, 0, 3, 0, 5]
    assert column(rows[rows["kind"] == Kind.RESPONSE], "bytes_seen") == [4 * WHOLE] * 3


def test_a_growing_answer_is_told_as_soon_as_padding_cannot_explain_it(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    packets = conversation.server(tls.sealed(WHOLE, 42), cut=[5 + ASKED + 16, 5 + ASKED + 17])
    decoded = decode(conversation)
    (early,) = decoded.early
    check(early, bytes_seen=ASKED + 17, end_time_ns=packets[1].time_ns, answers_message=1)
    check(decoded.heartbeats[1], records=2, bytes_seen=WHOLE + 42)


def test_other_records_may_come_between_those_of_an_answer(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(WHOLE) + tls.application_data() + tls.sealed(42))
    _, response = decode(conversation).heartbeats
    check(response, records=2, bytes_seen=WHOLE + 42)


def test_a_smaller_maximum_fragment_cuts_answers_smaller(decode: Decode) -> None:
    hello = tls.server_hello_body(extensions=[tls.extension(1, b"\x02"), tls.heartbeat_extension()])
    conversation = connected().say_hello(server=hello).finish_handshake()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(1048, 1048, 500))
    _, response = decode(conversation).heartbeats
    check(response, records=3, bytes_seen=2596)


def test_nothing_continues_a_record_that_is_not_full(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(130, 130))
    rows = decode(conversation).heartbeats
    assert column(rows, "kind") == [Kind.REQUEST, Kind.RESPONSE, Kind.REQUEST]


def test_heartleech_asks_in_the_segment_of_its_get(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.application_data(96) + tls.sealed(ASKED))
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.REQUEST, record_length=ASKED)


def test_a_record_that_comes_much_later_is_no_answer(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    conversation.wait(59).server(tls.sealed(ASKED))
    conversation.client(tls.sealed(ASKED))
    conversation.wait(61).server(tls.sealed(ASKED))
    rows = decode(conversation, limits=Limits(pending_wait_ns=60 * SECOND_NS)).heartbeats
    assert column(rows, "kind") == [Kind.REQUEST, Kind.RESPONSE, Kind.REQUEST, Kind.REQUEST]


@pytest.mark.parametrize("answers", [(61, 91), (91, 61)])
def test_of_several_in_flight_the_one_of_the_same_size_is_answered(decode: Decode, answers: tuple[int, int]) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(61, 91))
    conversation.server(tls.sealed(*answers))
    rows = decode(conversation).heartbeats
    assert column(rows[2:], "request_record_length") == list(answers)


@pytest.mark.parametrize("decoy", [ASKED, 5000, WHOLE])
@pytest.mark.parametrize("answer", [4000, WHOLE])
def test_a_large_decoy_that_nobody_answers_does_not_take_the_answer_of_the_lie(
    decode: Decode, decoy: int, answer: int
) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(decoy))
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(answer))
    check(decode(conversation).heartbeats[2], kind=Kind.RESPONSE, request_record_length=ASKED)


@pytest.mark.parametrize("decoy", [ASKED, 5000, WHOLE])
def test_an_answer_larger_than_its_request_goes_on_past_decoys(decode: Decode, decoy: int) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(decoy, decoy))
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(WHOLE, 42))
    *_, response = decode(conversation).heartbeats
    check(response, kind=Kind.RESPONSE, request_record_length=ASKED, records=2, bytes_seen=WHOLE + 42)


def test_an_answer_larger_than_its_request_ends_where_another_is_echoed(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED, 91))
    conversation.server(tls.sealed(WHOLE, 91))
    rows = decode(conversation).heartbeats
    assert column(rows[2:], "request_record_length") == [ASKED, 91]


def test_an_answer_to_a_full_request_goes_on_where_nothing_comes_between(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(WHOLE))
    conversation.server(tls.sealed(WHOLE, WHOLE, 42))
    _, response = decode(conversation).heartbeats
    check(response, records=3, bytes_seen=2 * WHOLE + 42, answers_message=1)


@pytest.mark.parametrize(("between", "seconds"), [(tls.application_data(), 0), (b"", 11)], ids=["a record", "a pause"])
def test_behind_a_full_echo_a_later_record_is_a_request(decode: Decode, between: bytes, seconds: float) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(WHOLE))
    conversation.server(tls.sealed(WHOLE) + between)
    conversation.wait(seconds).server(tls.sealed(ASKED))
    conversation.client(tls.sealed(ASKED))
    rows = decode(conversation).heartbeats
    assert column(rows, "answers_message") == [0, 1, 0, 3]


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_where_a_change_of_cipher_was_lost_sealed_is_what_cannot_be_read(decode: Decode, way: Direction) -> None:
    conversation = greeted().finish_handshake()
    changes = [packet for packet in conversation.packets if packet.payload.startswith(tls.ccs()) and packet.way == way]
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(ASKED))
    conversation.lose(*changes)
    rows = decode(conversation).heartbeats
    assert column(rows, "protection") == [Protection.SEALED] * 2
    assert column(rows, "answers_message") == [0, 1]


def test_bytes_lost_from_a_sealed_answer_are_a_gap(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    _, lost, _ = conversation.server(tls.sealed(WHOLE), cut=[1000, 2000])
    conversation.lose(lost)
    _, response = decode(conversation).heartbeats
    check(response, gap=1, bytes_seen=WHOLE - 1000, record_length=WHOLE, answers_message=1)


def test_tls_1_3_shows_no_heartbeats(decode: Decode) -> None:
    hello = tls.server_hello_body(cipher=0x1301, extensions=[tls.selected_version(tls.TLS_1_3)])
    conversation = connected().say_hello(server=hello)
    conversation.server(tls.ccs() + tls.application_data(2000))
    conversation.client(tls.ccs() + tls.application_data(500))
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 0
    check(decoded.sessions[0], tls_version=tls.TLS_1_3, heartbeat_accepted=-1, server_version=tls.TLS_1_2)
