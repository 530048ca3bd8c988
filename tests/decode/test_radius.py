"""RADIUS: which packets carry EAP, and which conversation each belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.eap import EAP, EAP_FAST, EAP_PEAP, EAP_TLS, EAP_TTLS
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.radius import Radius as ScapyRadius
from scapy.layers.radius import RadiusAttr_EAP_Message, RadiusAttr_NAS_IP_Address, RadiusAttr_State
from scapy.packet import Packet, Raw

from hbids.config import Limits
from hbids.facts import EndReason, Transport
from tests.capture.build import Frame
from tests.conftest import PCAPS
from tests.support import eap, framing, tls
from tests.support.conversation import START_NS, STEP_NS, TO_CLIENT, TO_SERVER, batch_of
from tests.support.decoding import Decoded, check, column, decode_batches, decode_file
from tests.support.eap import LEAK, Dialogue, Radius, attacked, greeted, in_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.decode.conftest import DecodeEap


def decoded(engine_name: str, frames: Sequence[Frame], limits: Limits | None = None) -> Decoded:
    return decode_batches(engine_name, [batch_of(frames)], limits)


def one(engine_name: str, payload: bytes, *, ports: tuple[int, int] = (50_000, 1_812)) -> Decoded:
    """A datagram alone."""
    data = framing.ETHERNET.wrap(eap.udp(("10.0.0.9", ports[0]), ("10.0.0.2", ports[1]), payload))
    return decoded(engine_name, [Frame(START_NS, data, len(data))])


# --- many on one pair of sockets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("states", ["new", "same"])
@pytest.mark.parametrize("has_caller", [True, False])
def test_conversations_that_go_on_at_once_are_told_apart(engine_name: str, states: str, has_caller: bool) -> None:
    claims = [0x4000, 0x3000, 0x2000, 0x1000]
    dialogues = []
    for number, claimed in enumerate(claims):
        carrier = Radius(
            tag=b"%d" % number, states=states, first_identifier=60 * number, caller=b"%d" % number * has_caller
        )
        dialogues.append(greeted(carrier, piece_bytes=400 + 50 * number))
        dialogues[-1].client(tls.request(claimed))
        dialogues[-1].server(b"".join(tls.answer(claimed)))
    found = decoded(engine_name, in_turn(dialogues))
    assert found.drops == {}
    assert len(found.flows) == len(found.sessions) == len(claims)
    for claimed, flow_id in zip(claims, column(found.flows, "flow_id"), strict=True):
        request, answer = found.heartbeats[found.heartbeats["flow_id"] == flow_id]
        check(request, claimed_length=claimed)
        check(answer, answers_message=request["message_id"], bytes_seen=3 + claimed + 16)


def test_an_access_server_may_go_on_from_another_port(decode_eap: DecodeEap) -> None:
    carrier = Radius()
    dialogue = greeted(carrier)
    carrier.client = ("10.0.0.9", 50_001)
    dialogue.client(tls.request(0x4000))
    dialogue.server(LEAK)
    found = decode_eap(dialogue)
    assert len(found.flows) == 1
    check(found.flows[0], client_port=50_000)
    assert column(found.heartbeats, "answers_message") == [0, 1]


def test_a_request_without_state_begins_a_conversation(decode_eap: DecodeEap) -> None:
    dialogue = attacked()
    assert isinstance(dialogue.carrier, Radius)
    dialogue.carrier.forget()
    dialogue.identify().start().say_hello()
    dialogue.client(tls.request(0x3000))
    found = decode_eap(dialogue)
    assert column(found.heartbeats, "flow_id") == [1, 1, 2]
    assert column(found.sessions, "flow_id") == [1, 2]
    assert found.drops == {}


def test_a_first_request_sent_again_begins_no_second_conversation(decode_eap: DecodeEap) -> None:
    dialogue = Dialogue().identify()
    dialogue.repeat(*dialogue.sent)
    dialogue.start().say_hello()
    found = decode_eap(dialogue)
    assert len(found.flows) == 1
    check(found.flows[0], packets_to_server=3)
    assert found.drops == {"eap_repeated": 1}


def test_without_states_the_caller_tells(decode_eap: DecodeEap) -> None:
    """As where a server's answers were not captured, and their States are not known."""
    first, second = attacked(), attacked(Radius(caller=b"other", tag=b"B", first_identifier=100))
    found = decode_eap(first.lose_way(TO_CLIENT), second.lose_way(TO_CLIENT))
    assert column(found.flows, "transport") == [Transport.TLS] * 2
    assert Counter(column(found.heartbeats, "flow_id")) == {1: 1, 2: 1}


@pytest.mark.parametrize("states", ["new", "same"])
def test_answers_alone(decode_eap: DecodeEap, states: str) -> None:
    dialogue = attacked(Radius(states=states)).lose_way(TO_SERVER)
    dialogue.repeat(dialogue.sent[-1])
    found = decode_eap(dialogue)
    check(found.heartbeats[0], bytes_seen=3 + 0x4000 + 16)
    assert len(found.flows) == 1


