"""From the link layer to the TCP segment: what is read, and what is counted because it is not."""

from __future__ import annotations

import struct
from functools import partial
from ipaddress import ip_address

import pytest

from hbids.facts import FrameBatch
from tests.capture.build import Frame
from tests.decode.conftest import Decode
from tests.support import framing, tls
from tests.support.conversation import START_NS, Conversation, batch_of
from tests.support.decoding import Decoded, check, decode_batches
from tests.support.framing import Link, Network

V4, V6 = ("10.0.0.1", "10.0.0.2"), ("fd66::1", "fd66::2")
LIE = tls.request(0x4000)


def packed(address: str) -> list[int]:
    """As the address columns hold it."""
    plain = ip_address(address).packed
    return list(plain if len(plain) == 16 else bytes(10) + b"\xff\xff" + plain)


def attack(
    link: Link = framing.ETHERNET, network: Network = framing.either_ip, hosts: tuple[str, str] = V4
) -> Conversation:
    conversation = Conversation(client=hosts[0], server=hosts[1], link=link, network=network).connect().say_hello()
    conversation.client(LIE)
    return conversation


@pytest.mark.parametrize("hosts", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    "link",
    [
        framing.ETHERNET,
        framing.RAW,
        framing.LINUX_SLL,
        framing.LINUX_SLL2,
        framing.NULL,
        framing.LOOP,
        *(Link(number, bytes) for number in (12, 14, 228, 229)),
    ],
    ids=lambda link: f"link type {link.link_type}",
)
def test_every_link_type_leads_to_the_request(decode: Decode, link: Link, hosts: tuple[str, str]) -> None:
    conversation = attack(link, hosts=hosts)
    decoded = decode(conversation)
    (row,) = decoded.heartbeats
    check(row, claimed_length=0x4000, client_addr=packed(hosts[0]), server_addr=packed(hosts[1]), vlan=[0xFFFF] * 3)
    check(decoded.flows[0], protocol=6, bytes_to_server=sum(len(conversation.frames()[at].data) for at in (0, 2, 3, 5)))
    assert decoded.drops == {}


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("family", [2, 10, 24, 28, 30])
def test_loopback_families_of_all_systems_are_known(decode: Decode, family: int, order: str) -> None:
    code = struct.pack("<I" if order == "little" else ">I", family)
    assert len(decode(attack(Link(0, lambda packet: code + packet))).heartbeats) == 1


@pytest.mark.parametrize(
    ("tags", "vlan"),
    [
        ([(0x8100, 100)], [100]),
        ([(0x88A8, 10), (0x8100, 20)], [10, 20]),
        ([(0x9100, 1), (0x8100, 2), (0x8100, 3)], [1, 2, 3]),
        ([(0x88A8, 1), (0x8100, 2), (0x8100, 3), (0x8100, 4)], [1, 2, 3]),
        ([(0x8100, 0xE000 | 4094)], [4094]),
    ],
    ids=["one tag", "QinQ", "three tags", "four tags", "priority bits"],
)
def test_vlan_tags_are_kept_outermost_first(decode: Decode, tags: list[tuple[int, int]], vlan: list[int]) -> None:
    decoded = decode(attack(framing.vlan(*tags)))
    wanted = (vlan + [0xFFFF] * 3)[:3]
    check(decoded.heartbeats[0], vlan=wanted)
    check(decoded.sessions[0], vlan=wanted)
    check(decoded.flows[0], vlan=wanted)


def test_ipv4_options_are_passed_over(decode: Decode) -> None:
    network = partial(framing.ipv4, options=bytes.fromhex("94040000 01010101"))
    assert len(decode(attack(network=network)).heartbeats) == 1


