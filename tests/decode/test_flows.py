"""Flow rows: what was counted, and why the row was written."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from hbids.config import Limits
from hbids.facts import CONTENT_TYPES, Direction, EndReason
from tests.capture.build import Frame
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import (
    ACK,
    FIN,
    RST,
    SECOND_NS,
    START_NS,
    SYN,
    TO_CLIENT,
    TO_SERVER,
    Conversation,
    batch_of,
    connected,
    greeted,
    sealing,
)
from tests.support.decoding import all_facts, check, column, engine_called

if TYPE_CHECKING:
    from collections.abc import Callable

ABSENT = -1


def short(seconds: float) -> int:
    return round(seconds * SECOND_NS)


# --- counters ---------------------------------------------------------------------------------------------------------


def test_packets_and_bytes_are_counted_per_direction(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.application_data(500))
    decoded = decode(conversation)
    frames = list(zip(conversation.packets, conversation.frames(), strict=True))
    (row,) = decoded.flows
    check(row, packets_to_server=4, packets_to_client=2)
    check(row, bytes_to_server=sum(len(frame.data) for packet, frame in frames if packet.way == TO_SERVER))
    check(row, bytes_to_client=sum(len(frame.data) for packet, frame in frames if packet.way == TO_CLIENT))
    check(row, time_ns=frames[0][1].time_ns, end_time_ns=frames[-1][1].time_ns)
    assert decoded.counters["packets"] == 6
    assert decoded.counters["bytes"] == row["bytes_to_server"] + row["bytes_to_client"]
    assert decoded.counters["flows"] == 1


def test_bytes_are_those_of_the_wire_not_of_the_snap_length(decode: Decode) -> None:
    conversation = greeted()
    (packet,) = conversation.client(tls.application_data(1000))
    whole = decode(conversation).flows[0]["bytes_to_server"]
    packet.captured_bytes = 60
    check(decode(conversation).flows[0], bytes_to_server=whole)


def test_records_and_their_bytes_are_counted_by_content_type(decode: Decode) -> None:
    conversation = sealing()
    conversation.client(tls.application_data(300) + tls.application_data(20) + tls.sealed(61))
    conversation.server(tls.alert() + tls.sealed(16_408, 42))
    (row,) = decode(conversation).flows
    hello = len(tls.client_hello()) - 5
    assert row["records_to_server"].tolist() == [1, 0, 2, 2, 1]
    assert row["record_bytes_to_server"].tolist() == [1, 0, hello + 40, 320, 61]
    assert row["records_to_client"].tolist() == [1, 1, 2, 0, 2]
    assert row["record_bytes_to_client"][CONTENT_TYPES.index(24)] == 16_450
    check(row, heartbeats_to_server=1, heartbeats_to_client=1)


def test_ttls_are_the_least_and_most_seen(decode: Decode) -> None:
    conversation = connected()
    for packet, ttl in zip(conversation.packets, (64, 250, 63), strict=True):
        packet.ttl = ttl
    check(decode(conversation).flows[0], min_ttl_to_server=63, max_ttl_to_server=64)
    check(decode(conversation).flows[0], min_ttl_to_client=250, max_ttl_to_client=250)


def test_a_direction_without_packets_has_no_ttl(decode: Decode) -> None:
    conversation = connected().lose_way(TO_CLIENT)
    check(decode(conversation).flows[0], min_ttl_to_client=ABSENT, max_ttl_to_client=ABSENT, packets_to_client=0)


def test_flow_ids_count_up_and_are_those_of_the_other_tables(decode: Decode) -> None:
    first, second = greeted(), Conversation(client_port=50_000, start_ns=START_NS + SECOND_NS).connect().say_hello()
    second.client(tls.request(0x4000))
    decoded = decode(first, second)
    assert column(decoded.flows, "flow_id") == [1, 2]
    assert column(decoded.sessions, "flow_id") == [1, 2]
    assert column(decoded.heartbeats, "flow_id") == [2]


# --- why the row was written ------------------------------------------------------------------------------------------


def test_a_flow_still_open_ends_with_the_capture(decode: Decode) -> None:
    check(decode(greeted()).flows[0], end_reason=EndReason.CAPTURE_END, midstream=0, transport=1)


def test_both_sides_close(decode: Decode) -> None:
    conversation = greeted()
    conversation.fin(TO_SERVER)
    assert column(decode(conversation).flows, "end_reason") == [EndReason.CAPTURE_END]
    conversation.fin(TO_CLIENT)
    assert column(decode(conversation).flows, "end_reason") == [EndReason.FIN]


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_one_side_resets(decode: Decode, way: Direction) -> None:
    conversation = greeted()
    conversation.rst(way)
    assert column(decode(conversation).flows, "end_reason") == [EndReason.RST]


def test_a_reset_from_nowhere_is_not_believed(decode: Decode) -> None:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"", seq=conversation.next_seq[TO_SERVER] + (2 << 20), flags=RST)
    assert column(decode(conversation).flows, "end_reason") == [EndReason.CAPTURE_END]


def idle(conversation: Conversation, seconds: float) -> list[Conversation]:
    """The conversation, and somebody else's packet so much later."""
    later = Conversation(client_port=1, start_ns=conversation.now_ns + short(seconds))
    later.segment(TO_SERVER, flags=SYN)
    return [conversation, later]


