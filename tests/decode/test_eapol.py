"""EAPOL: where it is found, and who speaks with whom."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from scapy.contrib.mpls import EoMCW
from scapy.layers.eap import EAP_TLS, EAPOL
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from hbids.facts import PROTOCOL_EAPOL, Transport
from tests.capture.build import Frame
from tests.support import eap, tls
from tests.support.conversation import START_NS, STEP_NS, TO_CLIENT, TO_SERVER, batch_of
from tests.support.decoding import Decoded, check, column, decode_batches
from tests.support.eap import LEAK, Dialogue, Eapol, attacked, greeted, in_turn
from tests.support.tunnels import ETHER, OUTER, labels, over, udp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.decode.conftest import DecodeEap

CLIENT, SERVER, GROUP = (
    [0xFE, 0x80, *[0] * 6, *bytes.fromhex(text)]
    for text in ("000000fffe00000a", "000000fffe00000b", "0380c2fffe000003")
)
BOTH = (eap.REQUEST, eap.RESPONSE)


def decoded(engine_name: str, frames: Sequence[Frame]) -> Decoded:
    return decode_batches(engine_name, [batch_of(frames)])


def rewrapped(frames: Sequence[Frame], wrap: Callable[[bytes], bytes], link_type: int = 1) -> list[Frame]:
    """What the frames look like elsewhere."""
    wrapped = [(frame, wrap(frame.data)) for frame in frames]
    return [frame._replace(data=data, wire_bytes=len(data), link_type=link_type) for frame, data in wrapped]


# --- where it is found ------------------------------------------------------------------------------------------------

ETHERTYPE = eap.ETHERTYPE_EAPOL.to_bytes(2, "big")
WRAPS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "a VLAN": (1, lambda data: data[:12] + b"\x81\x00\x00\x05" + data[12:]),
    "two VLANs": (1, lambda data: data[:12] + b"\x88\xa8\x00\x07\x81\x00\x00\x05" + data[12:]),
    "VXLAN": (1, over(ETHER, *udp(4789, VXLAN(vni=1)))),
    "GRE": (1, over(ETHER, OUTER, GRE(proto=0x6558))),
    "ERSPAN": (1, over(ETHER, OUTER, GRE(proto=0x88BE))),
    "a pseudowire": (1, over(*labels(), EoMCW())),
    "a pseudowire without control word": (1, over(*labels())),
}


@pytest.mark.parametrize("where", WRAPS)
def test_wherever_ethernet_is(engine_name: str, where: str) -> None:
    link_type, wrap = WRAPS[where]
    plain = decoded(engine_name, attacked(Eapol()).frames())
    found = decoded(engine_name, rewrapped(attacked(Eapol()).frames(), wrap, link_type))
    assert found.drops == {}
    for name in ("claimed_length", "bytes_seen", "client_addr", "server_addr", "answers_message"):
        assert column(found.heartbeats, name) == column(plain.heartbeats, name)


def sll(data: bytes) -> bytes:
    return struct.pack(">HHH", 0, 1, 6) + data[6:12] + bytes(2) + data[12:]


def sll2(data: bytes) -> bytes:
    return ETHERTYPE + struct.pack(">HIHBB", 0, 7, 1, 0, 6) + data[6:12] + bytes(2) + data[14:]


@pytest.mark.parametrize(("link_type", "wrap"), [(113, sll), (276, sll2)], ids=["Linux cooked", "version 2"])
def test_linux_cooked_frames_tell_the_sender_only(
    engine_name: str, link_type: int, wrap: Callable[[bytes], bytes]
) -> None:
    found = decoded(engine_name, rewrapped(attacked(Eapol()).frames(), wrap, link_type))
    assert column(found.heartbeats, "answers_message") == [0, 1]
    check(found.heartbeats[0], client_addr=CLIENT, server_addr=SERVER, midstream=0)


def test_packets_built_by_scapy(engine_name: str) -> None:
    script = [
        EAP_TLS(code=1, id=1, S=1, tls_data=b""),
        EAP_TLS(code=2, id=1, tls_data=tls.client_hello()),
        EAP_TLS(code=1, id=2, tls_data=tls.server_hello()),
        EAP_TLS(code=2, id=2, tls_data=tls.request(900)),
        EAP_TLS(code=1, id=3, L=1, tls_message_len=919 + 5, tls_data=b"".join(tls.answer(900))),
    ]
    frames = []
    for number, message in enumerate(script):
        raw = bytes(message)
        raw = raw[:2] + len(raw).to_bytes(2, "big") + raw[4:]
        source = "02:00:00:00:00:0a" if raw[0] == eap.RESPONSE else "02:00:00:00:00:0b"
        header = Ether(src=source, dst=eap.GROUP) / Dot1Q(vlan=9) / EAPOL(version=1, type=0, len=len(raw))
        data = bytes(header / Raw(raw))
        frames.append(Frame(START_NS + number * STEP_NS, data, len(data)))
    found = decoded(engine_name, frames)
    check(found.heartbeats[1], answers_message=1, bytes_seen=919, vlan=[9, 0xFFFF, 0xFFFF], midstream=0)


# --- who speaks with whom ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [(), BOTH[:1], BOTH[1:], BOTH], ids=["none", "server", "client", "both"])
def test_whoever_uses_the_group_address(decode_eap: DecodeEap, groups: tuple[int, ...]) -> None:
    found = decode_eap(attacked(Eapol(groups=groups)))
    assert column(found.heartbeats, "answers_message") == [0, 1]
    for row in found.heartbeats:
        check(row, client_addr=CLIENT, server_addr=SERVER, midstream=0)
    assert len(found.sessions) == 1


@pytest.mark.parametrize("groups", [(), (eap.RESPONSE,)], ids=["none", "clients"])
def test_many_supplicants_of_one_authenticator(engine_name: str, groups: tuple[int, ...]) -> None:
    dialogues = [attacked(Eapol(client=f"02:00:00:00:01:0{n}", groups=groups)) for n in range(5)]
    found = decoded(engine_name, in_turn(dialogues))
    assert len(found.flows) == len(found.sessions) == 5
    assert column(found.heartbeats, "bytes_seen") == [3] * 5 + [3 + 0x4000 + 16] * 5
    assert found.drops == {}


def test_pairs_on_vlans_of_their_own_that_use_the_group_address_only(engine_name: str) -> None:
    dialogues = [
        attacked(
            Eapol(client=f"02:00:00:00:01:0{n}", server=f"02:00:00:00:02:0{n}", groups=BOTH, tags=((0x8100, 10 + n),))
        )
        for n in range(4)
    ]
    found = decoded(engine_name, in_turn(dialogues))
    assert len(found.sessions) == 4
    assert found.heartbeats["claimed_length"].tolist() == [0x4000] * 8
    assert sorted(column(found.heartbeats, "answers_message")) == [0, 0, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT], ids=["server only", "client only"])
def test_where_one_side_is_not_heard_the_group_stands_for_it(decode_eap: DecodeEap, way: int) -> None:
    dialogue = attacked(Eapol(groups=BOTH))
    dialogue.sent = [sent for sent in dialogue.sent if sent.way != way]
    found = decode_eap(dialogue)
    expected = {"client_addr": GROUP, "server_addr": SERVER}
    if way == TO_CLIENT:
        expected = {"client_addr": CLIENT, "server_addr": GROUP}
    check(found.heartbeats[0], claimed_length=0x4000, midstream=0, **expected)


def test_joined_before_the_authenticator_was_heard(decode_eap: DecodeEap) -> None:
    """What the supplicant says before that has a flow of its own."""
    dialogue = greeted(Eapol())
    del dialogue.sent[:]
    dialogue.client(tls.request(0x3000))
    dialogue.server(b"".join(tls.answer(0x3000)))
    dialogue.client(tls.request(0x4000))
    dialogue.server(LEAK)
    found = decode_eap(dialogue)
    assert column(found.flows, "server_addr") == [GROUP, SERVER]
    assert column(found.heartbeats, "answers_message") == [0, 0, 0, 3]
    assert column(found.heartbeats, "midstream") == [1, 1, 1, 1]


def test_the_same_supplicant_on_two_sides_of_a_bridge_is_one(decode_eap: DecodeEap) -> None:
    dialogue = attacked(Eapol())
    dialogue.sent = [again for sent in dialogue.sent for again in (sent, sent)]
    found = decode_eap(dialogue)
    assert len(found.heartbeats) == 2


# --- what is not read -------------------------------------------------------------------------------------------------

HEADER = bytes.fromhex("0180c2000003 02000000000a 888e")
HELLO = eap.eap(eap.RESPONSE, 1, eap.EAP_TLS, eap.piece(tls.client_hello() + tls.request(0x4000)))


@pytest.mark.parametrize(
    ("counter", "body"),
    [
        ("not_ip", eap.eapol(HELLO, kind=1)),
        ("not_ip", eap.eapol(HELLO, kind=3)),
        ("frame_truncated", eap.eapol(HELLO)[:3]),
        ("eap_malformed", eap.eapol(b"")),
        ("eap_malformed", eap.eapol(HELLO[:4])),
        ("eap_malformed", eap.eapol(HELLO, length=len(HELLO) - 1)),
        ("eap_malformed", eap.eapol(HELLO, length=len(HELLO) + 60)),
        ("eap_malformed", eap.eapol(eap.eap(eap.RESPONSE, 1, eap.EAP_TLS, bytes(60), length=900))),
        ("eap_malformed", eap.eapol(b"\x05" + HELLO[1:])),
        ("eap_malformed", eap.eapol(eap.eap(eap.RESPONSE, 1, eap.EAP_TLS, b"\x80\0\0"))),
    ],
)
def test_what_its_receiver_discards_is_counted(engine_name: str, counter: str, body: bytes) -> None:
    data = HEADER + body
    found = decoded(engine_name, [Frame(START_NS, data, len(data))])
    assert found.drops == {counter: 1}
    assert len(found.flows) == 0


def test_a_frame_that_was_cut_is_read_as_far_as_it_goes(engine_name: str) -> None:
    dialogue = greeted(Eapol())
    dialogue.client(tls.request(0x4000))
    for sent in dialogue.server(LEAK):
        dialogue.cut(sent, 300)
    found = decoded(engine_name, dialogue.frames())
    check(found.heartbeats[1], answers_message=1, gap=1)
    assert 4_000 < found.heartbeats["bytes_seen"][1] < 6_000
    check(found.flows[0], transport=Transport.TLS, protocol=PROTOCOL_EAPOL)


def test_a_decoy_longer_than_its_frame_hides_nothing(engine_name: str) -> None:
    """Its receiver drops it, and takes the next Response."""
    dialogue = greeted(Eapol(padded=False))
    decoy = eap.eap(eap.RESPONSE, dialogue.identifier, eap.EAP_TLS, eap.piece(b"\x17\x03\x03\x40\x00"))
    data = HEADER + eap.eapol(decoy, length=len(decoy) + 1)
    frames = [*dialogue.frames(), Frame(dialogue.now_ns, data, len(data))]
    dialogue.client(tls.request(0x4000))
    found = decoded(engine_name, [*frames, dialogue.frames()[-1]])
    check(found.heartbeats[0], claimed_length=0x4000)
    assert found.drops == {"eap_malformed": 1}


def test_padding_is_no_tls(decode_eap: DecodeEap) -> None:
    dialogue = Dialogue(Eapol(), piece_bytes=5).identify().start()
    dialogue.client(tls.client_hello())
    found = decode_eap(dialogue)
    check(found.sessions[0], client_hello_length=len(tls.client_hello_body()))
