"""What decoding may hold is bounded, and what goes over a bound is counted: no drop without a counter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hbids.config import Limits
from hbids.decode.engine import native_available
from hbids.facts import EndReason
from tests.conftest import missing
from tests.decode.conftest import Decode
from tests.decode.dtls.test_records import DTLS_COUNTERS
from tests.decode.test_decoys import DECOY_COUNTERS
from tests.decode.test_eap import EAP_COUNTERS
from tests.decode.test_fragments import FRAGMENT_COUNTERS
from tests.decode.test_frames import UNREAD
from tests.decode.test_openvpn_order import OPENVPN_COUNTERS
from tests.decode.test_tunnels import UNREADABLE
from tests.support import dtls, tls
from tests.support.conversation import (
    SECOND_NS,
    START_NS,
    SYN,
    TO_CLIENT,
    TO_SERVER,
    Conversation,
    batch_of,
    connected,
    greeted,
)
from tests.support.decoding import check, column, decode_batches
from tests.support.dtls import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capture.build import Frame

LIE = tls.request(0x4000)


def numbered(number: int) -> Conversation:
    return Conversation(client_port=10_000 + number, start_ns=START_NS + number * SECOND_NS // 10)


# --- one case for each counter ----------------------------------------------------------------------------------------


def decoy_syn() -> Conversation:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"", seq=5, flags=SYN)
    return conversation


def twice() -> Conversation:
    conversation = greeted()
    conversation.repeat(*conversation.client(tls.application_data()))
    return conversation


def lost() -> Conversation:
    conversation = greeted()
    conversation.lose(*conversation.client(tls.application_data()))
    conversation.client(tls.application_data())
    return conversation


def no_record() -> Conversation:
    conversation = greeted()
    conversation.client(b"no record")
    return conversation


def overlong() -> Conversation:
    conversation = greeted()
    conversation.client(tls.record(tls.APPLICATION_DATA, b"", length=20_000))
    return conversation


def endless_hello() -> Conversation:
    conversation = connected()
    conversation.client(tls.record(tls.HANDSHAKE, tls.handshake(tls.CLIENT_HELLO, b"", length=1 << 20)))
    return conversation


def torn_hello() -> Conversation:
    conversation = connected()
    _, middle, _ = conversation.client(tls.client_hello(), cut=[20, 30])
    conversation.lose(middle)
    return conversation


def short_hello() -> Conversation:
    return connected().say_hello(b"\x03\x03")


def many_requests() -> Conversation:
    conversation = greeted()
    conversation.client(LIE * 66)
    return conversation


def lookalike() -> Conversation:
    conversation = connected()
    conversation.client(LIE * 18)
    return conversation


def payload_without_ack() -> Conversation:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"decoy", seq=conversation.next_seq[TO_SERVER], flags=0)
    return conversation


COUNTED: dict[str, tuple[Callable[[], Conversation], Limits, int]] = {
    "syn_ignored": (decoy_syn, Limits(), 1),
    "payloads_ignored": (payload_without_ack, Limits(), 1),
    "segments_repeated": (twice, Limits(), 1),
    "stream_gaps": (lost, Limits(), 1),
    "record_desync": (no_record, Limits(), 1),
    "record_overlong": (overlong, Limits(), 1),
    "hello_too_long": (endless_hello, Limits(), 1),
    "hello_incomplete": (torn_hello, Limits(), 1),
    "hello_malformed": (short_hello, Limits(), 1),
    "pending_requests_dropped": (many_requests, Limits(), 2),
    "held_heartbeats_dropped": (lookalike, Limits(), 2),
    "heartbeats_without_tls": (lookalike, Limits(), 16),
}


@pytest.mark.parametrize("counter", COUNTED)
def test_what_is_dropped_is_counted(decode: Decode, counter: str) -> None:
    build, limits, times = COUNTED[counter]
    assert decode(build(), limits=limits).drops[counter] == times


def test_every_counter_has_a_case() -> None:
    if not native_available():
        missing("the native engine")
    from hbids import _native

    counters = {name for name, _ in _native.Engine(Limits()).counters()}
    tested_elsewhere = {"packets", "bytes", "flows", "flows_evicted", "chunk_panics", "layers_exceeded"}
    unread = {counter for counter, *_ in (*UNREAD.values(), *UNREADABLE.values())}
    assert counters - tested_elsewhere == {
        *COUNTED,
        *unread,
        *DECOY_COUNTERS,
        *FRAGMENT_COUNTERS,
        *DTLS_COUNTERS,
        *OPENVPN_COUNTERS,
        *EAP_COUNTERS,
    }


# --- flows ------------------------------------------------------------------------------------------------------------


def test_the_flow_table_holds_so_many_and_ends_the_oldest_first(decode: Decode) -> None:
    conversations = [numbered(number).connect() for number in range(10)]
    decoded = decode(*conversations, limits=Limits(flows=4))
    assert decoded.drops == {"flows_evicted": 6}
    assert column(decoded.flows, "end_reason") == [EndReason.EVICTED] * 6 + [EndReason.CAPTURE_END] * 4
    assert column(decoded.flows, "flow_id") == list(range(1, 11))


def test_a_flood_of_attempts_does_not_evict_tls(decode: Decode) -> None:
    attacked = numbered(0).connect().say_hello()
    flood = [numbered(number) for number in range(1, 50)]
    for conversation in flood:
        conversation.segment(TO_SERVER, flags=SYN)
    attacked.wait(60).client(LIE)
    decoded = decode(attacked, *flood, limits=Limits(flows=5))
    assert decoded.drops["flows_evicted"] == 45
    check(decoded.heartbeats[0], claimed_length=0x4000, midstream=0, flow_id=1)


def test_an_evicted_flow_gives_all_it_had(decode: Decode) -> None:
    first = numbered(0).connect().say_hello()
    first.client(LIE)
    first.server(tls.answer(0x4000)[0])
    decoded = decode(first, numbered(9).connect().say_hello(), limits=Limits(flows=1))
    check(decoded.heartbeats[1], records=1, bytes_seen=16_384)
    assert column(decoded.flows, "end_reason") == [EndReason.EVICTED, EndReason.CAPTURE_END]


# --- bytes that wait --------------------------------------------------------------------------------------------------

SEGMENT_BYTES = 1000
CHARGED_BYTES = SEGMENT_BYTES + 512
"""What a waiting segment costs."""


def behind_a_hole(segments: int, conversation: Conversation) -> Conversation:
    """A lost record, then so many records in segments of their own, then a lie."""
    conversation.say_hello()
    conversation.lose(*conversation.client(tls.application_data()))
    for _ in range(segments):
        conversation.client(tls.application_data(SEGMENT_BYTES - 5))
    conversation.client(LIE)
    return conversation


@pytest.mark.parametrize(("segments", "given_up"), [(9, False), (10, True)])
def test_so_much_waits_for_a_hole_and_no_more(decode: Decode, segments: int, *, given_up: bool) -> None:
    conversation = behind_a_hole(segments, connected())
    conversation.wait(1).segment(TO_SERVER)
    decoded = decode(conversation, limits=Limits(out_of_order_bytes=10 * CHARGED_BYTES - 1))
    assert (decoded.heartbeats[0]["packet_number"] < len(conversation.packets)) == given_up
    check(decoded.flows[0], gaps_to_server=1, gap_bytes_to_server=105)


def test_all_flows_together_hold_so_much_and_no_more(decode: Decode) -> None:
    conversations = [behind_a_hole(5, numbered(number * 10).connect()) for number in range(6)]
    for conversation in conversations:
        conversation.wait(100).segment(TO_SERVER)
    decoded = decode(*conversations, limits=Limits(out_of_order_bytes_total=20 * CHARGED_BYTES))
    assert column(decoded.heartbeats, "claimed_length") == [0x4000] * 6
    early = sum(row["end_time_ns"] < START_NS + 50 * SECOND_NS for row in decoded.heartbeats)
    assert early == 3  # three flows of five segments and a lie fit, the others give up at once


def test_one_byte_segments_are_charged_more_than_their_byte(decode: Decode) -> None:
    conversation = greeted()
    conversation.lose(*conversation.client(tls.application_data()))
    conversation.client(tls.application_data(95), cut=range(1, 100))
    conversation.client(LIE)
    conversation.wait(1).segment(TO_SERVER)
    decoded = decode(conversation, limits=Limits(out_of_order_bytes=50_000))
    assert decoded.heartbeats[0]["packet_number"] < len(conversation.packets)


# --- what flows hold --------------------------------------------------------------------------------------------------


def torn(number: int) -> Conversation:
    """A hello of which only a part comes."""
    conversation = numbered(number).connect()
    hello = tls.handshake(tls.CLIENT_HELLO, bytes(1_000), length=16_000)
    conversation.client(tls.record(tls.HANDSHAKE, hello, length=16_004))
    return conversation


def unasked(number: int) -> Conversation:
    """Heartbeats before any hello."""
    conversation = numbered(number).connect()
    conversation.client(LIE * 16)
    return conversation


def talk(number: int) -> Conversation:
    """Plain text."""
    conversation = numbered(number).connect()
    conversation.server(b"220 ready\r\n")
    return conversation


def half_a_dtls_hello(number: int) -> list[Frame]:
    exchange = Exchange(client=("10.0.0.1", 10_000 + number), now_ns=START_NS + number * SECOND_NS // 10)
    exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, bytes(2_000), 0, 0, 1_000))
    return exchange.frames


@pytest.mark.parametrize(
    ("holding", "held_bytes"),
    [
        (lambda number: torn(number).frames(), 2 * 1_004),
        (lambda number: unasked(number).frames(), 512 + 16 * 64 + 16 * 256),
        (lambda number: talk(number).frames(), 288),
        (half_a_dtls_hello, 768 + 512 + 2 * 1_000 + 512 + 96),
    ],
    ids=["hello", "heartbeats", "plain text", "DTLS"],
)
def test_all_flows_together_hold_so_much_beside_themselves(
    engine_name: str, holding: Callable[[int], list[Frame]], held_bytes: int
) -> None:
    frames = [frame for number in range(10) for frame in holding(number)]
    for room, evicted in ((10 * held_bytes, 0), (10 * held_bytes - 1, 1), (4 * held_bytes, 6)):
        decoded = decode_batches(engine_name, [batch_of(frames)], Limits(state_bytes_total=room))
        assert decoded.counters.get("flows_evicted", 0) == evicted
        assert column(decoded.flows, "flow_id") == list(range(1, 11))
        assert column(decoded.flows, "end_reason") == [EndReason.EVICTED] * evicted + [EndReason.CAPTURE_END] * (
            10 - evicted
        )


@pytest.mark.parametrize("holding", [torn, unasked, talk])
def test_a_flood_of_what_must_be_held_does_not_end_tls(decode: Decode, holding: Callable[[int], Conversation]) -> None:
    attacked = numbered(0).connect().say_hello()
    attacked.client(LIE)
    attacked.wait(60).server(tls.answer(0x4000)[0])
    flood = [holding(number) for number in range(1, 50)]
    decoded = decode(attacked, *flood, limits=Limits(state_bytes_total=10_000))
    assert decoded.drops["flows_evicted"] > 10
    check(decoded.heartbeats[-1], answers_message=1, flow_id=1, bytes_seen=16_384)


def test_what_a_flow_held_is_free_when_its_plain_text_turns_out_to_lead_to_tls(decode: Decode) -> None:
    conversations = []
    for number in range(12):
        conversation = numbered(number).connect()
        conversation.server(b"welcome\r\n")
        conversation.client(b"let us speak in private\r\n")
        conversations.append(conversation.say_hello())
    decoded = decode(*conversations, limits=Limits(state_bytes_total=4_000))
    assert column(decoded.sessions, "heartbeat_accepted") == [1] * 12
    assert "flows_evicted" not in decoded.drops


def test_what_a_hello_holds_is_free_once_it_is_read(decode: Decode) -> None:
    conversations = [numbered(number).connect().say_hello() for number in range(20)]
    decoded = decode(*conversations, limits=Limits(state_bytes_total=800))
    assert decoded.drops == {}


def test_a_hello_of_dtls_in_crumbs_from_the_end_is_given_up(engine_name: str) -> None:
    exchange = Exchange()
    body = bytes(1_000)
    for place in reversed(range(300)):
        exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, body, 0, place, place + 1))
    decoded = decode_batches(engine_name, [batch_of(exchange.frames)])
    assert decoded.drops == {"hello_incomplete": 2}  # one of 257 crumbs, one of the rest


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pending", [1, 2, 5])
def test_so_many_requests_are_remembered(decode: Decode, pending: int) -> None:
    conversation = greeted()
    claims = [100, 200, 300, 400]
    conversation.client(b"".join(tls.request(claimed) for claimed in claims))
    conversation.server(b"".join(tls.answer(claimed)[0] for claimed in claims))
    decoded = decode(conversation, limits=Limits(pending_requests=pending))
    answers = column(decoded.heartbeats[4:], "answers_message")
    assert sorted(filter(None, answers)) == [1, 2, 3, 4][-pending:]
    assert decoded.drops.get("pending_requests_dropped", 0) == max(0, 4 - pending)


@pytest.mark.parametrize("held", [1, 3, 16])
def test_so_many_heartbeats_are_held_until_the_hello(decode: Decode, held: int) -> None:
    conversation = connected()
    conversation.client(LIE * 20)
    conversation.say_hello()
    conversation.client(LIE)
    decoded = decode(conversation, limits=Limits(held_heartbeats=held))
    assert len(decoded.heartbeats) == held + 1
    assert decoded.drops["held_heartbeats_dropped"] == 20 - held


@pytest.mark.parametrize(("search_bytes", "found"), [(1000, 0), (100_000, 1)])
def test_a_lost_direction_is_searched_so_far(decode: Decode, search_bytes: int, found: int) -> None:
    conversation = greeted()
    conversation.client(b"no record" * 250)
    conversation.client(b"no record" + LIE)  # not at the start of its segment
    decoded = decode(conversation, limits=Limits(search_bytes=search_bytes))
    assert len(decoded.heartbeats) == found


def test_past_the_search_a_record_at_the_start_of_a_segment_is_still_found(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(b"no record" * 250)
    conversation.client(LIE)
    decoded = decode(conversation, limits=Limits(search_bytes=1))
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]


def test_the_smallest_limits_of_all_still_find_a_plain_attack(decode: Decode) -> None:
    names = [name for name in Limits.__dataclass_fields__ if not name.endswith(("_ns", "_ports"))]
    smallest: dict[str, Any] = {**dict.fromkeys(names, 1), "layers": 3, "state_bytes_total": 2_000}
    conversation = greeted()
    conversation.client(LIE)
    conversation.segment(TO_CLIENT, tls.answer(0x4000)[0])
    decoded = decode(conversation, limits=Limits(**smallest))
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