def opening() -> Conversation:
    return connected()


def plain() -> Conversation:
    conversation = connected()
    conversation.client(b"GET / HTTP/1.0\r\n\r\n")
    return conversation


def closed() -> Conversation:
    conversation = greeted()
    conversation.fin(TO_SERVER)
    conversation.fin(TO_CLIENT)
    return conversation


IDLE = Limits(
    opening_timeout_ns=short(10),
    plain_timeout_ns=short(100),
    tls_timeout_ns=short(1000),
    closed_timeout_ns=short(3),
    checkpoint_ns=short(1e6),
)


@pytest.mark.parametrize(
    ("kind", "timeout", "reason"),
    [
        (opening, 10, EndReason.TIMEOUT),
        (plain, 100, EndReason.TIMEOUT),
        (greeted, 1000, EndReason.TIMEOUT),
        (closed, 3, EndReason.FIN),
    ],
)
def test_each_kind_of_flow_has_its_own_patience(
    engine_name: str, kind: Callable[[], Conversation], timeout: float, reason: EndReason
) -> None:
    for waited, ended in ((timeout * 0.9, 0), (timeout * 2 + 2, 1)):
        engine = engine_called(engine_name, IDLE)
        frames = [frame for conversation in idle(kind(), waited) for frame in conversation.frames()]
        rows = engine.feed(batch_of(frames)).flows
        assert column(rows, "end_reason") == [reason] * ended


def test_a_connection_that_goes_on_after_a_timeout_is_joined_mid_stream(decode: Decode) -> None:
    conversation = greeted()
    conversation.wait(2500).client(tls.request(0x4000))
    decoded = decode(conversation, limits=IDLE)
    assert column(decoded.flows, "end_reason") == [EndReason.TIMEOUT, EndReason.CAPTURE_END]
    assert column(decoded.flows, "midstream") == [0, 1]
    check(decoded.heartbeats[0], midstream=1, claimed_length=0x4000)


def test_a_flow_that_keeps_talking_does_not_time_out(decode: Decode) -> None:
    conversation = greeted()
    for _ in range(30):
        conversation.wait(900).client(tls.application_data())
    assert column(decode(conversation, limits=IDLE).flows, "end_reason") == [EndReason.CAPTURE_END]


def reset() -> Conversation:
    conversation = greeted()
    conversation.rst(TO_SERVER)
    return conversation


def paused() -> Conversation:
    return greeted().wait(5)


@pytest.mark.parametrize(
    ("build", "reason", "syn_counts"),
    [(closed, EndReason.FIN, True), (reset, EndReason.RST, False), (paused, EndReason.REUSED, False)],
)
def test_a_port_used_again_is_a_new_flow(
    decode: Decode, build: Callable[[], Conversation], reason: EndReason, *, syn_counts: bool
) -> None:
    first = build()
    second = Conversation(start_ns=first.now_ns + short(1), client_seq=77_000, server_seq=1).connect().say_hello()
    second.client(tls.request(0x4000))
    decoded = decode(first, second)
    assert column(decoded.flows, "end_reason") == [reason, EndReason.CAPTURE_END]
    # Unless the old connection was closed for sure, the new one begins with the server's SYN, which agrees to it.
    check(decoded.heartbeats[0], flow_id=2, midstream=0, packets_to_server=4 if syn_counts else 3)
    assert len(decoded.sessions) == 2


def test_of_a_one_way_capture_a_port_used_again_after_a_pause_is_a_new_flow(decode: Decode) -> None:
    first = greeted().lose_way(TO_CLIENT)
    second = Conversation(start_ns=first.now_ns + short(5), client_seq=77_000).connect().say_hello()
    second.client(tls.request(0x4000))
    decoded = decode(first, second.lose_way(TO_CLIENT))
    assert column(decoded.flows, "end_reason") == [EndReason.REUSED, EndReason.CAPTURE_END]
    check(decoded.heartbeats[0], flow_id=2, midstream=0, claimed_length=0x4000)


