"""What is OpenVPN, what only looks like it, what joins late, and what tls-crypt seals."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.facts import Kind, Phase, Protection, TlsStart, Transport
from tests.support import dtls, openvpn, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, batch_of, connected
from tests.support.decoding import check, column, decode_batches, decode_conversations
from tests.support.openvpn import HMAC_BYTES, Vpn, framed, greeted, sealed_by_tls_crypt

if TYPE_CHECKING:
    from hbids.facts import Direction
    from tests.decode.conftest import Decode
    from tests.support.decoding import Decoded

LIE = tls.request(0x4000)
SESSIONS = {TO_SERVER: b"\x8e\x11\x02\xc7sess", TO_CLIENT: b"\x91\x10\xf3\x55sess"}


def joined(vpn: Vpn) -> Vpn:
    """The same channel, of which the capture missed all so far."""
    if vpn.over_tcp:
        vpn.connection.packets.clear()
    vpn.datagrams.frames.clear()
    return vpn


# --- joined late ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hmac_bytes", [0, *HMAC_BYTES])
def test_a_channel_joined_late_is_found_and_marked(decode: Decode, *, over_tcp: bool, hmac_bytes: int) -> None:
    decoded = decode(joined(greeted(over_tcp=over_tcp, hmac_bytes=hmac_bytes)).attack())
    request, response = decoded.heartbeats
    check(request, kind=Kind.REQUEST, midstream=1, phase=Phase.UNKNOWN, claimed_length=0x4000, transport=Transport.TLS)
    check(response, kind=Kind.RESPONSE, midstream=1, answers_message=1, bytes_seen=0x4000 + 19)
    check(decoded.flows[0], midstream=1, transport=Transport.TLS)
    assert len(decoded.sessions) == 0


def test_joined_late_after_sealing_began(decode: Decode, *, over_tcp: bool) -> None:
    vpn = joined(openvpn.sealing(over_tcp=over_tcp))
    vpn.say(TO_SERVER, tls.application_data() + tls.sealed(61))
    vpn.say(TO_CLIENT, tls.application_data() + tls.sealed(16_408, 42))
    request, response = decode(vpn).heartbeats
    check(request, protection=Protection.SEALED, midstream=1, record_length=61)
    check(response, protection=Protection.SEALED, answers_message=1, records=2)


@pytest.mark.parametrize("dtls_first", [True, False])
def test_dtls_and_a_channel_joined_late_on_the_same_ports_are_each_told_as_they_are(
    engine_name: str, *, dtls_first: bool
) -> None:
    vpn = joined(greeted()).attack()
    exchange = dtls.Exchange(client=vpn.datagrams.client, server=vpn.datagrams.server)
    exchange.greet()
    parts = [exchange.frames, vpn.frames()]
    frames = [frame for part in (parts if dtls_first else parts[::-1]) for frame in part]
    decoded = decode_batches(engine_name, [batch_of(frames)])
    check(decoded.sessions[0], transport=Transport.DTLS, midstream=int(not dtls_first))
    assert column(decoded.heartbeats, "midstream") == [1, 1]
    check(decoded.flows[0], midstream=int(not dtls_first))


def test_with_the_hello_seen_only_the_resets_are_missing(decode: Decode, *, over_tcp: bool) -> None:
    vpn = joined(Vpn(over_tcp=over_tcp).reset()).greet()
    decoded = decode(vpn.attack())
    check(decoded.sessions[0], start=TlsStart.OPENVPN, heartbeat_accepted=1)
    assert column(decoded.heartbeats, "phase") == [Phase.HANDSHAKE] * 2


def test_joined_in_the_middle_of_an_answer_the_next_exchange_is_found(decode: Decode) -> None:
    vpn = greeted()
    vpn.say(TO_CLIENT, tls.answer(0x3000)[0][:7_000])
    joined(vpn)
    vpn.say(TO_CLIENT, tls.answer(0x3000)[0][7_000:])
    vpn.attack(0x1000)
    assert column(decode(vpn).heartbeats, "claimed_length") == [0x1000, 0x1000]


def test_joined_late_the_data_channel_alone_shows_nothing(decode: Decode, *, over_tcp: bool) -> None:
    vpn = joined(greeted(over_tcp=over_tcp))
    for length in range(0, 1_400, 100):
        vpn.data(TO_SERVER, length)
        vpn.data(TO_CLIENT, length)
    decoded = decode(vpn)
    check_nothing(decoded)
    assert decoded.drops == {}


# --- sealed by tls-crypt --------------------------------------------------------------------------------------------


def tls_crypt(vpn: Vpn, client_opcode: int = openvpn.RESET_CLIENT) -> Vpn:
    """A handshake under tls-crypt."""
    if vpn.over_tcp:
        vpn.connection.connect()
    first = client_opcode == openvpn.RESET_CLIENT
    replay_id = 1 if first else 0x0F00_0001
    vpn.send(TO_SERVER, sealed_by_tls_crypt(client_opcode, SESSIONS[TO_SERVER], replay_id, 5 if first else 400))
    vpn.send(TO_CLIENT, sealed_by_tls_crypt(openvpn.RESET_SERVER, SESSIONS[TO_CLIENT], 1))
    second = openvpn.CONTROL if first else openvpn.CONTROL_WKC
    vpn.send(TO_SERVER, sealed_by_tls_crypt(second, SESSIONS[TO_SERVER], replay_id + 1, 300))
    for number in range(2, 6):
        vpn.send(TO_CLIENT, sealed_by_tls_crypt(openvpn.CONTROL, SESSIONS[TO_CLIENT], number, 1_100))
        vpn.send(TO_SERVER, sealed_by_tls_crypt(openvpn.ACK, SESSIONS[TO_SERVER], replay_id + number))
    return vpn


@pytest.mark.parametrize("opcode", [openvpn.RESET_CLIENT, openvpn.RESET_CLIENT_V3])
def test_what_tls_crypt_seals_is_counted(decode: Decode, *, over_tcp: bool, opcode: int) -> None:
    decoded = decode(tls_crypt(Vpn(over_tcp=over_tcp), opcode))
    check_nothing(decoded)
    assert decoded.drops == {"openvpn_packets_sealed": 11}


@pytest.mark.parametrize(("way", "packets"), [(TO_SERVER, 6), (TO_CLIENT, 5)])
def test_one_way_too(decode: Decode, way: Direction, packets: int, *, over_tcp: bool) -> None:
    vpn = tls_crypt(Vpn(over_tcp=over_tcp)).lose_way(TO_CLIENT if way == TO_SERVER else TO_SERVER)
    assert decode(vpn).drops == {"openvpn_packets_sealed": packets}


def test_a_renegotiation_that_is_sealed_is_counted(decode: Decode, *, over_tcp: bool) -> None:
    vpn = greeted(over_tcp=over_tcp).finish()
    for way in (TO_SERVER, TO_CLIENT):
        for number, opcode in enumerate((openvpn.SOFT_RESET, openvpn.CONTROL, openvpn.ACK), 1):
            vpn.send(way, sealed_by_tls_crypt(opcode, vpn.session_ids[way], number, 40, key_id=1))
    vpn.say(TO_SERVER, tls.sealed(61))
    decoded = decode(vpn)
    assert column(decoded.heartbeats, "record_length") == [61]
    assert decoded.drops == {"openvpn_packets_sealed": 6}


# --- beside DTLS and TLS --------------------------------------------------------------------------------------------


def test_dtls_does_not_hide_behind_packets_of_openvpn(decode: Decode) -> None:
    vpn = Vpn(session_ids={TO_SERVER: b"\xfe\xfd" + bytes(6), TO_CLIENT: b"\xfe\xfd" + bytes(6)})
    vpn.reset()
    vpn.datagrams.greet()
    vpn.datagrams.beat(TO_SERVER)
    decoded = decode(vpn)
    check(decoded.heartbeats[0], transport=Transport.DTLS, claimed_length=0x4000, midstream=0)


def test_openvpn_does_not_hide_behind_records_of_dtls(decode: Decode) -> None:
    vpn = Vpn()
    vpn.datagrams.greet()
    vpn.datagrams.beat(TO_SERVER)
    decoded = decode(vpn.reset().greet().attack())
    assert column(decoded.heartbeats, "transport") == [Transport.DTLS, Transport.TLS, Transport.TLS]
    assert column(decoded.sessions, "start") == [TlsStart.DIRECT, TlsStart.OPENVPN]


@pytest.mark.parametrize("greeting", [b"", b"\r\n", b"\xff\xff\x30"])
def test_a_client_alone_cannot_make_a_connection_look_like_openvpn(decode: Decode, greeting: bytes) -> None:
    """A mail server answers garbage with an error, and goes on."""
    conversation = connected()
    conversation.server(b"220 mail\r\n")
    conversation.client(framed(Vpn().packet(TO_SERVER, openvpn.RESET_CLIENT, packet_id=0)) + greeting)
    conversation.server(b"500 what?\r\n")
    conversation.client(b"STARTTLS\r\n")
    conversation.server(b"220 go\r\n")
    conversation.say_hello()
    conversation.client(LIE)
    decoded = decode(conversation)
    check(decoded.sessions[0], start=TlsStart.SMTP)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]


def test_what_breaks_off_as_openvpn_may_go_on_as_tls(decode: Decode) -> None:
    vpn = Vpn(over_tcp=True).reset()
    vpn.connection.client(b"\x00\x20STARTTLS\r\n")
    vpn.connection.server(b"\x00\x20220 go\r\n")
    vpn.connection.say_hello()
    vpn.connection.client(LIE)
    decoded = decode(vpn)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert decoded.drops == {"openvpn_packets_malformed": 2}


def test_nor_can_it_within_a_record(decode: Decode) -> None:
    conversation = connected().say_hello()
    packet = framed(Vpn().packet(TO_SERVER, openvpn.RESET_CLIENT, packet_id=0))
    record = tls.record(tls.APPLICATION_DATA, bytes(50) + packet + b"\xff\xff\x30" + bytes(80))
    conversation.client(record, cut=[55])
    conversation.client(LIE)
    assert column(decode(conversation).heartbeats, "claimed_length") == [0x4000]


# --- what only looks like it ----------------------------------------------------------------------------------------


def check_nothing(decoded: Decoded) -> None:
    assert (len(decoded.sessions), len(decoded.heartbeats), len(decoded.early)) == (0, 0, 0)
    for flow in decoded.flows:
        check(flow, transport=0)


def dns(number: int, name: bytes) -> bytes:
    labels = b"".join(tls.vector(1, label) for label in name.split(b".")) + b"\x00"
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 1) + labels + b"\x00\x01\x00\x01\x00\x00\x29" + bytes(8)


@pytest.mark.parametrize("first", [0x08, 0x10, 0x19, 0x20, 0x28, 0x38, 0x40, 0x50, 0x58])
def test_dns_whose_numbers_begin_like_openvpn(decode: Decode, first: int) -> None:
    vpn = Vpn()
    for second in range(256):
        query = dns(first << 8 | second, b"host-%03d.some.department.of.example.org" % second)
        vpn.datagrams.send(TO_SERVER, query)
        vpn.datagrams.send(TO_CLIENT, query[:2] + b"\x81\x80" + query[4:] + bytes(16))
    decoded = decode(vpn)
    check_nothing(decoded)
    assert decoded.drops == {}


def test_other_protocols_of_udp(decode: Decode) -> None:
    vpn, dice = Vpn(), random.Random(7)  # noqa: S311  data, not secrets
    for number in range(300):
        stun = b"\x00\x01\x00\x08\x21\x12\xa4\x42" + dice.randbytes(20)
        rtp = struct.pack(">BBHII", 0x80, 96, number, 160 * number, 7) + dice.randbytes(160)
        wireguard = bytes([1 + number % 4, 0, 0, 0]) + dice.randbytes(148)
        quic = bytes([0x40 | number & 0x3F]) + dice.randbytes(1_200)
        game = struct.pack(">BQBIH", 0x20, 7, 0, number, 40) + dice.randbytes(40)
        for payload in (stun, rtp, wireguard, quic, game):
            vpn.datagrams.send(TO_SERVER if number % 3 else TO_CLIENT, payload)
    decoded = decode(vpn)
    check_nothing(decoded)
    assert decoded.drops == {}


first_bytes = st.sampled_from([0x08, 0x10, 0x19, 0x1F, 0x20, 0x21, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x58])
beginnings = st.builds(
    lambda first, session_id, rest: bytes([first]) + session_id + rest,
    first_bytes,
    st.sampled_from([b"client-1", b"server-1"]),
    st.binary(max_size=90),
)
resets = st.builds(
    lambda opcode, hmac: Vpn(hmac_bytes=hmac).packet(TO_SERVER, opcode, packet_id=0),
    st.sampled_from([openvpn.RESET_CLIENT, openvpn.RESET_SERVER, openvpn.SOFT_RESET]),
    st.sampled_from([0, 16, 20, 64]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    packets=st.lists(st.tuples(st.booleans(), beginnings | beginnings | resets), max_size=12),
    over_tcp=st.booleans(),
    joined_late=st.booleans(),
)
def test_nothing_is_found_in_bytes_that_begin_like_openvpn(
    engine_name: str, packets: list[tuple[bool, bytes]], over_tcp: bool, joined_late: bool
) -> None:
    vpn = Vpn(over_tcp=over_tcp)
    if not joined_late:
        vpn.connection.connect()
    for is_client, packet in packets:
        vpn.send(TO_SERVER if is_client else TO_CLIENT, packet)
    decoded = decode_conversations(engine_name, [vpn])
    check_nothing(decoded)


def test_an_exchange_of_datagrams_that_is_no_tls_inside(decode: Decode) -> None:
    vpn = Vpn().reset()
    for way in (TO_SERVER, TO_CLIENT) * 20:
        vpn.say(way, tls.noise(500, seed=3))
    vpn.say(TO_SERVER, LIE)
    decoded = decode(vpn)
    check_nothing(decoded)


def test_its_own_datagrams_do_not_count_as_foreign_to_dtls(decode: Decode) -> None:
    vpn = Vpn()
    vpn.datagrams.greet()
    vpn.reset().greet()
    vpn.datagrams.send(TO_SERVER, dtls.record(tls.ALERT, b"\x01\x00", 9))
    assert decode(vpn).drops == {}
