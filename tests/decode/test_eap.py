"""TLS in EAP: conversations as flows, pieces as streams, what is repeated, lost, asked again or only pretended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.config import Limits
from hbids.decode.engine import native_available
from hbids.facts import (
    PROTOCOL_EAPOL,
    Direction,
    EndReason,
    Kind,
    Phase,
    Protection,
    TlsStart,
    Transport,
)
from tests.conftest import missing
from tests.support import eap, tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER, batch_of
from tests.support.decoding import check, column, decode_batches, differences, shown
from tests.support.eap import LEAK, Dialogue, Eapol, Radius, attacked, frames_of, greeted, sealing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capture.build import Frame
    from tests.decode.conftest import DecodeEap

    Carriers = Callable[[], Radius | Eapol]

EAP_COUNTERS = {"eap_clues_evicted", "eap_malformed", "eap_repeated", "eap_unasked"}
"""Each has a test here, or in test_radius.py or test_eapol.py."""

CARRIERS: dict[str, Callable[[], Radius | Eapol]] = {"RADIUS": Radius, "EAPOL": Eapol}
either = pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)


# --- conversations ----------------------------------------------------------------------------------------------------


@either
@pytest.mark.parametrize("method", eap.METHODS.values(), ids=eap.METHODS)
def test_a_leak_in_the_handshake(decode_eap: DecodeEap, carrier: Carriers, method: int) -> None:
    decoded = decode_eap(attacked(carrier(), method=method))
    request, answer = decoded.heartbeats
    check(
        request,
        transport=Transport.TLS,
        direction=Direction.TO_SERVER,
        protection=Protection.CLEAR,
        kind=Kind.REQUEST,
        phase=Phase.HANDSHAKE,
        midstream=0,
        claimed_length=0x4000,
        record_length=3,
        cipher_suite=tls.AES_GCM,
    )
    check(answer, answers_message=1, kind=Kind.RESPONSE, records=2, bytes_seen=3 + 0x4000 + 16, gap=0)
    check(decoded.sessions[0], start=TlsStart.EAP, transport=Transport.TLS, midstream=0, heartbeat_accepted=1)
    assert len(decoded.flows) == len(decoded.sessions) == 1
    assert decoded.drops == {}


def test_the_flow_of_radius_is_named_by_its_servers(decode_eap: DecodeEap) -> None:
    dialogue = attacked().succeed()
    decoded = decode_eap(dialogue)
    named = {
        "client_addr": [0] * 10 + [255, 255, 10, 0, 0, 9],
        "server_addr": [0] * 10 + [255, 255, 10, 0, 0, 2],
        "client_port": 50_000,
        "server_port": 1_812,
        "protocol": 17,
    }
    to_server = sum(sent.way == TO_SERVER for sent in dialogue.sent)
    for row in (decoded.flows[0], decoded.sessions[0], *decoded.heartbeats):
        check(row, **named)
    check(
        decoded.flows[0],
        transport=Transport.TLS,
        midstream=0,
        end_reason=EndReason.FIN,
        packets_to_server=to_server,
        packets_to_client=len(dialogue.sent) - to_server,
        records_to_server=[0, 0, 1, 0, 1],
        records_to_client=[0, 0, 2, 0, 2],
        heartbeats_to_server=1,
        min_ttl_to_server=64,
        gaps_to_client=0,
    )


def test_the_flow_of_eapol_is_named_by_addresses_made_of_those_of_the_network(decode_eap: DecodeEap) -> None:
    decoded = decode_eap(attacked(Eapol()))
    for row in (decoded.flows[0], decoded.sessions[0], *decoded.heartbeats):
        check(
            row,
            client_addr=[0xFE, 0x80, *[0] * 9, 0xFF, 0xFE, 0, 0, 0x0A],
            server_addr=[0xFE, 0x80, *[0] * 9, 0xFF, 0xFE, 0, 0, 0x0B],
            client_port=0,
            server_port=0,
            protocol=PROTOCOL_EAPOL,
        )
    check(decoded.flows[0], min_ttl_to_server=-1, max_ttl_to_server=-1, min_ttl_to_client=-1, max_ttl_to_client=-1)


@either
def test_sealed_heartbeats(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = sealing(carrier())
    dialogue.client(tls.sealed(27))
    dialogue.server(tls.sealed(16_408, 43))
    decoded = decode_eap(dialogue)
    request, answer = decoded.heartbeats
    check(request, protection=Protection.SEALED, phase=Phase.AFTER, record_length=27, kind=Kind.REQUEST)
    check(answer, protection=Protection.SEALED, answers_message=1, records=2, bytes_seen=16_451)
    assert decoded.drops == {}


@either
def test_a_server_that_asks_its_client(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = greeted(carrier())
    dialogue.server(tls.request(0x4000))
    dialogue.client(LEAK)
    request, answer = decode_eap(dialogue).heartbeats
    check(request, direction=Direction.TO_CLIENT, kind=Kind.REQUEST, claimed_length=0x4000)
    check(answer, direction=Direction.TO_SERVER, answers_message=1, bytes_seen=3 + 0x4000 + 16)


@either
def test_heartbeats_before_the_server_hello(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = Dialogue(carrier()).identify().start()
    dialogue.client(tls.client_hello() + tls.request(0x4000))
    decoded = decode_eap(dialogue)
    check(decoded.heartbeats[0], phase=Phase.BEFORE_SERVER_HELLO, midstream=0)
    check(decoded.sessions[0], start=TlsStart.EAP)


def test_another_method_is_refused_first(decode_eap: DecodeEap) -> None:
    dialogue = Dialogue(Radius(), eap.PEAP).identify().start()
    dialogue.answer(eap.NAK, bytes([eap.EAP_TLS]))
    dialogue.method = eap.EAP_TLS
    dialogue.start().say_hello()
    dialogue.client(tls.request(0x4000))
    decoded = decode_eap(dialogue)
    check(decoded.heartbeats[0], midstream=0, phase=Phase.HANDSHAKE)
    assert decoded.drops == {}


def test_methods_without_tls_are_flows_without_tls(decode_eap: DecodeEap) -> None:
    dialogue = Dialogue().identify()
    dialogue.ask(eap.MD5, bytes([16]) + tls.request(0x4000) * 2)
    dialogue.answer(eap.MD5, bytes([16]) + tls.request(0x4000) * 2)
    dialogue.succeed(eap.FAILURE)
    decoded = decode_eap(dialogue)
    assert len(decoded.heartbeats) == 0
    check(decoded.flows[0], transport=0, end_reason=EndReason.FIN, records_to_server=[0] * 5)


def test_what_was_said_at_the_end_is_not_the_end_if_it_goes_on(decode_eap: DecodeEap) -> None:
    dialogue = greeted(Eapol())
    dialogue.send(eap.eap(eap.SUCCESS, dialogue.identifier))
    dialogue.turn = TO_SERVER
    dialogue.client(tls.request(0x4000))
    dialogue.wait(100).server(LEAK)
    decoded = decode_eap(dialogue)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    check(decoded.flows[0], end_reason=EndReason.CAPTURE_END)


def test_a_conversation_that_is_over_is_soon_forgotten(decode_eap: DecodeEap) -> None:
    first, later = attacked().succeed(), attacked(Radius(client=("10.0.0.8", 1)))
    for sent in later.sent:
        sent.frame = sent.frame._replace(time_ns=sent.frame.time_ns + 40 * SECOND_NS)
    decoded = decode_eap(first, later)
    assert column(decoded.flows, "end_reason") == [EndReason.FIN, EndReason.CAPTURE_END]


# --- pieces -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(CARRIERS)),
    st.sampled_from(sorted(eap.METHODS.values())),
    st.integers(1, 1_400),
    st.integers(20, 1_400),
)
def test_however_records_are_cut_the_facts_are_the_same(
    engine_name: str, carrier: str, method: int, client_bytes: int, server_bytes: int
) -> None:
    def facts(piece_bytes: tuple[int, int]) -> list[Any]:
        dialogue = Dialogue(CARRIERS[carrier](), method).identify().start()
        for way, data in SCRIPT:
            dialogue.say(way, data, piece_bytes=piece_bytes[way == TO_CLIENT])
        decoded = decode_batches(engine_name, [batch_of(frames_of(dialogue))])
        assert decoded.drops == {}
        timeless = [name for name in decoded.heartbeats.dtype.names or () if name not in BY_PACKET]
        return [
            *(shown(row, timeless) for row in decoded.heartbeats),
            column(decoded.sessions, "ja4"),
            len(decoded.flows),
        ]

    assert facts((client_bytes, server_bytes)) == facts((60_000, 60_000))


SCRIPT = [
    (TO_SERVER, tls.client_hello()),
    (TO_CLIENT, tls.server_hello() + tls.certificate()),
    (TO_SERVER, tls.request(700)),
    (TO_CLIENT, b"".join(tls.answer(700))),
    (TO_SERVER, tls.ccs() + tls.finished()),
    (TO_CLIENT, tls.ccs() + tls.finished() + tls.application_data(300)),
    (TO_SERVER, tls.sealed(27) + tls.application_data()),
    (TO_CLIENT, tls.sealed(900)),
]
BY_PACKET = {
    "time_ns",
    "end_time_ns",
    "packet_number",
    "flow_start_ns",
    *(f"{what}_to_{whom}" for what in ("packets", "bytes") for whom in ("server", "client")),
}


@pytest.mark.parametrize("flags", range(0, 0x100, 0x20))
@pytest.mark.parametrize("claimed", [0, 1, 0xFFFF_FFFF])
def test_no_flag_of_a_client_and_no_length_hides_anything(decode_eap: DecodeEap, flags: int, claimed: int) -> None:
    dialogue = greeted()
    dialogue.answer(eap.EAP_TLS, eap.piece(tls.request(0x4000), flags, message_bytes=claimed))
    check(decode_eap(dialogue).heartbeats[0], claimed_length=0x4000)


def test_pieces_without_end_are_not_collected(decode_eap: DecodeEap) -> None:
    dialogue = greeted()
    endless = eap.HAS_MORE | eap.HAS_LENGTH
    for _ in range(300):
        dialogue.answer(eap.EAP_TLS, eap.piece(tls.request(7), endless, message_bytes=0xFFFF_FFFF))
        dialogue.ask(eap.EAP_TLS, eap.piece(b""))
    decoded = decode_eap(dialogue)
    assert len(decoded.heartbeats) == 300
    assert set(decoded.drops) == {"pending_requests_dropped"}


def test_a_start_carries_no_tls(decode_eap: DecodeEap) -> None:
    """Supplicants do not read it either, so that it can only be meant for somebody else."""
    dialogue = greeted()
    dialogue.answer(eap.EAP_TLS, eap.piece(b""))
    dialogue.ask(eap.EAP_TLS, eap.piece(bytes([0x18, 3, 3, 0x40, 0]), eap.IS_START))
    dialogue.client(tls.request(0x4000))
    dialogue.server(LEAK)
    decoded = decode_eap(dialogue)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {}


@pytest.mark.parametrize("outer", [b"", b"\x00\x04\x00\x04who?" * 9])
def test_tlvs_of_teap_are_no_tls(decode_eap: DecodeEap, outer: bytes) -> None:
    dialogue = Dialogue(method=eap.TEAP).identify().start()
    hello, lengths = tls.client_hello(), len(outer).to_bytes(4, "big")
    flags = eap.HAS_OUTER_TLVS | eap.HAS_LENGTH | 1
    framed = bytes([flags]) + len(hello).to_bytes(4, "big") + lengths + hello + outer
    dialogue.answer(eap.TEAP, framed)
    dialogue.server(tls.server_hello())
    dialogue.client(tls.request(0x4000))
    decoded = decode_eap(dialogue)
    check(decoded.heartbeats[0], claimed_length=0x4000, midstream=0)
    assert decoded.drops == {}


def test_tlvs_longer_than_their_packet_hide_nothing(decode_eap: DecodeEap) -> None:
    dialogue = greeted(method=eap.TEAP)
    framed = bytes([eap.HAS_OUTER_TLVS | 1]) + b"\x00\x00\x00\x09" + tls.request(0x4000)
    dialogue.answer(eap.TEAP, framed)
    check(decode_eap(dialogue).heartbeats[0], claimed_length=0x4000)


# --- again ------------------------------------------------------------------------------------------------------------


@either
def test_what_is_sent_again_counts_once(decode_eap: DecodeEap, carrier: Carriers) -> None:
    plain, twice = attacked(carrier()), attacked(carrier())
    twice.sent = [again for sent in twice.sent for again in (sent, sent)]
    decoded, repeated = decode_eap(plain), decode_eap(twice)
    assert repeated.drops == {"eap_repeated": len(plain.sent)}
    assert column(repeated.heartbeats, "bytes_seen") == column(decoded.heartbeats, "bytes_seen")
    assert len(repeated.flows) == len(repeated.sessions) == 1
    assert column(repeated.flows, "packets_to_server") == [2 * decoded.flows["packets_to_server"][0]]


def test_a_request_with_an_old_identifier_and_new_content_is_new(decode_eap: DecodeEap) -> None:
    """As wpa_supplicant has it: some authenticators count like that."""
    dialogue = greeted()
    dialogue.answer(eap.EAP_TLS, eap.piece(b""))
    for _ in range(3):
        dialogue.send(eap.eap(eap.REQUEST, dialogue.identifier, eap.EAP_TLS, eap.piece(tls.request(0x4000 + _))))
        dialogue.answer(eap.EAP_TLS, eap.piece(b""))
    decoded = decode_eap(dialogue)
    assert len(decoded.heartbeats) == 3
    assert decoded.drops == {}


@pytest.mark.parametrize("identifiers", [range(200, 100, -1), range(7, 7000, 150)], ids=["backwards", "far ahead"])
def test_identifiers_may_be_any_others(decode_eap: DecodeEap, identifiers: range) -> None:
    dialogue = greeted()
    dialogue.answer(eap.EAP_TLS, eap.piece(b""))
    for identifier in identifiers[:20]:
        dialogue.send(eap.eap(eap.REQUEST, identifier, eap.EAP_TLS, eap.piece(tls.request(0x4000))))
        dialogue.send(eap.eap(eap.RESPONSE, identifier, eap.EAP_TLS, eap.piece(b"")))
    decoded = decode_eap(dialogue)
    assert len(decoded.heartbeats) == 20


@either
def test_a_response_that_nobody_asked_for_is_passed_over(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = greeted(carrier())
    decoy = eap.piece(bytes([0x17, 3, 3, 0x40, 0]))
    for identifier in (dialogue.identifier + 1, dialogue.identifier - 1):
        dialogue.send(eap.eap(eap.RESPONSE, identifier, eap.EAP_TLS, decoy))
    dialogue.turn = TO_SERVER
    dialogue.client(tls.request(0x4000))
    dialogue.send(eap.eap(eap.RESPONSE, dialogue.identifier, eap.EAP_TLS, decoy))
    dialogue.server(LEAK)
    decoded = decode_eap(dialogue)
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert decoded.drops == {"eap_unasked": 2, "eap_repeated": 1}


# --- lost -------------------------------------------------------------------------------------------------------------


@either
def test_a_lost_piece_of_an_answer_is_a_hole_in_it(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = greeted(carrier())
    dialogue.client(tls.request(0x4000))
    pieces = dialogue.server(LEAK)
    dialogue.lose(pieces[4], pieces[5])
    decoded = decode_eap(dialogue)
    check(decoded.heartbeats[1], answers_message=1, gap=1, bytes_seen=3 + 0x4000 + 16 - 2_000, records=2)
    check(decoded.flows[0], gaps_to_client=1, gap_bytes_to_client=2_000)
    # Their acknowledgements answer nothing that was captured, and are missed then.
    assert decoded.drops == {"stream_gaps": 2, "eap_unasked": 2}


@either
def test_after_any_lost_packet_the_attack_is_seen(decode_eap: DecodeEap, carrier: Carriers) -> None:
    whole = attacked(carrier())
    asked = next(at for at, sent in enumerate(whole.sent) if tls.request(0x4000) in sent.packet)
    for lost in range(asked - 1):
        dialogue = attacked(carrier())
        dialogue.lose(dialogue.sent[lost])
        decoded = decode_eap(dialogue)
        assert 0x4000 in column(decoded.heartbeats, "claimed_length"), lost
        assert 1 in column(decoded.heartbeats, "answers_message"), lost


@either
@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT], ids=["server only", "client only"])
def test_one_side_alone(decode_eap: DecodeEap, carrier: Carriers, way: Direction) -> None:
    decoded = decode_eap(attacked(carrier()).lose_way(way))
    (heartbeat,) = decoded.heartbeats
    check(heartbeat, claimed_length=0x4000, direction=TO_CLIENT if way == TO_SERVER else TO_SERVER)
    tls_flows = decoded.flows[decoded.flows["transport"] == Transport.TLS]
    assert len(tls_flows) == 1
    assert column(tls_flows, "midstream") == [0]
    assert decoded.drops == {}


UNICAST = pytest.mark.parametrize("carrier", [Radius, lambda: Eapol(groups=())], ids=CARRIERS)


@UNICAST
def test_joined_in_the_middle(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = greeted(carrier())
    del dialogue.sent[:]
    dialogue.client(tls.request(0x4000))
    dialogue.server(LEAK)
    decoded = decode_eap(dialogue)
    request, answer = decoded.heartbeats
    check(request, midstream=1, phase=Phase.UNKNOWN, protection=Protection.CLEAR, claimed_length=0x4000)
    check(answer, midstream=1, answers_message=request["message_id"])
    check(decoded.flows[0], midstream=1, transport=Transport.TLS)


@UNICAST
def test_joined_behind_the_start(decode_eap: DecodeEap, carrier: Carriers) -> None:
    dialogue = attacked(carrier())
    hello = next(at for at, sent in enumerate(dialogue.sent) if tls.client_hello()[:40] in sent.packet)
    del dialogue.sent[:hello]
    decoded = decode_eap(dialogue)
    check(decoded.heartbeats[0], midstream=0, phase=Phase.HANDSHAKE)
    check(decoded.sessions[0], midstream=0, start=TlsStart.EAP)


# --- anew -------------------------------------------------------------------------------------------------------------


def test_a_supplicant_that_begins_anew_has_another_session(decode_eap: DecodeEap) -> None:
    dialogue = attacked(Eapol()).succeed()
    dialogue.turn = TO_CLIENT
    dialogue.ask(eap.IDENTITY)
    dialogue.answer(eap.IDENTITY, b"anonymous")
    dialogue.start().say_hello()
    dialogue.client(tls.request(0x3000))
    decoded = decode_eap(dialogue)
    assert column(decoded.flows, "end_reason") == [EndReason.FIN, EndReason.CAPTURE_END]
    assert column(decoded.flows, "midstream") == [0, 0]
    assert column(decoded.sessions, "flow_id") == [1, 2]
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x4000, 0x3000]
    check(decoded.heartbeats[2], phase=Phase.HANDSHAKE, midstream=0, flow_id=2)


def test_who_only_says_that_it_begins_anew_hides_nothing(decode_eap: DecodeEap) -> None:
    """A rogue server may send a start where its victim expects none: wpa_supplicant goes on."""
    dialogue = greeted(Eapol())
    dialogue.answer(eap.EAP_TLS, eap.piece(b""))
    dialogue.ask(eap.IDENTITY)
    dialogue.answer(eap.IDENTITY, b"anonymous")
    dialogue.start()
    dialogue.answer(eap.EAP_TLS, eap.piece(b""))
    dialogue.server(tls.request(0x4000))
    dialogue.client(LEAK)
    decoded = decode_eap(dialogue)
    assert len(decoded.flows) == 1
    assert column(decoded.heartbeats, "answers_message") == [0, 1]
    assert column(decoded.heartbeats, "midstream") == [0, 0]


# --- bent -------------------------------------------------------------------------------------------------------------

BENDABLE: list[Callable[[], list[Frame]]] = [
    lambda: attacked(piece_bytes=700).succeed().frames(),
    lambda: attacked(Eapol(groups=(eap.REQUEST, eap.RESPONSE)), method=eap.TEAP).frames(),
    lambda: attacked(Eapol(tags=((0x8100, 5),)), method=eap.PEAP, piece_bytes=300).frames()[:60],
    lambda: eap.in_turn([attacked(Radius(caller=bytes([48 + n]), tag=b"%d" % n, states=s), piece_bytes=1_400)
                         for n, s in enumerate(("new", "same", "new"))]),
    lambda: [*attacked(Eapol()).succeed().frames(), *attacked(Eapol()).frames()],
]  # fmt: skip
TIGHT = [Limits(), Limits(eap_clues=1), Limits(eap_clues=5), Limits(eap_clue_timeout_ns=5_000_000), Limits(flows=1)]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_bent_conversations_are_the_same_to_both_engines(data: st.DataObject) -> None:
    if not native_available():
        missing("the native engine")
    frames = data.draw(st.sampled_from(BENDABLE))()
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(frames) - 1))
        frame = frames[at]
        match data.draw(st.sampled_from(["lose", "repeat", "swap", "flip", "cut", "retime"])):
            case "lose" if len(frames) > 1:
                del frames[at]
            case "repeat":
                frames.insert(data.draw(st.integers(0, len(frames))), frame)
            case "swap":
                other = data.draw(st.integers(0, len(frames) - 1))
                frames[at], frames[other] = frames[other], frame
            case "flip":
                bent = bytearray(frame.data)
                bent[data.draw(st.integers(0, min(len(bent), 160) - 1))] ^= 1 << data.draw(st.integers(0, 7))
                frames[at] = frame._replace(data=bytes(bent))
            case "cut":
                kept = data.draw(st.integers(1, len(frame.data)))
                wire_bytes = data.draw(st.sampled_from([kept, frame.wire_bytes]))
                frames[at] = frame._replace(data=frame.data[:kept], wire_bytes=wire_bytes)
            case "retime":
                frames[at] = frame._replace(time_ns=frame.time_ns + data.draw(st.integers(-(10**11), 10**11)))
    limits = data.draw(st.sampled_from(TIGHT))
    native, reference = (decode_batches(name, [batch_of(frames)], limits) for name in ("native", "reference"))
    for table in ("heartbeats", "early", "sessions", "flows"):
        assert differences(getattr(native, table), getattr(reference, table)) == [], table
    assert native.counters == reference.counters
