"""TLS inside tunnels and under stacked layers: found, with the inner addresses, and with the same facts as without."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS, EoMCW
from scapy.layers.inet import UDP
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from hbids.config import Limits
from hbids.decode.engine import native_available
from hbids.facts import HEARTBEAT_DTYPE, SESSION_DTYPE
from tests.capture.build import Frame
from tests.conftest import missing
from tests.decode.conftest import Decode
from tests.support import framing, tls
from tests.support.conversation import START_NS, TO_CLIENT, Conversation, batch_of
from tests.support.decoding import Decoded, check, column, decode_batches
from tests.support.framing import ETHERNET, Link
from tests.support.tunnels import (
    ETHER,
    IN_IP,
    ON_LINKS,
    OUTER,
    OUTER6,
    gre,
    ip_in_ip,
    ip_in_ipv6,
    labels,
    over,
    over_ethernet,
    udp,
)

if TYPE_CHECKING:
    from hbids.facts import Rows
    from tests.support.tunnels import Wrap

V4, V6 = ("10.0.0.1", "10.0.0.2"), ("fd66::1", "fd66::2")
FAMILIES = pytest.mark.parametrize("hosts", [V4, V6], ids=["IPv4", "IPv6"])
PACKETS_SPEAK = ("vlan", "bytes_to_server", "bytes_to_client")
"""Columns that tunnels change, as they must."""


def in_ethernet(wrap: Wrap) -> Link:
    return Link(1, lambda packet: ETHERNET.wrap(wrap(packet)))


def attack(link: Link, hosts: tuple[str, str] = V4) -> Conversation:
    """A leak."""
    conversation = Conversation(client=hosts[0], server=hosts[1], link=link).connect().say_hello()
    conversation.client(tls.request(0x4000))
    for piece in tls.answer(0x4000):
        conversation.segment(TO_CLIENT, piece)
    return conversation


def packed(address: str) -> list[int]:
    plain = ip_address(address).packed
    return list(plain if len(plain) == 16 else bytes(10) + b"\xff\xff" + plain)


def facts(rows: Rows) -> list[tuple[str, Any]]:
    names = [name for name in rows.dtype.names or () if name not in PACKETS_SPEAK]
    return [(name, rows[name].tolist()) for name in names]


ALL = {**ON_LINKS, **{name: in_ethernet(wrap) for name, wrap in IN_IP.items()}}


@FAMILIES
@pytest.mark.parametrize("name", ALL)
def test_a_leak_in_a_tunnel_gives_the_facts_of_a_leak_without(
    decode: Decode, name: str, hosts: tuple[str, str]
) -> None:
    plain, tunnelled = decode(attack(ETHERNET, hosts)), decode(attack(ALL[name], hosts))
    assert tunnelled.drops == {}
    assert facts(tunnelled.heartbeats) == facts(plain.heartbeats)
    assert facts(tunnelled.sessions) == facts(plain.sessions)
    request, answer = tunnelled.heartbeats
    check(request, client_addr=packed(hosts[0]), server_addr=packed(hosts[1]), claimed_length=0x4000)
    check(answer, answers_message=request["message_id"])
    frames = attack(ALL[name], hosts).frames()
    (flow,) = tunnelled.flows
    assert flow["bytes_to_server"] + flow["bytes_to_client"] == sum(frame.wire_bytes for frame in frames)


def tags_everywhere(packet: bytes) -> bytes:
    inner = framing.tagged((0x88A8, 2), (0x8100, 3), (0x8100, 4))(packet)
    return over(ETHER, Dot1Q(vlan=1), *udp(4789, VXLAN(vni=1)))(inner)


NESTED: dict[str, tuple[Wrap, list[int]]] = {
    "VXLAN in VLAN in a pseudowire": (
        over_ethernet(
            labels()[0], MPLS(label=9, s=1), EoMCW(), ETHER, Dot1Q(vlan=30), *udp(4789, VXLAN(vni=1))
        ),
        [30],
    ),
    "tags outside, inside and within": (tags_everywhere, [1, 2, 3]),
    "GTP-U in VXLAN in QinQ": (
        over(
            ETHER, Dot1AD(vlan=7), Dot1Q(vlan=8), *udp(4789, VXLAN(vni=1)), ETHER,
            *udp(2152, GTP_U_Header(teid=1, gtp_type=255)),
        ),
        [7, 8],
    ),
    "IP in IP in GRE in IPv6": (lambda packet: over(ETHER, OUTER6, GRE(proto=0x0800))(ip_in_ip(ip_in_ip(packet))), []),
    "GENEVE in ERSPAN in GRE": (
        over_ethernet(ETHER, OUTER, GRE(proto=0x88BE), ETHER, *udp(6081, GENEVE(proto=0x6558))),
        [],
    ),
}  # fmt: skip


@FAMILIES
@pytest.mark.parametrize("name", NESTED)
def test_tunnels_in_tunnels_are_walked_and_the_outermost_tags_kept(
    decode: Decode, name: str, hosts: tuple[str, str]
) -> None:
    wrap, vlan = NESTED[name]
    decoded = decode(attack(Link(1, wrap), hosts))
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x4000]
    check(decoded.heartbeats[0], client_addr=packed(hosts[0]), vlan=(vlan + [0xFFFF] * 3)[:3])
    assert decoded.drops == {}


def test_another_tag_for_each_direction_is_one_flow(decode: Decode) -> None:
    def tagged_by_direction(packet: bytes) -> bytes:
        return framing.tagged((0x8100, packet[15]))(packet)  # the last byte of the source address

    decoded = decode(attack(Link(1, tagged_by_direction)))
    assert len(decoded.flows) == 1
    check(decoded.flows[0], vlan=[1, 0xFFFF, 0xFFFF])


def test_a_tunnel_in_one_direction_only_is_one_flow(decode: Decode) -> None:
    """As behind a load balancer whose servers answer by themselves."""

    def requests_only(packet: bytes) -> bytes:
        return ETHERNET.wrap(ip_in_ip(packet) if packet[15] == 1 else packet)

    decoded = decode(attack(Link(1, requests_only)))
    assert len(decoded.flows) == 1
    assert column(decoded.heartbeats, "answers_message") == [0, 1]


# --- where tunnels are looked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "wrap"),
    [
        ("vxlan_ports", over_ethernet(*udp(7_777, VXLAN(vni=1)))),
        ("geneve_ports", over_ethernet(*udp(7_777, GENEVE(proto=0x6558)))),
        ("gtp_ports", over(*udp(7_777, GTP_U_Header(teid=1, gtp_type=255)))),
        ("teredo_ports", lambda packet: over(*udp(7_777))(ip_in_ipv6(packet))),
    ],
)
def test_ports_of_tunnels_are_a_setting(decode: Decode, setting: str, wrap: Wrap) -> None:
    conversation = attack(in_ethernet(wrap))
    assert_only_datagrams(decode(conversation), len(conversation.packets))
    ports: dict[str, Any] = {setting: (7_776, 7_777)}
    found = decode(conversation, limits=Limits(**ports))
    assert column(found.heartbeats, "claimed_length") == [0x4000, 0x4000]


@pytest.mark.parametrize("port", [4789, 4790, 8472, 6081, 2152, 3544])
@pytest.mark.parametrize(
    "payload",
    [
        tls.request(0x4000),
        bytes.fromhex("18 fefd 0001 000000000005 0003 01 4000"),
        bytes.fromhex("16 feff 0000 000000000000 0002 01 00"),
        bytes.fromhex("17 fefd 0001 000000000005 0003 000000"),
        b"",
        bytes(40),
        b"\xff" * 40,
    ],
    ids=["TLS", "DTLS heartbeat", "DTLS hello", "DTLS data", "nothing", "zeros", "ones"],
)
def test_what_does_not_look_like_the_tunnel_of_its_port_is_a_datagram(
    engine_name: str, port: int, payload: bytes
) -> None:
    frame = bytes(ETHER / OUTER / UDP(sport=50_000, dport=port) / Raw(payload))
    assert_only_datagrams(decode_batches(engine_name, [batch_of([Frame(START_NS, frame, len(frame))])]), 1)


def assert_only_datagrams(decoded: Decoded, packets: int) -> None:
    assert set(column(decoded.flows, "protocol")) == {17}
    assert sum(column(decoded.flows, "packets_to_server")) == packets
    assert set(column(decoded.flows, "transport")) == {0}


# --- what is not read -------------------------------------------------------------------------------------------------

INNER = framing.ipv4(*V4, 64, framing.tcp(40_000, 443, 1, 1, 0x18, tls.request(0x4000)))


def one(engine_name: str, frame: bytes, link_type: int = 1, limits: Limits | None = None) -> dict[str, int]:
    return decode_batches(engine_name, [batch_of([Frame(START_NS, frame, len(frame), link_type)])], limits).drops


def gre_bytes(header: str, protocol: int = 0x0800) -> bytes:
    packet = bytes.fromhex(header) + protocol.to_bytes(2, "big") + INNER
    return ETHERNET.wrap(framing.ipv4("192.0.2.1", "192.0.2.2", 64, packet, protocol=47))


UNREADABLE = {
    "GRE with a source route": ("tunnel_unreadable", gre_bytes("4000")),
    "GRE version 2": ("tunnel_unreadable", gre_bytes("0002")),
    "GRE that carries something else": ("not_ip", gre_bytes("0000", 0x0806)),
    "GRE keep-alive": ("not_ip", gre_bytes("0000", 0)),
    "PPTP's acknowledgement alone": ("not_ip", gre_bytes("2081", 0x880B)),
    "ERSPAN II of another version": ("tunnel_unreadable", gre_bytes("1000", 0x88BE)),
    "ERSPAN III of another version": ("tunnel_unreadable", gre_bytes("1000", 0x22EB)),
    "PPPoE of another version": ("tunnel_unreadable", ETHER.build()[:12] + bytes.fromhex("8864 21 00 0001 0004 0021")),
    "PPPoE discovery": ("not_ip", ETHER.build()[:12] + bytes.fromhex("8864 11 09 0000 0004 01010000")),
    "PPP's own control": ("not_ip", ETHER.build()[:12] + bytes.fromhex("8864 11 00 0001 0006 c021 01010004")),
    "labels without end": ("frame_truncated", ETHER.build()[:12] + bytes.fromhex("8847") + bytes(400)),
    "labels of nothing": ("frame_truncated", ETHER.build()[:12] + bytes.fromhex("8847 00000140")),
    "labels of something else": ("not_ip", ETHER.build()[:12] + bytes.fromhex("8847 00000140") + b"\x10" * 60),
    "UDP of 7 bytes": ("udp_malformed", ETHERNET.wrap(framing.ipv4(*V4, 64, bytes(7), protocol=17))),
    "UDP longer than its packet": (
        "udp_malformed",
        ETHERNET.wrap(framing.ipv4(*V4, 64, bytes.fromhex("0001 0002 0009 0000"), protocol=17)),
    ),
    "UDP shorter than its header": (
        "udp_malformed",
        ETHERNET.wrap(framing.ipv4(*V4, 64, bytes.fromhex("0001 0002 0007 0000"), protocol=17)),
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_not_read_is_counted(engine_name: str, what: str) -> None:
    counter, frame = UNREADABLE[what]
    assert one(engine_name, frame) == {counter: 1}


@pytest.mark.parametrize("tags", [25, 26, 400])
def test_absurd_nesting_is_cut_at_the_limit(engine_name: str, tags: int) -> None:
    frame = framing.tagged(*[(0x8100, 1)] * tags)(INNER)
    expected = {} if tags <= 25 else {"layers_exceeded": 1}
    assert one(engine_name, frame, limits=Limits(layers=28)) == expected  # Ethernet, IP and TCP are three


@pytest.mark.parametrize("wrap", [ip_in_ip, gre()], ids=["IP in IP", "GRE"])
def test_tunnels_without_end_are_cut_at_the_limit(engine_name: str, wrap: Wrap) -> None:
    packet = INNER
    for _ in range(40):
        packet = wrap(packet)
    assert one(engine_name, ETHERNET.wrap(packet)) == {"layers_exceeded": 1}


# --- frames cut, frames bent ------------------------------------------------------------------------------------------

DEEP = NESTED["GTP-U in VXLAN in QinQ"][0]


def test_a_frame_cut_anywhere_is_a_flow_or_a_count(engine_name: str) -> None:
    frame = DEEP(INNER)
    for kept in range(len(frame)):
        found = decode_batches(engine_name, [batch_of([Frame(START_NS, frame[:kept], kept)])])
        in_header = kept < len(frame) - len(tls.request(0x4000))
        is_datagram = column(found.flows, "protocol") == [17]
        assert is_datagram or found.drops.keys() & {"frame_truncated", "stream_gaps"} or not in_header, kept


def test_a_tunnelled_segment_cut_by_a_snap_length_counts_with_its_own_length(decode: Decode) -> None:
    conversation = Conversation(link=Link(1, DEEP)).connect().say_hello()
    conversation.client(tls.application_data(1_000))[0].captured_bytes = 160
    conversation.client(tls.request(0x4000))
    decoded = decode(conversation)
    check(decoded.heartbeats[0], claimed_length=0x4000)
    check(decoded.flows[0], gaps_to_server=1)


FRAMES = [
    (link.link_type, frame.data)
    for link in (*ALL.values(), *(Link(1, wrap) for wrap, _ in NESTED.values()))
    for frame in (attack(link, V4).frames()[5], attack(link, V6).frames()[6])
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bent_frames_are_the_same_to_both_engines(data: st.DataObject) -> None:
    if not native_available():
        missing("the native engine")
    frames = []
    for link_type, whole in data.draw(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=8)):
        frame = bytearray(whole)
        for _ in range(data.draw(st.integers(0, 3))):
            # Headers stand at the front: that is where a changed byte tells.
            frame[data.draw(st.integers(0, min(len(frame), 140) - 1))] = data.draw(st.integers(0, 255))
        kept = data.draw(st.one_of(st.just(len(frame)), st.integers(0, len(frame))))
        frames.append(Frame(START_NS, bytes(frame[:kept]), len(frame), link_type))
    limits = data.draw(st.sampled_from([Limits(), Limits(layers=9)]))
    native, reference = (decode_batches(name, [batch_of(frames)], limits) for name in ("native", "reference"))
    assert native.counters == reference.counters
    for table in ("heartbeats", "early", "sessions", "flows"):
        assert getattr(native, table).tobytes() == getattr(reference, table).tobytes()
    assert (native.heartbeats.dtype, native.sessions.dtype) == (HEARTBEAT_DTYPE, SESSION_DTYPE)
