"""What a flow shows of a side that does not answer: its last record after a heartbeat, and who said first that he is
done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.config import Limits
from hbids.facts import NEVER_NS, Direction
from tests.support import openvpn, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation, greeted
from tests.support.decoding import check

if TYPE_CHECKING:
    from tests.decode.conftest import Decode

LIE = tls.request(0x4000)
NOTHING = {
    "last_record_ns_to_server": NEVER_NS,
    "last_record_ns_to_client": NEVER_NS,
    "last_record_type_to_server": 0,
    "last_record_type_to_client": 0,
}


def asked() -> Conversation:
    conversation = greeted()
    conversation.client(LIE)
    return conversation


def test_without_heartbeats_nothing_is_noted(decode: Decode) -> None:
    conversation = greeted().finish_handshake()
    conversation.server(tls.application_data())
    check(decode(conversation).flows[0], **NOTHING)


def test_heartbeats_alone_are_no_other_records(decode: Decode) -> None:
    conversation = asked()
    conversation.server(tls.answer(0x4000)[0])
    check(decode(conversation).flows[0], **NOTHING)


def test_the_last_record_after_a_heartbeat(decode: Decode) -> None:
    conversation = asked()
    conversation.server(tls.certificate())
    (packet,) = conversation.wait(3).server(tls.alert())
    check(
        decode(conversation).flows[0],
        **NOTHING | {"last_record_ns_to_client": packet.time_ns, "last_record_type_to_client": 21},
    )


def test_the_time_is_that_of_the_first_byte_of_a_record_whose_header_is_whole(decode: Decode) -> None:
    conversation = asked()
    record = tls.application_data(50)
    first, *_ = conversation.server(record + record, cut=[2, len(record), len(record) + 3])
    conversation.packets.pop()
    check(decode(conversation).flows[0], last_record_ns_to_client=first.time_ns, last_record_type_to_client=23)


@pytest.mark.parametrize(("first", "second"), [(TO_SERVER, TO_CLIENT), (TO_CLIENT, TO_SERVER)])
def test_who_is_done_first(decode: Decode, first: Direction, second: Direction) -> None:
    conversation = asked()
    conversation.fin(first)
    check(decode(conversation).flows[0], first_fin=first)
    conversation.wait(1).fin(second)
    check(decode(conversation).flows[0], first_fin=first)


def test_nobody_is_done(decode: Decode) -> None:
    conversation = asked()
    conversation.rst(TO_CLIENT)
    check(decode(conversation).flows[0], first_fin=Direction.UNKNOWN)


def test_an_end_that_was_none_is_forgotten(decode: Decode) -> None:
    conversation = asked()
    conversation.fin(TO_CLIENT)
    conversation.fin(TO_SERVER)
    conversation.next_seq[TO_CLIENT] -= 1
    conversation.next_seq[TO_SERVER] -= 1
    conversation.client(tls.application_data())
    check(decode(conversation).flows[0], first_fin=Direction.UNKNOWN)
    conversation.fin(TO_SERVER)
    check(decode(conversation).flows[0], first_fin=TO_SERVER)


def test_inside_openvpn(decode: Decode, *, over_tcp: bool) -> None:
    vpn = openvpn.greeted(over_tcp=over_tcp)
    vpn.say(TO_SERVER, LIE)
    vpn.say(TO_CLIENT, tls.certificate())
    vpn.say(TO_CLIENT, tls.alert())
    (flow,) = decode(vpn).flows
    check(flow, last_record_type_to_client=21, last_record_type_to_server=0, heartbeats_to_server=1)
    assert flow["last_record_ns_to_client"] > flow["time_ns"]
    (flow,) = decode(vpn, limits=Limits(openvpn_sessions=1)).flows
    check(flow, last_record_type_to_client=21, heartbeats_to_server=1)
