"""Connections whose beginning was not captured: TLS is inferred from the records, and the rows say so."""

from __future__ import annotations

import pytest

from hbids.facts import Direction, Kind, Phase, Protection, TlsStart
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation
from tests.support.decoding import check, column

LIE = tls.request(0x4000)


def test_a_clear_request_on_a_joined_connection_is_found_and_marked(decode: Decode) -> None:
    conversation = Conversation()
    conversation.client(LIE)
    conversation.server(tls.answer(0x1000)[0])
    decoded = decode(conversation)
    request, response = decoded.heartbeats
    check(
        request, kind=Kind.REQUEST, protection=Protection.CLEAR, midstream=1, phase=Phase.UNKNOWN, claimed_length=0x4000
    )
    check(response, kind=Kind.RESPONSE, protection=Protection.CLEAR, midstream=1, answers_message=1)
    check(decoded.flows[0], midstream=1, transport=1)
    assert len(decoded.sessions) == 0


def test_after_application_data_a_heartbeat_is_sealed(decode: Decode) -> None:
    conversation = Conversation()
    conversation.client(tls.application_data() + tls.sealed(61))
    conversation.server(tls.application_data() + tls.sealed(61))
    request, response = decode(conversation).heartbeats
    check(request, kind=Kind.REQUEST, protection=Protection.SEALED, midstream=1, claimed_length=-1, message_type=-1)
    check(response, kind=Kind.RESPONSE, protection=Protection.SEALED, answers_message=1, request_record_length=61)


def test_an_honest_clear_heartbeat_is_not_taken_for_a_sealed_one(decode: Decode) -> None:
    conversation = Conversation()
    conversation.client(tls.honest_request())
    (row,) = decode(conversation).heartbeats
    check(row, protection=Protection.CLEAR, claimed_length=18, padding_present=16)


def test_a_hello_on_a_joined_connection_settles_what_it_is(decode: Decode) -> None:
    conversation = Conversation()
    conversation.say_hello()
    conversation.client(LIE)
    decoded = decode(conversation)
    check(decoded.sessions[0], midstream=1, start=TlsStart.UNKNOWN, heartbeat_accepted=1)
    check(decoded.heartbeats[0], protection=Protection.CLEAR, phase=Phase.HANDSHAKE)


@pytest.mark.parametrize("skipped", range(1, 400, 13))
def test_joined_in_the_middle_of_a_record_the_next_one_is_found(decode: Decode, skipped: int) -> None:
    conversation = Conversation()
    data = tls.application_data(300) + tls.application_data(100) + tls.sealed(27)
    conversation.client(data[skipped:])
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "record_length") == [27]
    check(decoded.heartbeats[0], protection=Protection.SEALED, midstream=1)


def test_bytes_that_only_look_like_a_record_are_not_believed(decode: Decode) -> None:
    conversation = Conversation()
    conversation.client(b"GET / " + LIE[:5] + b"\x01\x40\x00 and so on" * 20)
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 0
    check(decoded.flows[0], transport=0)


def test_the_higher_port_is_the_client_when_nothing_tells(decode: Decode) -> None:
    conversation = Conversation(client_port=443, server_port=40_000)
    conversation.server(LIE)
    (row,) = decode(conversation).heartbeats
    check(row, direction=Direction.TO_SERVER, client_port=40_000, server_port=443)


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_one_direction_alone_is_enough(decode: Decode, way: Direction) -> None:
    conversation = Conversation().connect().say_hello()
    conversation.client(LIE)
    for piece in tls.answer(0x5000):
        conversation.server(piece)
    conversation.lose_way(TO_CLIENT if way == TO_SERVER else TO_SERVER)
    (row,) = decode(conversation).heartbeats
    if way == TO_SERVER:
        check(row, kind=Kind.REQUEST, claimed_length=0x4000)
    else:
        check(row, kind=Kind.RESPONSE, answers_message=0, records=2, bytes_seen=0x5000 + 19, request_record_length=-1)
