"""IP fragments: whatever their order, the packet is whole once all came; what never becomes whole is bounded."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbids.config import Limits
from hbids.decode.engine import native_available
from tests.capture.build import Frame
from tests.conftest import missing
from tests.support import framing, tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, batch_of, greeted
from tests.support.decoding import Decoded, check, column, decode_batches
from tests.support.fragments import part, parts
from tests.support.framing import ETHERNET, Link
from tests.support.tunnels import IN_IP, gre

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

V4, V6 = ("10.0.0.1", "10.0.0.2"), ("fd66::1", "fd66::2")
FAMILIES = pytest.mark.parametrize("hosts", [V4, V6], ids=["IPv4", "IPv6"])
LIE = tls.request(0x4000)
FRAGMENT_COUNTERS = {
    "fragments",
    "fragments_malformed",
    "fragments_overlapping",
    "fragments_refused",
    "fragments_repeated",
    "packets_evicted",
    "packets_incomplete",
    "packets_reassembled",
}


def opening(hosts: tuple[str, str] = V4) -> list[Frame]:
    return Conversation(client=hosts[0], server=hosts[1]).connect().say_hello().frames()


def request(hosts: tuple[str, str] = V4, payload: bytes = LIE) -> bytes:
    """An IP packet that carries on where the hellos of :func:`opening` end."""
    conversation = Conversation(client=hosts[0], server=hosts[1], link=framing.RAW).connect().say_hello()
    conversation.client(payload)
    return conversation.frames()[-1].data


def then(
    frames: Sequence[Frame], packets: Iterable[bytes], link: Link = ETHERNET, step_ns: int = 1_000_000
) -> list[Frame]:
    """These packets after those frames."""
    found, now_ns = list(frames), frames[-1].time_ns if frames else START_NS
    for packet in packets:
        now_ns += step_ns
        data = link.wrap(packet)
        found.append(Frame(now_ns, data, len(data), link.link_type))
    return found


def decoded(engine_name: str, frames: list[Frame], limits: Limits | None = None) -> Decoded:
    return decode_batches(engine_name, [batch_of(frames)], limits)


def claims(found: Decoded) -> list[int]:
    return column(found.heartbeats, "claimed_length")


@FAMILIES
@pytest.mark.parametrize("order", ["in order", "backwards", "odd ones first"])
@pytest.mark.parametrize("size", [8, 16, 24])
def test_fragments_in_any_order_make_the_packet(
    engine_name: str, hosts: tuple[str, str], order: str, size: int
) -> None:
    pieces = parts(request(hosts, LIE + tls.application_data(100)), size)
    pieces = {"in order": pieces, "backwards": pieces[::-1], "odd ones first": pieces[1::2] + pieces[::2]}[order]
    found = decoded(engine_name, then(opening(hosts), pieces))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": len(pieces), "packets_reassembled": 1}
    server = ip_address(hosts[1]).packed
    assert bytes(found.heartbeats[0]["server_addr"]).endswith(server)


def test_a_packet_counts_as_the_frame_that_made_it_whole(engine_name: str) -> None:
    frames = then(opening(), parts(request(), 16))
    found = decoded(engine_name, frames)
    (flow,) = found.flows
    assert flow["packets_to_server"] + flow["packets_to_client"] == len(opening()) + 1
    assert flow["bytes_to_server"] + flow["bytes_to_client"] == sum(f.wire_bytes for f in [*opening(), frames[-1]])
    assert found.heartbeats[0]["time_ns"] == frames[-1].time_ns


@FAMILIES
def test_copies_of_a_two_way_span_port_are_repeats(engine_name: str, hosts: tuple[str, str]) -> None:
    pieces = [piece for piece in parts(request(hosts), 16) for _ in range(2)]
    found = decoded(engine_name, then(opening(hosts), pieces))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": 4, "fragments_repeated": 2, "packets_reassembled": 1}


def test_the_first_copy_of_overlapping_bytes_counts(engine_name: str) -> None:
    packet = request()
    lie = bytearray(packet)
    lie[-8:] = tls.request(0x3)  # what a decoy says instead
    for first, second, claimed in ((packet, bytes(lie), 0x4000), (bytes(lie), packet, 0x3)):
        pieces = [part(first, 16, 28), part(second, 8, 24, more=True), part(packet, 0, 16)]
        found = decoded(engine_name, then(opening(), pieces))
        assert claims(found) == [claimed]
        assert found.drops == {"fragments": 3, "fragments_overlapping": 2, "packets_reassembled": 1}


@pytest.mark.parametrize("right_first", [False, True])
def test_a_fragment_with_a_wrong_checksum_is_a_decoy_among_right_ones(engine_name: str, *, right_first: bool) -> None:
    packet = request()
    lie = bytearray(packet)
    lie[-8:] = tls.request(0x3)
    decoy = bytearray(part(bytes(lie), 16, 28))
    decoy[10] ^= 0x55
    pieces = [part(packet, 16, 28), part(packet, 0, 16)]
    pieces.insert(right_first, bytes(decoy))
    found = decoded(engine_name, then(opening(), pieces))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": 3, "fragments_refused": 1, "packets_reassembled": 1}


def test_fragments_whose_checksums_are_all_wrong_are_put_together(engine_name: str) -> None:
    pieces = [piece[:10] + b"\0\0" + piece[12:] for piece in parts(request(), 16)]
    assert claims(decoded(engine_name, then(opening(), pieces))) == [0x4000]


def test_one_fragment_that_covers_what_came_fills_the_rest(engine_name: str) -> None:
    packet = request(payload=LIE + tls.application_data(60))
    pieces = [part(packet, 8, 16), part(packet, 24, 32), part(packet, 88, 93), part(packet, 0, 88)]
    found = decoded(engine_name, then(opening(), pieces))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": 4, "fragments_overlapping": 1, "packets_reassembled": 1}


@pytest.mark.parametrize(
    "bad",
    [
        part(request(), 0, 0, more=True),
        part(request(), 0, 7, more=True),
        part(request(), 24, 32, more=True) + bytes(8),
        part(request(), 8, 16, more=False),
        part(request(), 65_528, 65_536, more=True)[:20] + bytes(8),
    ],
    ids=["empty", "less than a unit", "past the end", "another end", "past the longest packet"],
)
def test_fragments_that_contradict_are_left_out_and_counted(engine_name: str, bad: bytes) -> None:
    bad = bad[:2] + len(bad).to_bytes(2, "big") + bad[4:10] + bytes(2) + bad[12:]
    bad = bad[:10] + framing.checksum(bad[:20]) + bad[12:]
    packet = request()
    found = decoded(engine_name, then(opening(), [part(packet, 16, 28), bad, part(packet, 0, 16)]))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": 3, "fragments_malformed": 1, "packets_reassembled": 1}


def test_packets_of_other_identifications_are_not_mixed(engine_name: str) -> None:
    first, second = (request(payload=payload) for payload in (LIE, tls.request(0x2000)))
    pieces = [
        piece for pair in zip(parts(first, 16), parts(second, 16, identification=8), strict=True) for piece in pair
    ]
    found = decoded(engine_name, then(opening(), pieces))
    assert claims(found) == [0x4000]
    assert found.drops["packets_reassembled"] == 2
    assert found.drops["segments_repeated"] == 1


def test_an_identification_used_again_is_another_packet(engine_name: str) -> None:
    """Also when its first fragment looks like the old one's, as that of a decoy would."""
    first, second = (request(payload=payload) for payload in (tls.application_data(3), tls.application_data(3) + LIE))
    found = decoded(engine_name, then(opening(), [*parts(first, 16), *parts(second, 16)]))
    assert claims(found) == [0x4000]
    assert found.drops["packets_reassembled"] == 2
    assert "packets_incomplete" not in found.drops


