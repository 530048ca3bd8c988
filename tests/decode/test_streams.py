"""TCP streams: whatever order the segments come in, the heartbeats are those that were sent."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from hbids.facts import Kind
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    TO_CLIENT,
    TO_SERVER,
    Conversation,
    connected,
    greeted,
)
from tests.support.decoding import check, column

if TYPE_CHECKING:
    from collections.abc import Callable

LIE = tls.request(0x4000)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_segments_in_any_order_give_the_one_request(decode: Decode, order: tuple[int, ...]) -> None:
    conversation = greeted()
    conversation.reorder(order, conversation.client(tls.application_data() + LIE, cut=[50, 107]))
    decoded = decode(conversation)
    (row,) = decoded.heartbeats
    check(row, kind=Kind.REQUEST, claimed_length=0x4000, record_length=3, bytes_seen=3, gap=0)
    assert decoded.drops == {}


def test_a_message_is_as_old_as_the_packet_that_brought_its_first_byte_in_order(decode: Decode) -> None:
    conversation = greeted()
    conversation.reorder([1, 0], sent := conversation.client(LIE, cut=[6]))
    (row,) = decode(conversation).heartbeats
    check(row, time_ns=sent[1].time_ns, end_time_ns=sent[1].time_ns, packet_number=len(conversation.packets))


def test_a_retransmission_is_no_second_request(decode: Decode) -> None:
    conversation = greeted()
    conversation.repeat(*conversation.client(LIE))
    conversation.repeat(*conversation.packets)
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 1
    assert decoded.drops["segments_repeated"] > 0


def test_a_retransmission_that_brings_more_is_read_from_where_it_is_new(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE[:4])
    conversation.stray(TO_SERVER, LIE, seq=conversation.next_seq[TO_SERVER] - 4)
    (row,) = decode(conversation).heartbeats
    check(row, claimed_length=0x4000, bytes_seen=3, gap=0)


@pytest.mark.parametrize("ahead_of_a_hole", [False, True])
def test_of_overlapping_segments_the_first_copy_wins(decode: Decode, *, ahead_of_a_hole: bool) -> None:
    conversation = greeted()
    seq = conversation.next_seq[TO_SERVER]
    begin = 5 if ahead_of_a_hole else 0
    conversation.stray(TO_SERVER, LIE[begin:], seq=seq + begin)
    conversation.stray(TO_SERVER, tls.request(7)[begin:], seq=seq + begin)
    conversation.stray(TO_SERVER, LIE[:begin], seq=seq)
    assert column(decode(conversation).heartbeats, "claimed_length") == [0x4000]


def test_a_copy_that_reaches_around_what_waits_fills_only_the_rest(decode: Decode) -> None:
    conversation = greeted()
    seq = conversation.next_seq[TO_SERVER]
    conversation.stray(TO_SERVER, LIE[6:7], seq=seq + 6)  # first byte of the claim
    conversation.stray(TO_SERVER, tls.request(0xFF01)[5:], seq=seq + 5)
    conversation.stray(TO_SERVER, LIE[:5], seq=seq)
    (row,) = decode(conversation).heartbeats
    check(row, claimed_length=0x4001, bytes_seen=3, gap=0)


def test_one_byte_segments_give_the_same_request(decode: Decode) -> None:
    conversation = connected()
    hello = tls.client_hello()
    conversation.client(hello, cut=range(1, len(hello)))
    conversation.client(LIE, cut=range(1, len(LIE)))
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000, bytes_seen=3)
    check(decoded.sessions[0], heartbeat_offered=1)


def test_one_byte_segments_in_reverse_give_the_same_request(decode: Decode) -> None:
    conversation = greeted()
    data = tls.application_data(20) + LIE
    conversation.reorder(range(len(data))[::-1], conversation.client(data, cut=range(1, len(data))))
    (row,) = decode(conversation).heartbeats
    check(row, claimed_length=0x4000, bytes_seen=3, gap=0)


# --- what the capture lost ------------------------------------------------------------------------------------------


def test_a_segment_lost_inside_a_record_is_a_gap_and_the_next_record_is_read(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE)
    first, *_ = tls.answer(0x2000)
    _, lost, _ = conversation.server(first, cut=[1000, 2000])
    conversation.lose(lost)
    conversation.client(tls.request(7))
    conversation.server(tls.answer(7)[0])
    decoded = decode(conversation)
    _, damaged, _, after = decoded.heartbeats
    check(
        damaged,
        gap=1,
        record_length=len(first) - 5,
        bytes_seen=len(first) - 5 - 1000,
        payload_present=0x2000 - 1000 + 16,
    )
    check(after, gap=0, claimed_length=7, answers_message=3)
    check(decoded.flows[0], gaps_to_client=1, gap_bytes_to_client=1000)
    assert decoded.drops == {"stream_gaps": 1}


def test_a_segment_lost_over_a_record_boundary_costs_no_more_than_its_records(decode: Decode) -> None:
    conversation = greeted()
    data = tls.application_data(500) + tls.application_data(500) + LIE
    _, lost, _ = conversation.client(data, cut=[400, 600])
    conversation.lose(lost)
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000, gap=0)
    check(decoded.flows[0], gaps_to_server=1, gap_bytes_to_server=200)


def test_the_hello_lost_heartbeats_are_still_found(decode: Decode) -> None:
    conversation = connected()
    conversation.lose(*conversation.client(tls.client_hello()))
    conversation.server(tls.server_hello())
    conversation.client(LIE)
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000)
    check(decoded.sessions[0], client_version=0, server_version=tls.TLS_1_2, client_hello_length=-2)


def test_a_snap_length_leaves_gaps_and_the_headers_that_were_kept(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(LIE)
    for piece in tls.answer(0x4000):
        (packet,) = conversation.server(piece)
        packet.captured_bytes = 96
    _, response = decode(conversation).heartbeats
    check(response, gap=1, records=2, record_length=16_384, claimed_length=0x4000, answers_message=1)
    assert response["bytes_seen"] < 100


@pytest.mark.parametrize(("seconds", "told"), [(0.05, 1), (0.2, 2)])
def test_a_hole_the_receiver_has_acknowledged_is_soon_given_up(decode: Decode, seconds: float, told: int) -> None:
    conversation = greeted()
    conversation.lose(*conversation.client(tls.application_data()))
    conversation.client(LIE)
    conversation.segment(TO_CLIENT)  # acknowledges all
    asked_ns = conversation.packets[-2].time_ns
    conversation.wait(seconds).client(tls.request(9))
    conversation.wait(1000).segment(TO_CLIENT)
    times = column(decode(conversation).heartbeats, "end_time_ns")
    assert len(times) == 2
    assert (times[0] - asked_ns > 1_000_000_000_000) == (told == 1)


def test_of_a_one_way_capture_a_hole_is_given_up_after_a_while(decode: Decode) -> None:
    conversation = greeted().lose_way(TO_CLIENT)
    conversation.lose(*conversation.client(tls.application_data()))
    conversation.client(LIE)
    conversation.wait(11).client(tls.application_data())
    conversation.wait(1000).client(tls.application_data())
    (row,) = decode(conversation).heartbeats
    assert row["end_time_ns"] < conversation.packets[-1].time_ns


def test_a_hole_still_open_at_the_end_hides_nothing(decode: Decode) -> None:
    conversation = greeted()
    conversation.lose(*conversation.client(tls.application_data()))
    conversation.client(LIE)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    check(decoded.flows[0], gaps_to_server=1, gap_bytes_to_server=105)


# --- what an evader sends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 30])
def test_a_segment_far_ahead_that_the_server_ignores_hides_nothing(decode: Decode, seconds: float) -> None:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"?", seq=conversation.next_seq[TO_SERVER] + 500_000)
    for _ in range(3):
        conversation.wait(seconds).segment(TO_CLIENT)
        conversation.wait(seconds).client(LIE)
        conversation.server(tls.answer(0x1000)[0])
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "kind") == [Kind.REQUEST, Kind.RESPONSE] * 3


def test_an_acknowledgement_of_nothing_does_not_move_the_other_direction(decode: Decode) -> None:
    conversation = Conversation()
    conversation.segment(TO_SERVER, flags=0x02)
    conversation.stray(
        TO_SERVER, b"", seq=conversation.next_seq[TO_SERVER], ack=conversation.next_seq[TO_CLIENT] + 70_000
    )
    conversation.segment(TO_CLIENT, flags=0x12)
    conversation.segment(TO_SERVER, flags=0x10)
    conversation.say_hello()
    conversation.client(LIE)
    conversation.server(tls.answer(0x1000)[0])
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {}


@pytest.mark.parametrize("flags", [0x04, 0x11])
def test_a_reset_or_end_that_nobody_believes_hides_nothing(decode: Decode, flags: int) -> None:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"", seq=conversation.next_seq[TO_SERVER], flags=flags)
    conversation.stray(TO_CLIENT, b"", seq=conversation.next_seq[TO_CLIENT], flags=flags)
    conversation.wait(1).client(LIE)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert len(decoded.flows) == 1


def attacked(conversation: Conversation) -> Conversation:
    """A lie and its answer at the end."""
    conversation.client(LIE)
    conversation.server(tls.answer(0x1000)[0])
    return conversation


def decoy_syn(conversation: Conversation) -> None:
    conversation.stray(TO_SERVER, b"", seq=conversation.next_seq[TO_SERVER] + 1_000_000_000, flags=SYN)
    conversation.segment(TO_CLIENT, flags=ACK)  # RFC 5961: not agreed


def at_once() -> Conversation:
    conversation = greeted()
    decoy_syn(conversation)
    return conversation


def after_a_pause() -> Conversation:
    conversation = greeted().wait(100)
    decoy_syn(conversation)
    return conversation


def before_any_data() -> Conversation:
    conversation = connected()
    decoy_syn(conversation)
    return conversation.say_hello()


def before_the_server_agrees() -> Conversation:
    conversation = Conversation()
    conversation.segment(TO_SERVER, flags=SYN)
    conversation.stray(TO_SERVER, b"", seq=5_000, flags=SYN)
    conversation.segment(TO_CLIENT, flags=SYN | ACK)
    conversation.segment(TO_SERVER, flags=ACK)
    return conversation.say_hello()


def behind_a_reset_that_is_ignored() -> Conversation:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"", seq=conversation.next_seq[TO_SERVER] + 1_000, flags=RST)
    decoy_syn(conversation)
    return conversation


@pytest.mark.parametrize(
    "build",
    [at_once, after_a_pause, before_any_data, before_the_server_agrees, behind_a_reset_that_is_ignored],
    ids=lambda build: build.__name__.replace("_", " "),
)
def test_a_decoy_syn_that_the_server_ignores_hides_nothing(decode: Decode, build: Callable[[], Conversation]) -> None:
    decoded = decode(attacked(build()))
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert column(decoded.heartbeats, "midstream") == [0, 0]
    check(decoded.flows[-1], transport=1)


def test_what_waited_for_a_decoy_is_read_when_the_server_tells_the_beginning(decode: Decode) -> None:
    conversation = Conversation(client_seq=1_000)
    conversation.segment(TO_SERVER, flags=SYN)
    conversation.stray(TO_SERVER, b"", seq=500, flags=SYN)
    conversation.client(tls.client_hello())
    conversation.stray(TO_CLIENT, b"", seq=conversation.next_seq[TO_CLIENT], ack=1_001, flags=SYN | ACK)
    conversation.next_seq[TO_CLIENT] += 1
    conversation.server(tls.server_hello())
    decoded = decode(attacked(conversation))
    check(decoded.sessions[0], heartbeat_offered=1)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {}


@pytest.mark.parametrize("flags", [0, SYN, RST, RST | ACK, SYN | ACK, PSH, FIN], ids=hex)
def test_payload_that_no_receiver_reads_hides_nothing(decode: Decode, flags: int) -> None:
    conversation = greeted()
    conversation.stray(TO_SERVER, tls.application_data(), seq=conversation.next_seq[TO_SERVER], flags=flags)
    decoded = decode(attacked(conversation))
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x1000]
    assert decoded.drops["payloads_ignored"] == 1
    assert "segments_repeated" not in decoded.drops


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before_the_wrap", range(0, 300, 7))
def test_sequence_numbers_may_wrap_anywhere(decode: Decode, before_the_wrap: int) -> None:
    seq = (1 << 32) - before_the_wrap
    conversation = Conversation(client_seq=seq, server_seq=seq).connect().say_hello()
    conversation.reorder([2, 0, 1], conversation.client(tls.application_data(60) + LIE, cut=[20, 66]))
    conversation.server(tls.answer(0x4000)[0], cut=[100])
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x4000]
    assert decoded.drops == {}
