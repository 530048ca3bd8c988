"""TLS inside OpenVPN's control channel: the facts are those of TLS, over UDP and TCP, whatever wraps the packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hbids
from hbids.config import Limits
from hbids.facts import Direction, EndReason, Kind, Phase, Protection, TlsStart, Transport
from tests.support import openvpn, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation, write_pcap
from tests.support.decoding import check, column
from tests.support.openvpn import HMAC_BYTES, Vpn, greeted, sealing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.decode.conftest import Decode

LIE = tls.request(0x4000)
PROTOCOLS = {False: 17, True: 6}


# --- facts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hmac_bytes", [0, *HMAC_BYTES])
def test_an_attack_in_the_handshake(decode: Decode, *, over_tcp: bool, hmac_bytes: int) -> None:
    decoded = decode(greeted(over_tcp=over_tcp, hmac_bytes=hmac_bytes).attack())
    (session,), (request, response), (flow,) = decoded.sessions, decoded.heartbeats, decoded.flows
    where = {"protocol": PROTOCOLS[over_tcp], "transport": Transport.TLS, "server_port": 1194, "midstream": 0}
    check(session, start=TlsStart.OPENVPN, heartbeat_accepted=1, tls_version=tls.TLS_1_2, client_port=40_000, **where)
    check(request, kind=Kind.REQUEST, claimed_length=0x4000, record_length=3, phase=Phase.HANDSHAKE, **where)
    check(response, kind=Kind.RESPONSE, bytes_seen=0x4000 + 19, records=2, answers_message=1, gap=0, **where)
    check(flow, heartbeats_to_server=1, heartbeats_to_client=1, gaps_to_client=0, **where)
    assert flow["records_to_client"].tolist() == [0, 0, 1, 0, 2]
    assert decoded.drops == {}


def test_a_growing_answer_is_told_early(decode: Decode, *, over_tcp: bool) -> None:
    (early,) = decode(greeted(over_tcp=over_tcp).attack()).early
    check(early, is_final=0, bytes_seen=openvpn.PAYLOAD_BYTES - 5, answers_message=1)


def test_sealed_heartbeats(decode: Decode, *, over_tcp: bool) -> None:
    vpn = sealing(over_tcp=over_tcp)
    vpn.say(TO_SERVER, tls.sealed(61))
    vpn.say(TO_CLIENT, tls.sealed(16_408, 42))
    request, response = decode(vpn).heartbeats
    check(request, protection=Protection.SEALED, kind=Kind.REQUEST, phase=Phase.AFTER, cipher_suite=tls.AES_GCM)
    check(response, protection=Protection.SEALED, kind=Kind.RESPONSE, records=2, request_record_length=61)


def test_a_server_that_attacks_its_client(decode: Decode, *, over_tcp: bool) -> None:
    vpn = greeted(over_tcp=over_tcp)
    vpn.say(TO_CLIENT, LIE)
    vpn.say(TO_SERVER, tls.answer(0x1000)[0])
    request, response = decode(vpn).heartbeats
    check(request, kind=Kind.REQUEST, direction=Direction.TO_CLIENT, claimed_length=0x4000)
    check(response, kind=Kind.RESPONSE, direction=Direction.TO_SERVER, answers_message=1)


def test_before_any_hello_is_answered(decode: Decode, *, over_tcp: bool) -> None:
    vpn = Vpn(over_tcp=over_tcp).reset()
    vpn.say(TO_SERVER, tls.client_hello() + LIE)
    check(decode(vpn).heartbeats[0], phase=Phase.BEFORE_SERVER_HELLO, midstream=0, claimed_length=0x4000)


def test_what_the_first_packets_carry(decode: Decode) -> None:
    vpn = Vpn()
    for way, hello in ((TO_SERVER, tls.client_hello() + LIE), (TO_CLIENT, tls.server_hello() + tls.answer(7)[0])):
        opcode = openvpn.RESET_CLIENT if way == TO_SERVER else openvpn.RESET_SERVER
        vpn.send(way, vpn.next(way, hello, opcode=opcode))
    assert column(decode(vpn).heartbeats, "kind") == [Kind.REQUEST, Kind.RESPONSE]


def test_the_old_resets(decode: Decode) -> None:
    vpn = Vpn()
    vpn.send(TO_SERVER, vpn.next(TO_SERVER, opcode=openvpn.RESET_CLIENT_V1))
    vpn.send(TO_CLIENT, vpn.next(TO_CLIENT, opcode=openvpn.RESET_SERVER_V1))
    assert len(decode(vpn.greet().attack()).heartbeats) == 2


def test_on_any_port_and_with_the_same_on_both_ends_the_resets_tell_who_is_the_client(decode: Decode) -> None:
    vpn = Vpn()
    vpn.datagrams.client, vpn.datagrams.server = ("10.0.0.9", 53), ("10.0.0.2", 53)
    decoded = decode(vpn.reset().greet().attack())
    check(decoded.heartbeats[0], direction=Direction.TO_SERVER, client_port=53, server_port=53)
    assert decoded.flows["server_addr"][0].tolist()[-4:] == [10, 0, 0, 2]


def test_over_ipv6(decode: Decode) -> None:
    vpn = Vpn()
    vpn.datagrams.client, vpn.datagrams.server = ("2001:db8::1", 40_000), ("2001:db8::2", 1194)
    assert len(decode(vpn.reset().greet().attack()).heartbeats) == 2


def test_the_data_channel_is_passed_over(decode: Decode, *, over_tcp: bool) -> None:
    vpn = greeted(over_tcp=over_tcp).finish()
    for length in (0, 1, 100, 1_400):
        vpn.data(TO_SERVER, length)
        vpn.data(TO_CLIENT, length)
    vpn.say(TO_SERVER, tls.sealed(61))
    decoded = decode(vpn)
    check(decoded.heartbeats[0], record_length=61, protection=Protection.SEALED)
    assert decoded.drops == {}


# --- several sessions -----------------------------------------------------------------------------------------------


def test_each_renegotiation_is_a_session_of_its_own(decode: Decode, *, over_tcp: bool) -> None:
    vpn = greeted(over_tcp=over_tcp).attack().finish()
    for _ in range(9):
        vpn.renegotiate().greet().attack(0x1000)
    decoded = decode(vpn)
    assert column(decoded.sessions, "start") == [TlsStart.OPENVPN] * 10
    assert column(decoded.sessions, "flow_id") == [1] * 10
    assert column(decoded.heartbeats, "phase") == [Phase.HANDSHAKE] * 20
    assert column(decoded.heartbeats, "claimed_length") == [0x4000] * 2 + [0x1000] * 18
    check(decoded.flows[0], heartbeats_to_server=10, heartbeats_to_client=10)
    assert decoded.flows["records_to_client"][0].tolist() == [1, 0, 11, 0, 11]
    assert decoded.drops == {}


def test_a_restart_on_the_same_ports_is_another_session(decode: Decode, *, over_tcp: bool) -> None:
    vpn = greeted(over_tcp=over_tcp).attack().finish()
    vpn.restart().greet(tls.server_hello_body(cipher=tls.AES_CBC)).attack()
    decoded = decode(vpn)
    assert column(decoded.sessions, "cipher_suite") == [tls.AES_GCM, tls.AES_CBC]
    assert column(decoded.heartbeats, "cipher_suite") == [tls.AES_GCM] * 2 + [tls.AES_CBC] * 2
    assert len(decoded.flows) == 1


def test_beginning_another_session_hides_nothing_of_the_one_in_use(decode: Decode, *, over_tcp: bool) -> None:
    vpn = greeted(over_tcp=over_tcp).finish()
    state = vpn.session_ids, vpn.next_ids.copy(), {way: ids.copy() for way, ids in vpn.unacked.items()}
    vpn.restart()
    vpn.say(TO_SERVER, tls.client_hello())
    vpn.session_ids, vpn.next_ids, vpn.unacked = state
    vpn.send(TO_SERVER, vpn.packet(TO_SERVER, openvpn.SOFT_RESET, packet_id=0, key_id=1))
    vpn.say(TO_SERVER, tls.sealed(61))
    vpn.say(TO_CLIENT, tls.sealed(16_408, 42))
    request, response = decode(vpn).heartbeats
    check(request, protection=Protection.SEALED, cipher_suite=tls.AES_GCM)
    check(response, answers_message=1, records=2)


def test_so_many_sessions_are_held_and_the_oldest_goes_first(decode: Decode) -> None:
    vpn = greeted()
    for number in range(2, 6):
        vpn.restart(b"client-%d" % number, b"server-%d" % number).greet()
    decoded = decode(vpn, limits=Limits(openvpn_sessions=2))
    assert len(decoded.sessions) == 5
    check(decoded.flows[0], transport=Transport.TLS)
    assert decoded.flows["records_to_server"][0].tolist() == [0, 0, 5, 0, 0]


# --- captures of a part ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hmac_bytes", [0, 20])
@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_one_direction_alone_is_enough(decode: Decode, way: Direction, *, over_tcp: bool, hmac_bytes: int) -> None:
    vpn = greeted(over_tcp=over_tcp, hmac_bytes=hmac_bytes).attack()
    decoded = decode(vpn.lose_way(TO_CLIENT if way == TO_SERVER else TO_SERVER))
    (row,) = decoded.heartbeats
    check(row, direction=way, server_port=1194, midstream=0, claimed_length=0x4000)
    check(decoded.sessions[0], start=TlsStart.OPENVPN)


def test_a_snap_length_leaves_what_was_kept(decode: Decode) -> None:
    vpn = greeted()
    vpn.say(TO_SERVER, LIE)
    for packet in [vpn.next(TO_CLIENT, piece) for piece in tls.cut(tls.answer(0x4000)[0], range(1_200, 16_389, 1_200))]:
        vpn.datagrams.send(TO_CLIENT, packet, captured_bytes=200)
    decoded = decode(vpn)
    check(decoded.heartbeats[1], gap=1, records=1, record_length=16_384, claimed_length=0x4000)
    assert 2_000 < decoded.heartbeats[1]["bytes_seen"] < 2_800
    assert decoded.drops == {"openvpn_packets_cut": 14}


# --- in a TCP connection --------------------------------------------------------------------------------------------


def framed(conversation: Conversation, vpn: Vpn) -> Conversation:
    """What the VPN would send in datagrams, on the way in this connection."""
    port = vpn.datagrams.client[1].to_bytes(2)
    for frame in vpn.datagrams.frames:
        way = TO_SERVER if frame.data[34:36] == port else TO_CLIENT
        conversation.segment(way, openvpn.framed(frame.data[42:]))
    return conversation


def test_byte_by_byte(decode: Decode) -> None:
    vpn = Vpn(over_tcp=True)
    whole = framed(Conversation(), greeted(hmac_bytes=20).attack(0x600))
    vpn.connection.connect()
    for packet in whole.packets:
        for at in range(len(packet.payload)):
            vpn.connection.segment(packet.way, packet.payload[at : at + 1])
    decoded = decode(vpn)
    check(decoded.sessions[0], start=TlsStart.OPENVPN)
    assert column(decoded.heartbeats, "bytes_seen") == [3, 0x600 + 19]
    assert decoded.drops == {}


def test_all_of_a_side_in_one_segment(decode: Decode) -> None:
    vpn = Vpn(over_tcp=True)
    vpn.connection.connect()
    packets = [vpn.next(TO_SERVER, opcode=openvpn.RESET_CLIENT), vpn.next(TO_SERVER, tls.client_hello() + LIE)]
    vpn.connection.client(b"".join(map(openvpn.framed, packets)))
    packets = [vpn.next(TO_CLIENT, opcode=openvpn.RESET_SERVER), vpn.next(TO_CLIENT, tls.server_hello())]
    vpn.connection.server(b"".join(map(openvpn.framed, packets)))
    decoded = decode(vpn)
    check(decoded.sessions[0], start=TlsStart.OPENVPN)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]


def test_behind_a_proxy(decode: Decode) -> None:
    vpn = Vpn(over_tcp=True)
    vpn.connection.connect()
    vpn.connection.client(b"CONNECT vpn.example:1194 HTTP/1.1\r\n\r\n")
    vpn.connection.server(b"HTTP/1.1 200 Connection established\r\n\r\n")
    decoded = decode(vpn.reset().greet().attack())
    check(decoded.sessions[0], start=TlsStart.OPENVPN)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]


def test_a_lost_segment_costs_no_more_than_its_packets(decode: Decode) -> None:
    vpn = greeted(over_tcp=True)
    vpn.data(TO_SERVER)
    vpn.connection.lose(vpn.connection.packets[-1])
    vpn.say(TO_SERVER, LIE)
    vpn.wait(1)
    vpn.data(TO_CLIENT)
    vpn.say(TO_CLIENT, tls.answer(0x3000)[0])
    vpn.connection.lose(vpn.connection.packets[-4])
    vpn.say(TO_SERVER, tls.request(9))
    vpn.say(TO_CLIENT, tls.answer(9)[0])
    decoded = decode(vpn)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x3000, 9, 9]
    check(decoded.heartbeats[1], gap=1, record_length=0x3000 + 19, bytes_seen=0x3000 + 19 - openvpn.PAYLOAD_BYTES)
    assert decoded.drops == {"stream_gaps": 2, "openvpn_gaps": 1}


def test_bytes_lost_between_packets_leave_what_is_clear_clear(decode: Decode) -> None:
    vpn = greeted(over_tcp=True)
    vpn.say(TO_CLIENT, tls.ccs() + tls.finished())
    vpn.data(TO_SERVER)
    vpn.connection.lose(vpn.connection.packets[-1])
    vpn.data(TO_CLIENT)  # acknowledges what the capture lost
    vpn.connection.segment(TO_SERVER)
    vpn.say(TO_SERVER, tls.heartbeat(73, 9, tls.noise(50)))
    vpn.wait(1)
    vpn.data(TO_CLIENT)
    check(decode(vpn).heartbeats[0], protection=Protection.CLEAR, kind=Kind.MALFORMED, message_type=73)


def test_a_connection_that_ends_within_a_packet_gives_what_came(decode: Decode) -> None:
    vpn = greeted(over_tcp=True)
    vpn.say(TO_SERVER, LIE)
    vpn.connection.server(openvpn.framed(vpn.next(TO_CLIENT, tls.answer(0x400)[0]))[:500])
    decoded = decode(vpn)
    check(decoded.heartbeats[1], gap=1, claimed_length=0x400)
    assert decoded.heartbeats[1]["bytes_seen"] > 400
    assert decoded.drops == {"openvpn_packets_cut": 1}


# --- the end --------------------------------------------------------------------------------------------------------


def test_a_flow_with_tls_counts_as_tls_in_the_flow_table(decode: Decode) -> None:
    talking = greeted()
    others = [Vpn() for _ in range(20)]
    for number, other in enumerate(others):
        other.datagrams.client = ("10.0.0.9", 50_000 + number)
        other.wait(1 + number)
        other.reset()
    talking.wait(1_000)
    talking.attack()
    decoded = decode(talking, *others, limits=Limits(flows=4))
    check(decoded.heartbeats[0], phase=Phase.HANDSHAKE)
    ended = {int(row["client_port"]): int(row["end_reason"]) for row in decoded.flows}
    assert ended[40_000] == EndReason.CAPTURE_END
    assert decoded.drops == {"flows_evicted": 17}


def test_a_flood_of_resets_holds_no_more_than_it_may(decode: Decode) -> None:
    talking = greeted()
    flood = [Vpn() for _ in range(40)]
    for number, other in enumerate(flood):
        other.datagrams.client = ("10.0.0.9", 50_000 + number)
        other.wait(number / 1_000)
        other.reset()
    decoded = decode(talking.attack(), *flood, limits=Limits(state_bytes_total=10_000))
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops["flows_evicted"] > 30


def test_the_whole_program_judges_the_endpoint(tmp_path: Path, engine_name: str, *, over_tcp: bool) -> None:
    capture = write_pcap(tmp_path / "vpn.pcap", greeted(over_tcp=over_tcp).attack().frames())
    result = hbids.replay(capture, engine=engine_name)
    (endpoint,) = result.endpoints
    shown = {name: endpoint[name] for name in ("ip", "port", "role", "transport", "carrier", "verdict", "leaked_bytes")}
    assert shown == {
        "ip": "10.0.0.2",
        "port": 1194,
        "role": "server",
        "transport": "tls",
        "carrier": "openvpn",
        "verdict": "leaked",
        "leaked_bytes": 0x4000,
    }
    assert endpoint["protocol"] == ("tcp" if over_tcp else "udp")
    assert set(result.summary()["alerts"]) == {"1016001", "1016100", "1016102", "1016500"}
    assert {finding.flow.protocol for finding in result.findings} == {PROTOCOLS[over_tcp]}


def test_tls_on_the_port_of_the_same_number_is_another_endpoint(tmp_path: Path, engine_name: str) -> None:
    other = Conversation(server_port=1194).connect().say_hello()
    other.client(LIE)
    capture = write_pcap(tmp_path / "both.pcap", [*greeted().attack().frames(), *other.frames()])
    endpoints = hbids.replay(capture, engine=engine_name).endpoints
    shown = {(endpoint["protocol"], endpoint["carrier"], endpoint["verdict"]) for endpoint in endpoints}
    assert shown == {("udp", "openvpn", "leaked"), ("tcp", None, "attempted")}