def test_a_packet_sent_twice_is_there_once(engine_name: str) -> None:
    pieces = parts(request(), 16)
    found = decoded(engine_name, then(opening(), [*pieces, *pieces, *reversed(pieces)]))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": 6, "fragments_repeated": 4, "packets_reassembled": 1}


def test_only_the_first_fragment_says_what_an_ipv6_packet_carries(engine_name: str) -> None:
    first, second = parts(request(V6), 16)
    second = second[:40] + bytes([58]) + second[41:]  # it says ICMPv6
    for pieces in ([first, second], [second, first]):
        assert claims(decoded(engine_name, then(opening(V6), pieces))) == [0x4000]


def test_fragments_of_other_protocols_are_not_held(engine_name: str) -> None:
    pieces = [part(framing.ipv4(*V4, 64, bytes(64), protocol=1), at, at + 16) for at in (0, 16)]
    assert decoded(engine_name, then([], pieces)).drops == {"not_tcp": 2}


# --- and tunnels ------------------------------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("name", ["GRE", "VXLAN", "GTP-U", "Teredo", "IP in IPv6"])
def test_fragments_inside_a_tunnel(engine_name: str, name: str, hosts: tuple[str, str]) -> None:
    pieces = [IN_IP[name](piece) for piece in parts(request(hosts), 16)]
    found = decoded(engine_name, then(opening(hosts), pieces))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": 2, "packets_reassembled": 1}


@FAMILIES
@pytest.mark.parametrize("name", IN_IP)
def test_a_tunnel_in_fragments(engine_name: str, name: str, hosts: tuple[str, str]) -> None:
    outer = IN_IP[name](request(hosts))
    if outer[0] >> 4 == 4:
        outer = outer[:6] + bytes(2) + outer[8:]
    pieces = parts(outer, 24)
    pieces.reverse()
    found = decoded(engine_name, then(opening(hosts), pieces))
    assert claims(found) == [0x4000]
    assert found.drops == {"fragments": len(pieces), "packets_reassembled": 1}