def test_a_refused_connection_tried_again_is_a_new_flow(decode: Decode) -> None:
    conversation = Conversation()
    conversation.segment(TO_SERVER, flags=SYN)
    conversation.stray(TO_CLIENT, b"", seq=0, flags=RST | ACK)
    decoded = decode(conversation, Conversation(start_ns=START_NS + SECOND_NS, client_seq=5).connect())
    assert column(decoded.flows, "end_reason") == [EndReason.RST, EndReason.CAPTURE_END]


def test_a_connection_attempt_repeated_is_one_flow(decode: Decode) -> None:
    conversation = Conversation()
    syn = conversation.segment(TO_SERVER, flags=SYN)
    conversation.wait(3).repeat(syn)
    conversation.segment(TO_CLIENT, flags=SYN | ACK)
    assert len(decode(conversation).flows) == 1


def test_data_after_the_end_takes_the_end_back(decode: Decode) -> None:
    conversation = greeted()
    conversation.rst(TO_CLIENT)
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    assert column(decoded.flows, "end_reason") == [EndReason.CAPTURE_END]
    assert len(decoded.heartbeats) == 1


def test_long_flows_report_at_checkpoints(decode: Decode) -> None:
    conversation = greeted()
    for _ in range(10):
        conversation.wait(100).client(tls.application_data(100))
    decoded = decode(conversation, limits=Limits(checkpoint_ns=short(300)))
    reasons = column(decoded.flows, "end_reason")
    assert reasons == [EndReason.CHECKPOINT] * 3 + [EndReason.CAPTURE_END]
    assert all(before < after for before, after in pairwise(column(decoded.flows, "packets_to_server")))
    assert set(column(decoded.flows, "flow_id")) == {1}


def test_after_data_in_a_syn_that_was_taken_the_rest_is_found(decode: Decode) -> None:
    conversation = Conversation()
    conversation.segment(TO_SERVER, tls.client_hello(), flags=SYN)
    conversation.segment(TO_CLIENT, flags=SYN | ACK)
    conversation.server(tls.server_hello())
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000)
    assert decoded.drops == {"payloads_ignored": 1}


def test_the_fin_may_carry_the_last_data(decode: Decode) -> None:
    conversation = greeted()
    conversation.segment(TO_SERVER, tls.request(0x4000), flags=FIN | ACK)
    conversation.fin(TO_CLIENT)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert column(decoded.flows, "end_reason") == [EndReason.FIN]


def test_one_address_may_talk_to_itself(decode: Decode) -> None:
    conversation = Conversation(client="127.0.0.1", server="127.0.0.1").connect().say_hello()
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000, client_port=40_000)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_ns", [0, -1, -(1 << 63), (1 << 63) - 1, 1 << 62])
def test_no_timestamp_is_too_absurd(decode: Decode, time_ns: int) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x4000))
    conversation.packets[2].time_ns = time_ns
    conversation.packets[-1].time_ns = time_ns
    assert len(decode(conversation).heartbeats) == 1


def test_time_that_goes_back_ends_nothing(decode: Decode) -> None:
    conversation = greeted()
    for packet in conversation.packets[1::2]:
        packet.time_ns -= short(20_000)
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation, limits=IDLE)
    assert (len(decoded.flows), len(decoded.heartbeats)) == (1, 1)


def test_after_finish_a_new_capture_begins_with_its_own_clock(engine_name: str) -> None:
    engine = engine_called(engine_name, IDLE)
    late = Frame(START_NS + short(1e6), bytes(60), 60)  # no IP: it moves the clock, and opens no flow
    all_facts(engine, [batch_of([late])])
    frames = [frame for conversation in idle(opening(), 25) for frame in conversation.frames()]
    rows = engine.feed(batch_of(frames)).flows
    assert column(rows, "end_reason") == [EndReason.TIMEOUT]


def test_time_ends_idle_flows_though_nothing_arrives(engine_name: str) -> None:
    engine = engine_called(engine_name)
    batch = batch_of(connected().frames())
    last_ns, timeout_ns = int(batch.frames["time_ns"][-1]), Limits().opening_timeout_ns
    assert len(engine.feed(batch).flows) == 0
    assert len(engine.tick(last_ns + timeout_ns - 1).flows) == 0
    (row,) = engine.tick(last_ns + 2 * timeout_ns).flows  # looked at again only after as long
    check(row, end_reason=EndReason.TIMEOUT, end_time_ns=last_ns)
    assert [len(facts.flows) for facts in engine.finish()] == [0]
