"""Packets of OpenVPN's control channel that come late, twice, in another order, or not at all."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from hbids.config import Limits
from hbids.facts import Kind
from tests.support import openvpn, tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER
from tests.support.decoding import check, column
from tests.support.openvpn import PAYLOAD_BYTES, Vpn, greeted

if TYPE_CHECKING:
    from hbids.facts import Direction
    from tests.decode.conftest import Decode

LIE = tls.request(0x4000)
OPENVPN_COUNTERS = {
    "openvpn_gaps",
    "openvpn_packets_ahead",
    "openvpn_packets_cut",
    "openvpn_packets_malformed",
    "openvpn_packets_repeated",
    "openvpn_packets_sealed",
}
"""Each has a test here, or in ``test_openvpn`` and ``test_openvpn_belief``."""


def pieces(vpn: Vpn, way: Direction, data: bytes, count: int) -> list[bytes]:
    """So many packets, not sent."""
    size = -(-len(data) // count)
    return [vpn.next(way, piece) for piece in tls.cut(data, range(size, len(data), size))]


# --- what the network does ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_order_of_packets_does_not_matter(decode: Decode, order: tuple[int, ...]) -> None:
    vpn = greeted()
    packets = pieces(vpn, TO_SERVER, LIE, 4)
    vpn.send(TO_SERVER, *(packets[index] for index in order))
    decoded = decode(vpn)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    check(decoded.heartbeats[0], gap=0, bytes_seen=3)
    assert decoded.drops == {}


def test_hellos_in_any_order(decode: Decode) -> None:
    vpn = Vpn(hmac_bytes=20)
    packets = [vpn.next(TO_SERVER, opcode=openvpn.RESET_CLIENT), *pieces(vpn, TO_SERVER, tls.client_hello(), 5)]
    vpn.send(TO_SERVER, packets[0], *reversed(packets[1:]))
    packets = [vpn.next(TO_CLIENT, opcode=openvpn.RESET_SERVER), *pieces(vpn, TO_CLIENT, tls.server_hello(), 5)]
    vpn.send(TO_CLIENT, packets[0], *reversed(packets[1:]))
    decoded = decode(vpn.attack())
    check(decoded.sessions[0], heartbeat_offered=1, heartbeat_accepted=1, midstream=0)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]


def test_a_packet_sent_again_counts_once(decode: Decode) -> None:
    vpn = greeted()
    packets = vpn.say(TO_SERVER, LIE)
    vpn.send(TO_SERVER, *packets * 3)
    decoded = decode(vpn)
    assert len(decoded.heartbeats) == 1
    assert decoded.drops == {"openvpn_packets_repeated": 3}


def test_resets_sent_again_begin_nothing(decode: Decode) -> None:
    vpn = Vpn()
    resets = {
        TO_SERVER: vpn.packet(TO_SERVER, openvpn.RESET_CLIENT, packet_id=0),
        TO_CLIENT: vpn.packet(TO_CLIENT, openvpn.RESET_SERVER, packet_id=0, acks=[0]),
    }
    vpn.reset()
    for way, packet in resets.items():
        vpn.send(way, packet, packet)
    vpn.greet()
    vpn.send(TO_SERVER, resets[TO_SERVER])
    decoded = decode(vpn.attack())
    assert (len(decoded.sessions), len(decoded.heartbeats)) == (1, 2)
    assert decoded.drops == {"openvpn_packets_repeated": 5}


@pytest.mark.parametrize("ahead_of_a_hole", [False, True])
def test_of_two_packets_with_one_id_the_first_counts(decode: Decode, *, ahead_of_a_hole: bool) -> None:
    vpn = greeted()
    first, second = pieces(vpn, TO_SERVER, LIE, 2)
    other = vpn.packet(TO_SERVER, openvpn.CONTROL, b"????", packet_id=3)
    vpn.send(TO_SERVER, *((second, other, first) if ahead_of_a_hole else (first, second, other)))
    decoded = decode(vpn)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert decoded.drops == {"openvpn_packets_repeated": 1}


# --- what the capture lost ------------------------------------------------------------------------------------------


def test_a_lost_packet_within_an_answer_is_a_gap_of_its_length(decode: Decode) -> None:
    vpn = greeted()
    vpn.say(TO_SERVER, LIE)
    first, *_ = tls.answer(0x4000)
    packets = [vpn.next(TO_CLIENT, piece) for piece in tls.cut(first, range(PAYLOAD_BYTES, len(first), PAYLOAD_BYTES))]
    vpn.send(TO_CLIENT, *packets[:5], *packets[6:8])
    vpn.acknowledge(TO_SERVER)
    vpn.wait(1)
    vpn.send(TO_CLIENT, *packets[8:])
    vpn.say(TO_SERVER, tls.request(9))
    vpn.say(TO_CLIENT, tls.answer(9)[0])
    decoded = decode(vpn)
    check(decoded.heartbeats[1], gap=1, record_length=16_384, bytes_seen=16_384 - PAYLOAD_BYTES, records=1)
    assert column(decoded.heartbeats, "answers_message") == [0, 1, 0, 3]
    check(decoded.flows[0], gaps_to_client=1, gap_bytes_to_client=0)
    assert decoded.drops == {"openvpn_gaps": 1}


@pytest.mark.parametrize(("seconds", "told"), [(0.05, 1), (0.2, 2)])
def test_a_packet_the_receiver_has_acknowledged_is_soon_given_up(decode: Decode, seconds: float, told: int) -> None:
    vpn = greeted()
    vpn.next(TO_SERVER, tls.application_data())
    vpn.say(TO_SERVER, LIE)
    vpn.acknowledge(TO_CLIENT)
    asked_ns = vpn.datagrams.now_ns
    vpn.wait(seconds)
    vpn.data(TO_SERVER)
    vpn.wait(1_000)
    vpn.data(TO_SERVER)
    (row,) = decode(vpn).heartbeats
    assert (row["end_time_ns"] - asked_ns < 10 * SECOND_NS) == (told == 2)


def test_what_the_receiver_waits_for_is_not_given_up(decode: Decode) -> None:
    vpn = greeted()
    first, second = pieces(vpn, TO_SERVER, LIE, 2)
    vpn.send(TO_SERVER, second)
    vpn.send(TO_CLIENT, vpn.packet(TO_CLIENT, openvpn.ACK, acks=[3]))
    vpn.wait(1_000)
    vpn.data(TO_SERVER)
    vpn.send(TO_SERVER, first)
    decoded = decode(vpn)
    check(decoded.heartbeats[0], claimed_length=0x4000, gap=0)
    assert decoded.drops == {}


def test_of_a_one_way_capture_a_hole_is_given_up_after_a_while(decode: Decode) -> None:
    vpn = greeted()
    vpn.next(TO_SERVER, tls.application_data())
    vpn.say(TO_SERVER, LIE)
    vpn.wait(11)
    vpn.data(TO_SERVER)
    vpn.wait(1_000)
    vpn.data(TO_SERVER)
    decoded = decode(vpn.lose_way(TO_CLIENT))
    (row,) = decoded.heartbeats
    assert row["end_time_ns"] < vpn.datagrams.now_ns - 900 * SECOND_NS
    assert decoded.drops == {"openvpn_gaps": 1}


def test_a_hole_still_open_at_the_end_hides_nothing(decode: Decode) -> None:
    vpn = greeted()
    vpn.next(TO_SERVER, tls.application_data())
    vpn.say(TO_SERVER, LIE)
    assert column(decode(vpn).heartbeats, "claimed_length") == [0x4000]


def test_the_client_hello_lost_heartbeats_are_still_found(decode: Decode) -> None:
    vpn = Vpn().reset()
    vpn.next(TO_SERVER, tls.client_hello())
    vpn.say(TO_CLIENT, tls.server_hello())
    vpn.wait(1)
    decoded = decode(vpn.attack())
    assert column(decoded.heartbeats, "kind") == [Kind.REQUEST, Kind.RESPONSE]
    check(decoded.sessions[0], client_version=0, server_version=tls.TLS_1_2, start=17)


def test_after_a_pause_of_the_capture_it_goes_on(decode: Decode) -> None:
    vpn = greeted().finish()
    for way in (TO_SERVER, TO_CLIENT):
        vpn.next_ids[way] += 500
        vpn.unacked[way] = []
    for _ in range(6):
        vpn.say(TO_SERVER, tls.sealed(61))
        vpn.say(TO_CLIENT, tls.sealed(1_000))
        vpn.acknowledge(TO_SERVER)
    decoded = decode(vpn)
    assert sorted(column(decoded.heartbeats, "record_length")) == [61] * 6 + [1_000] * 6
    assert set(decoded.drops) == {"openvpn_gaps"}


# --- what an evader sends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 1, 30])
@pytest.mark.parametrize("ahead", [8, 100, 1 << 20, 1 << 31])
def test_a_packet_the_receiver_cannot_hold_hides_nothing(decode: Decode, ahead: int, seconds: float) -> None:
    vpn = greeted()
    decoy = (vpn.next_ids[TO_SERVER] + ahead) & 0xFFFF_FFFF
    vpn.send(TO_SERVER, vpn.packet(TO_SERVER, openvpn.CONTROL, b"?", packet_id=decoy))
    for _ in range(3):
        vpn.wait(seconds)
        vpn.attack(0x1000)
    decoded = decode(vpn)
    assert column(decoded.heartbeats, "kind") == [Kind.REQUEST, Kind.RESPONSE] * 3
    assert "openvpn_gaps" not in decoded.drops


def test_a_packet_for_another_receiver_hides_nothing(decode: Decode) -> None:
    vpn = greeted()
    decoy = vpn.packet(TO_SERVER, openvpn.CONTROL, b"?" * 20, packet_id=2, acks=[0], remote_id=b"nobody--")
    vpn.send(TO_SERVER, decoy)
    decoded = decode(vpn.attack())
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {"openvpn_packets_malformed": 1}


def test_more_acknowledgements_than_a_receiver_takes_hide_nothing(decode: Decode) -> None:
    vpn = greeted()
    vpn.send(TO_SERVER, vpn.packet(TO_SERVER, openvpn.CONTROL, b"?", packet_id=2, acks=range(9)))
    decoded = decode(vpn.attack())
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {"openvpn_packets_malformed": 1}


def test_a_reset_under_another_tls_auth_hides_nothing(decode: Decode) -> None:
    vpn = Vpn(hmac_bytes=20)
    for size in openvpn.HMAC_BYTES:
        vpn.hmac_bytes = size
        vpn.send(TO_SERVER, vpn.packet(TO_SERVER, openvpn.RESET_CLIENT, packet_id=0))
    vpn.hmac_bytes = 20
    decoded = decode(vpn.reset().greet().attack())
    check(decoded.sessions[0], heartbeat_accepted=1)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]


def test_acknowledgements_of_what_was_never_sent_hide_no_request(decode: Decode) -> None:
    vpn = greeted()
    forged = [(1 << 31) - 1, 1 << 31, 0xFFFF_FFFF, 70, 71]
    vpn.send(TO_SERVER, vpn.packet(TO_SERVER, openvpn.ACK, acks=forged))
    assert column(decode(vpn.attack()).heartbeats, "answers_message") == [0, 1]


# --- limits ---------------------------------------------------------------------------------------------------------


def test_so_much_waits_for_a_hole_and_no_more(decode: Decode) -> None:
    vpn = greeted()
    vpn.next(TO_SERVER, tls.application_data())
    vpn.say(TO_SERVER, tls.application_data(30_000), size=1_000)
    vpn.say(TO_SERVER, LIE)
    vpn.wait(1)
    vpn.data(TO_SERVER)
    vpn.wait(1)
    vpn.data(TO_SERVER)
    one_way = vpn.lose_way(TO_CLIENT)
    waits = decode(one_way)
    given_up = decode(one_way, limits=Limits(out_of_order_bytes=20_000))
    for decoded in (waits, given_up):
        assert decoded.drops == {"openvpn_gaps": 1}
    assert waits.heartbeats["end_time_ns"][0] > given_up.heartbeats["end_time_ns"][0]


def test_a_packet_in_the_making_is_cut_where_all_flows_hold_too_much(decode: Decode) -> None:
    vpn = greeted(over_tcp=True)
    vpn.say(TO_SERVER, LIE)
    packet = openvpn.framed(vpn.next(TO_CLIENT, tls.answer(0x800)[0]))
    vpn.connection.server(packet, cut=[600, 1_200])
    vpn.say(TO_SERVER, tls.request(9))
    decoded = decode(vpn, limits=Limits(out_of_order_bytes_total=1_000))
    check(decoded.heartbeats[1], gap=1, claimed_length=0x800)
    check(decoded.heartbeats[2], claimed_length=9, gap=0)
    assert decoded.drops == {"openvpn_packets_cut": 1}