def test_fragments_in_a_tunnel_in_fragments(engine_name: str) -> None:
    pieces = [
        piece
        for number, inner in enumerate(parts(request(), 16))
        for piece in parts(gre()(inner), 24, identification=100 + number)
    ]
    found = decoded(engine_name, then(opening(), pieces))
    assert claims(found) == [0x4000]
    assert found.drops["packets_reassembled"] == 3


def test_reassembly_does_not_reset_the_count_of_layers(engine_name: str) -> None:
    packet = request()
    for _ in range(5):
        packet = gre()(packet)
    pieces = parts(packet, 80)
    for layers, drops in ((13, {}), (12, {"layers_exceeded": 1})):  # Ethernet, five times IP and GRE, IP, TCP
        found = decoded(engine_name, then([], pieces), Limits(layers=layers))
        assert found.drops == {"fragments": len(pieces), "packets_reassembled": 1, **drops}


# --- a snap length ----------------------------------------------------------------------------------------------------


def test_a_cut_fragment_is_a_hole_of_its_own_length(engine_name: str) -> None:
    packet = request(payload=tls.application_data(200))
    frames = then(opening(), parts(packet, 120))
    cut = frames[-2]
    frames[-2] = Frame(cut.time_ns, cut.data[:-30], cut.wire_bytes)
    found = decoded(engine_name, frames)
    check(found.flows[0], gaps_to_server=1, gap_bytes_to_server=len(tls.application_data(200)) - (120 - 20 - 30))


# --- bounds -----------------------------------------------------------------------------------------------------------


def stray(number: int) -> bytes:
    """A fragment whose others never come."""
    return part(request(), 0, 16, identification=1_000 + number)


def test_a_fragment_waits_as_long_as_hosts_do(engine_name: str) -> None:
    first, second = parts(request(), 16)
    frames = then(then(opening(), [first]), [second], step_ns=59 * SECOND_NS)
    assert claims(decoded(engine_name, frames)) == [0x4000]
    frames = then(then(opening(), [first]), [second], step_ns=61 * SECOND_NS)
    found = decoded(engine_name, frames)
    assert claims(found) == []
    assert found.drops == {"fragments": 2, "packets_incomplete": 2}


@pytest.mark.parametrize(
    "limits", [Limits(fragments=8), Limits(fragment_bytes=8 * (16 + 64 + 768))], ids=["packets", "bytes"]
)
def test_of_too_many_the_one_that_waited_longest_goes(engine_name: str, limits: Limits) -> None:
    first, second = parts(request(), 16)
    flood = [stray(number) for number in range(20)]
    kept = decoded(engine_name, then(opening(), [*flood, first, *flood[:6], second]), limits)
    assert claims(kept) == [0x4000]
    assert kept.drops["packets_evicted"] == 20 + 1 + 6 - 8
    lost = decoded(engine_name, then(opening(), [first, *flood, second]), limits)
    assert claims(lost) == []


def test_what_is_put_together_goes_before_what_waits(engine_name: str) -> None:
    first, second = parts(request(), 16)
    others = [piece for number in range(30) for piece in parts(request(V6, b"no TLS"), 16, identification=number)]
    found = decoded(engine_name, then(opening(), [first, *others, second]), Limits(fragments=2))
    assert claims(found) == [0x4000]
    assert "packets_evicted" not in found.drops


def test_the_end_of_a_capture_ends_what_waits(engine_name: str) -> None:
    assert decoded(engine_name, then([], [stray(1)])).drops == {"fragments": 1, "packets_incomplete": 1}


# --- both engines -----------------------------------------------------------------------------------------------------

PACKETS = [request(hosts, payload) for hosts in (V4, V6) for payload in (LIE, LIE + tls.application_data(40))]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_fragments_of_all_kinds_are_the_same_to_both_engines(data: st.DataObject) -> None:
    if not native_available():
        missing("the native engine")
    pieces = []
    for _ in range(data.draw(st.integers(1, 14))):
        packet = data.draw(st.sampled_from(PACKETS))
        start = data.draw(st.integers(0, 10)) * 8
        end = start + data.draw(st.integers(0, 60))
        more = data.draw(st.sampled_from([None, None, True, False]))
        piece = part(packet, start, end, identification=data.draw(st.integers(1, 2)), more=more)
        pieces.append(piece[: data.draw(st.sampled_from([len(piece), len(piece), len(piece) - 5]))])
    frames = then(greeted().frames(), pieces, step_ns=data.draw(st.sampled_from([1, SECOND_NS // 2, 21 * SECOND_NS])))
    limits = data.draw(st.sampled_from([Limits(), Limits(fragments=2), Limits(fragment_bytes=2_000)]))
    native, reference = (decoded(name, frames, limits) for name in ("native", "reference"))
    assert native.counters == reference.counters
    for table in ("heartbeats", "early", "sessions", "flows"):
        assert getattr(native, table).tobytes() == getattr(reference, table).tobytes()