def test_tcp_options_are_passed_over(decode: Decode) -> None:
    def with_timestamps(source: str, target: str, ttl: int, segment: bytes) -> bytes:
        options = bytes.fromhex("0101080a") + bytes(8)
        header = segment[:12] + bytes([segment[12] + (len(options) // 4 << 4)]) + segment[13:20]
        return framing.ipv4(source, target, ttl, header + options + segment[20:])

    check(decode(attack(network=with_timestamps)).heartbeats[0], claimed_length=0x4000, bytes_seen=3)


def test_padding_behind_the_ip_packet_is_no_payload(decode: Decode) -> None:
    padded = Link(1, lambda packet: framing.ETHERNET.wrap(packet) + bytes(18))
    decoded = decode(attack(padded))
    check(decoded.heartbeats[0], claimed_length=0x4000, gap=0)
    assert decoded.drops == {}


@pytest.mark.parametrize("hosts", [V4, V6], ids=["IPv4", "IPv6"])
def test_a_length_left_to_the_network_card_is_that_of_the_frame(decode: Decode, hosts: tuple[str, str]) -> None:
    network: Network = partial(framing.ipv4, total_length=0) if hosts == V4 else partial(framing.ipv6, length=0)
    check(decode(attack(network=network, hosts=hosts)).heartbeats[0], claimed_length=0x4000, bytes_seen=3)


EXTENSION_HEADERS = {
    "hop by hop": (0, bytes([6, 0]) + bytes(6)),
    "routing": (43, bytes([6, 2]) + bytes(22)),
    "whole fragment": (44, bytes([6, 0, 0, 0]) + bytes(4)),
    "destination": (60, bytes([6, 1]) + bytes(14)),
    "authentication": (51, bytes([6, 4]) + bytes(22)),
    "mobility": (135, bytes([6, 0]) + bytes(6)),
    "two": (0, bytes([60, 0]) + bytes(6) + bytes([6, 0]) + bytes(6)),
}


@pytest.mark.parametrize("name", EXTENSION_HEADERS)
def test_ipv6_extension_headers_are_passed_over(decode: Decode, name: str) -> None:
    first, headers = EXTENSION_HEADERS[name]

    def network(source: str, target: str, ttl: int, segment: bytes) -> bytes:
        return framing.ipv6(source, target, ttl, headers + segment, first=first)

    decoded = decode(attack(network=network, hosts=V6))
    check(decoded.heartbeats[0], claimed_length=0x4000)
    assert decoded.drops == {}


# --- every frame that is not read is counted --------------------------------------------------------------------------

SEGMENT = framing.tcp(40_000, 443, 1, 1, 0x18, LIE)
PACKET = framing.ipv4(*V4, 64, SEGMENT)
PACKET6 = framing.ipv6(*V6, 64, SEGMENT)
WHOLE = framing.ETHERNET.wrap(PACKET)
WHOLE6 = framing.ETHERNET.wrap(PACKET6)


def ethernet(packet: bytes) -> tuple[int, bytes]:
    return 1, framing.ETHERNET.wrap(packet)


UNREAD = {
    "no frame at all": ("frame_truncated", (1, b"")),
    "ends in the Ethernet header": ("frame_truncated", (1, WHOLE[:13])),
    "ends in the tag": ("frame_truncated", (1, framing.tagged((0x8100, 1))(PACKET)[:17])),
    "ends after the Ethernet header": ("frame_truncated", (1, WHOLE[:14])),
    "ends in the IPv4 header": ("frame_truncated", (1, WHOLE[:33])),
    "ends in the TCP header": ("frame_truncated", (1, WHOLE[:53])),
    "ends in the IPv6 header": ("frame_truncated", (1, WHOLE6[:53])),
    "ends in an extension header": (
        "frame_truncated",
        ethernet(framing.ipv6(*V6, 64, EXTENSION_HEADERS["routing"][1] + SEGMENT, first=43)[:45]),
    ),
    "ends in the SLL header": ("frame_truncated", (113, bytes(15))),
    "ends in the SLL2 header": ("frame_truncated", (276, bytes(19))),
    "ends in the family": ("frame_truncated", (0, b"\x02\x00\x00")),
    "raw of nothing": ("frame_truncated", (101, b"")),
    "802.11": ("link_type_unsupported", (105, WHOLE)),
    "a link type nobody knows": ("link_type_unsupported", (65_535, WHOLE)),
    "ARP": ("not_ip", (1, bytes(12) + b"\x08\x06" + bytes(28))),
    "AppleTalk on loopback": ("not_ip", (0, b"\x10\x00\x00\x00" + PACKET)),
    "UDP of no length at all": ("udp_malformed", ethernet(framing.ipv4(*V4, 64, bytes(7), protocol=17))),
    "UDP shorter than its header": (
        "udp_malformed",
        ethernet(framing.ipv4(*V4, 64, bytes(5) + b"\7" + bytes(9), protocol=17)),
    ),
    "UDP longer than its packet": (
        "udp_malformed",
        ethernet(framing.ipv4(*V4, 64, bytes(5) + b"\x0d" + bytes(6), protocol=17)),
    ),
    "ends in the UDP header": (
        "frame_truncated",
        (1, framing.ETHERNET.wrap(framing.ipv4(*V4, 64, bytes(8), protocol=17))[:-1]),
    ),
    "SCTP": ("not_tcp", ethernet(framing.ipv4(*V4, 64, bytes(20), protocol=132))),
    "ICMPv6": ("not_tcp", ethernet(framing.ipv6(*V6, 64, bytes(20), first=58))),
    "no next header": ("not_tcp", ethernet(framing.ipv6(*V6, 64, b"", first=59))),
    "IP version 5": ("ip_malformed", ethernet(b"\x50" + PACKET[1:])),
    "IPv4 header of 16 bytes": ("ip_malformed", ethernet(b"\x44" + PACKET[1:])),
    "IPv4 length less than its header": ("ip_malformed", ethernet(framing.ipv4(*V4, 64, SEGMENT, total_length=19))),
    "endless extension headers": ("ip_malformed", ethernet(framing.ipv6(*V6, 64, bytes(8 * 20), first=0))),
    "extension header past the end": (
        "ip_malformed",
        ethernet(framing.ipv6(*V6, 64, bytes([6, 9]) + bytes(78) + SEGMENT, first=0, length=16)),
    ),
    "TCP of 19 bytes": ("tcp_malformed", ethernet(framing.ipv4(*V4, 64, SEGMENT[:19]))),
    "TCP header of 16 bytes": ("tcp_malformed", ethernet(framing.ipv4(*V4, 64, SEGMENT[:12] + b"\x40" + SEGMENT[13:]))),
    "TCP header past the end": (
        "tcp_malformed",
        ethernet(framing.ipv4(*V4, 64, SEGMENT[:12] + b"\xf0" + SEGMENT[13:])),
    ),
}


def decode_one(engine_name: str, link_type: int, data: bytes) -> Decoded:
    return decode_batches(engine_name, [batch_of([Frame(START_NS, data, len(data) + 1, link_type)])])


@pytest.mark.parametrize("what", UNREAD)
def test_a_frame_that_is_not_read_is_counted_once(engine_name: str, what: str) -> None:
    counter, (link_type, data) = UNREAD[what]
    decoded = decode_one(engine_name, link_type, data)
    assert decoded.counters == {"packets": 1, "bytes": len(data) + 1, "flows": 0, counter: 1}
    assert len(decoded.flows) == 0


@pytest.mark.parametrize("whole", [WHOLE, WHOLE6, framing.tagged((0x8100, 1))(PACKET)], ids=["IPv4", "IPv6", "tagged"])
def test_a_frame_cut_anywhere_is_a_flow_or_a_count(engine_name: str, whole: bytes) -> None:
    for kept in range(len(whole)):
        decoded = decode_one(engine_name, 1, whole[:kept])
        assert decoded.counters["flows"] + decoded.drops.get("frame_truncated", 0) == 1


def test_rows_that_point_outside_their_data_are_truncated_frames(engine_name: str) -> None:
    batch = batch_of([Frame(START_NS, WHOLE, len(WHOLE))] * 3)
    frames = batch.frames.copy()
    frames["offset"] = [0, len(batch.data), 0xFFFF_FFFF]
    frames["captured_bytes"][0] = 0xFFFF_FFFF
    decoded = decode_batches(engine_name, [FrameBatch(batch.data[: len(WHOLE)], frames)])
    assert (decoded.counters["flows"], decoded.drops) == (1, {"frame_truncated": 2})