def test_both_ways_in_ipv6(decode_eap: DecodeEap) -> None:
    found = decode_eap(attacked(Radius(client=("fd00::9", 50_000), server=("fd00::2", 1_812))))
    assert column(found.heartbeats, "answers_message") == [0, 1]


def test_ports_are_a_setting(engine_name: str) -> None:
    dialogue = attacked(Radius(server=("10.0.0.2", 11_812)))
    assert len(decoded(engine_name, dialogue.frames()).heartbeats) == 0
    found = decoded(engine_name, dialogue.frames(), Limits(radius_ports=(7, 11_812)))
    assert column(found.heartbeats, "claimed_length") == [0x4000, 0x4000]


def test_ip_fragments(engine_name: str) -> None:
    frames = []
    for number, frame in enumerate(attacked(piece_bytes=3_000).frames()):
        header, datagram = frame.data[14:34], frame.data[34:]
        for at in range(0, len(datagram), 1_480):
            more = 0x2000 if at + 1_480 < len(datagram) else 0
            source, target = (".".join(map(str, header[begin : begin + 4])) for begin in (12, 16))
            piece = framing.ipv4(
                source, target, 64, datagram[at : at + 1_480], fragment=more | at // 8, protocol=eap.PROTOCOL_UDP
            )
            piece = piece[:4] + number.to_bytes(2, "big") + piece[6:]
            data = framing.ETHERNET.wrap(piece)
            frames.append(Frame(frame.time_ns, data, len(data)))
    found = decoded(engine_name, frames)
    assert column(found.heartbeats, "bytes_seen") == [3, 3 + 0x4000 + 16]
    assert found.counters["packets_reassembled"] > 0


@pytest.mark.parametrize("kept", [150, 400, 900])
def test_packets_cut_by_a_snap_length(decode_eap: DecodeEap, kept: int) -> None:
    dialogue = greeted()
    dialogue.client(tls.request(0x4000))
    for sent in dialogue.server(LEAK):
        dialogue.cut(sent, kept)
    request, answer = decode_eap(dialogue).heartbeats
    check(request, claimed_length=0x4000)
    check(answer, answers_message=1, gap=1, record_length=0x4000, claimed_length=0x4000)
    assert 0 < answer["bytes_seen"] < 0x4000


def test_states_without_end_are_forgotten_and_counted(engine_name: str) -> None:
    frames = []
    for number in range(3_000):
        carrier = Radius(tag=b"%d" % number, caller=b"%d" % number, first_identifier=number)
        dialogue = Dialogue(carrier, now_ns=START_NS + number * STEP_NS).identify().start()
        frames += dialogue.frames()
    limits = Limits(eap_clues=100, flows=50)
    found = decoded(engine_name, frames, limits)
    assert found.counters["eap_clues_evicted"] == 3_000 * 4 - 100
    assert found.counters["flows_evicted"] >= 3_000 - 50


def test_clues_are_forgotten_in_time(engine_name: str) -> None:
    dialogue = greeted(Radius(caller=b""))
    late = greeted(Radius(caller=b""))
    for frames in (dialogue, late):
        del frames.sent[3:]
    moved = [frame._replace(time_ns=frame.time_ns + 61 * 10**9) for frame in late.frames()]
    found = decoded(engine_name, [*dialogue.frames(), *moved])
    assert len(found.flows) == 2


def test_conversations_of_real_programs(engine_name: str) -> None:
    found = decode_file(engine_name, PCAPS / "benign_eap_radius.pcap")
    assert column(found.flows, "end_reason") == [EndReason.FIN] * 3
    assert len(set(column(found.sessions, "flow_id"))) == 3
    for name in ("records_to_server", "records_to_client"):
        assert all(records[0] == 1 for records in column(found.flows, name)), "each side changed its cipher once"
    assert found.drops == {}


# --- what is not RADIUS with EAP --------------------------------------------------------------------------------------

HELLO = eap.eap(eap.RESPONSE, 1, eap.EAP_TLS, eap.piece(tls.client_hello() + tls.request(0x4000) + tls.request(7)))
IDENTITY = eap.eap(eap.RESPONSE, 1, eap.IDENTITY, b"anonymous")


def access_request(attributes: bytes, *, code: int = eap.ACCESS_REQUEST, length: int | None = None) -> bytes:
    return eap.radius(code, 1, bytes(16), attributes, length=length)


NO_EAP: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(300),
    "TLS": tls.client_hello() + tls.request(0x4000),
    "a header alone": access_request(b""),
    "a password": access_request(eap.attribute(1, b"user") + eap.attribute(2, bytes(16))),
    "accounting": access_request(eap.eap_message(HELLO), code=4),
    "a length of none": access_request(eap.attribute(1, b"user") + b"\x4f\x00" + eap.eap_message(HELLO)),
    "a length of one": access_request(eap.attribute(1, b"user") + b"\x4f\x01" + eap.eap_message(HELLO)),
    "an attribute beyond the end": access_request(eap.eap_message(HELLO) + b"\x12\x09hello"),
    "half an attribute": access_request(eap.eap_message(HELLO) + b"\x12"),
    "longer than it says": access_request(eap.eap_message(HELLO), length=19 + len(eap.eap_message(HELLO))),
    "shorter than it says": access_request(eap.eap_message(HELLO), length=4096),
    "an empty message": access_request(eap.attribute(eap.EAP_MESSAGE, b"")),
    "a message without a method": access_request(eap.eap_message(eap.eap(eap.RESPONSE, 1, length=4)[:4])),
    "a message longer than it is": access_request(eap.eap_message(eap.eap(eap.RESPONSE, 1, 13, b"\0" * 9, length=99))),
    "a message shorter than its header": access_request(eap.eap_message(eap.eap(eap.RESPONSE, 1, 13, length=3))),
    "a request from the wrong side": access_request(eap.eap_message(eap.eap(eap.REQUEST, 1, 13, b"\0"))),
    "an unknown code": access_request(eap.eap_message(b"\x09" + HELLO[1:])),
    "a length that is not there": access_request(eap.eap_message(eap.eap(eap.RESPONSE, 1, 13, b"\x80\0\0"))),
}


@pytest.mark.parametrize("what", NO_EAP)
def test_anything_else_is_a_datagram(engine_name: str, what: str) -> None:
    found = one(engine_name, NO_EAP[what])
    assert len(found.heartbeats) == len(found.sessions) == 0
    check(found.flows[0], protocol=17, transport=0, packets_to_server=1, records_to_server=[0] * 5)
    assert found.drops == {}


@pytest.mark.parametrize("port", [1_812, 1_645])
@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT], ids=["to the server", "to the client"])
def test_the_same_packet_in_order_is_taken(engine_name: str, port: int, way: int) -> None:
    packet = access_request(eap.eap_message(HELLO))
    found = one(engine_name, packet, ports=(50_000, port) if way == TO_SERVER else (port, 50_000))
    assert column(found.heartbeats, "claimed_length") == [0x4000, 7]


def test_passwords_beside_eap_have_a_flow_of_their_own(engine_name: str) -> None:
    dialogue = attacked()
    data = framing.ETHERNET.wrap(eap.udp(("10.0.0.9", 50_000), ("10.0.0.2", 1_812), NO_EAP["a password"]))
    found = decoded(engine_name, [Frame(START_NS, data, len(data)), *dialogue.frames()])
    assert column(found.flows, "transport") == [0, Transport.TLS]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_on_the_port_are_too_strange(engine_name: str, data: bytes, is_wrapped: bool) -> None:
    packet = access_request(data) if is_wrapped else data
    found = one(engine_name, packet)
    assert len(found.flows) == 1
    assert len(found.heartbeats) == 0


# --- another's packets ------------------------------------------------------------------------------------------------

SCAPY_METHODS: dict[str, tuple[Callable[..., Packet], str]] = {
    "EAP-TLS": (EAP_TLS, "tls_data"),
    "EAP-TTLS": (EAP_TTLS, "data"),
    "PEAP": (EAP_PEAP, "tls_data"),
    "EAP-FAST": (EAP_FAST, "data"),
}
SCAPY_ATTRIBUTES: tuple[Callable[..., Packet], ...] = (
    RadiusAttr_NAS_IP_Address,
    RadiusAttr_State,
    RadiusAttr_EAP_Message,
)


@pytest.mark.parametrize("method", SCAPY_METHODS)
def test_packets_built_by_scapy(engine_name: str, method: str) -> None:
    build, data = SCAPY_METHODS[method]
    server, state, eap_message = SCAPY_ATTRIBUTES
    script = [
        EAP(code=2, id=1, type=1, identity=b"user"),
        build(code=1, id=2, S=1, **{data: b""}),
        build(code=2, id=2, **{data: tls.client_hello()}),
        build(code=1, id=3, **{data: tls.server_hello()}),
        build(code=2, id=3, **{data: tls.request(900)}),
        build(code=1, id=4, **{data: b"".join(tls.answer(900))}),
    ]
    frames = []
    for number, message in enumerate(script):
        raw = bytes(message)
        raw = raw[:2] + len(raw).to_bytes(2, "big") + raw[4:]
        attributes = [server(value="10.0.0.9"), state(value=b"state")]
        attributes += [eap_message(value=Raw(raw[at : at + 253])) for at in range(0, len(raw), 253)]
        ends, ports, code = ["10.0.0.9", "10.0.0.2"], [50_000, 1_812], 1
        if raw[0] == eap.REQUEST:
            ends, ports, code = ends[::-1], ports[::-1], 11
        packet = bytes(
            Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            / IP(src=ends[0], dst=ends[1])
            / UDP(sport=ports[0], dport=ports[1])
            / ScapyRadius(code=code, id=number // 2, authenticator=bytes(16), attributes=attributes)
        )
        frames.append(Frame(START_NS + number * STEP_NS, packet, len(packet)))
    found = decoded(engine_name, frames)
    assert column(found.heartbeats, "answers_message") == [0, 1]
    check(found.heartbeats[1], bytes_seen=919, midstream=0)
    assert found.drops == {}
