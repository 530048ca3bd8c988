"""IP fragments, frames cut short, frames seen twice. Scapy builds the headers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Dot1Q
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from hbids.facts import Verdict
from tests.capture.build import Frame
from tests.coverage.casebook import LEAK, Group
from tests.coverage.exchanges import leak
from tests.support import tls
from tests.support.conversation import STEP_NS, Conversation
from tests.support.framing import ETHERNET, RAW, ethertype
from tests.support.scapy_ip import scapy_ip
from tests.support.tunnels import ETHER, Wrap, over, over_ethernet, udp

GROUP = Group(
    "Fragments, cut frames, copies",
    "Where nothing else is said of fragments, request and answer (4,096 bytes of memory) come in fragments, once over "
    "IPv4 and once over IPv6.",
    made_by="scapy",
)

CLAIMED = 4_096
FOUR, SIX = ("10.0.0.1", "10.0.0.2"), ("fd66::1", "fd66::2")
BOTH = {"fd66::2:443": Verdict.LEAKED}


def fragment(packet: bytes, begin: int, end: int, *, identification: int) -> bytes:
    """The fragment with these bytes of an IP packet's payload."""
    if packet[0] >> 4 == 6:
        whole, payload = IPv6(packet[:40]), packet[40:]
        kind = IPv6ExtHdrFragment(nh=whole.nh, offset=begin // 8, m=int(end < len(payload)), id=identification)
        return bytes(IPv6(src=whole.src, dst=whole.dst, hlim=whole.hlim) / kind / Raw(payload[begin:end]))
    header, payload = IP(packet[:20]), packet[20:]
    more = int(end < len(payload))
    place = IP(
        src=header.src,
        dst=header.dst,
        ttl=header.ttl,
        proto=header.proto,
        id=identification,
        frag=begin // 8,
        flags=more,
    )
    return bytes(place / Raw(payload[begin:end]))


def fragments(packet: bytes, size: int, *, identification: int, beyond: int = 0) -> list[bytes]:
    """In order, each reaching so many bytes into the next."""
    length = len(packet) - (40 if packet[0] >> 4 == 6 else 20)
    return [
        fragment(packet, at, min(at + size + beyond, length), identification=identification)
        for at in range(0, length, size)
    ]


Arrange = Callable[[list[bytes]], list[bytes]]


def in_fragments(
    arrange: Arrange = list,
    *,
    size: int = 16,
    beyond: int = 0,
    wrap: Wrap = ETHERNET.wrap,
    families: tuple[tuple[str, str], ...] = (FOUR, SIX),
) -> list[Frame]:
    """An attack on each family's server: what follows the hellos comes in fragments, arranged packet by packet."""
    frames: list[Frame] = []
    for client, server in families:
        conversation = Conversation(client=client, server=server, network=scapy_ip, link=RAW).connect().say_hello()
        hellos = len(conversation.packets)
        conversation.client(tls.request(CLAIMED))
        conversation.server(tls.answer(CLAIMED)[0])
        for number, frame in enumerate(conversation.frames()):
            packets = [frame.data]
            if number >= hellos:
                packets = arrange(fragments(frame.data, size, identification=number, beyond=beyond))
            for packet in packets:
                data = wrap(packet)
                frames.append(Frame(conversation.now_ns + len(frames) * STEP_NS, data, len(data)))
    return frames


def reassembled(each_family: int, **others: int) -> dict[str, int]:
    return {"fragments": 2 * each_family, "packets_reassembled": 4, **others}


def fragmented(item: str, counted: dict[str, int], build: Callable[[], list[Frame]]) -> None:
    GROUP.case(
        item,
        *LEAK[:2] * 2,
        verdict=Verdict.LEAKED,
        others=BOTH,
        leaked=2 * CLAIMED,
        counted=counted,
    )(build)


REQUEST_BYTES, ANSWER_BYTES = 20 + 8, 20 + 5 + 3 + CLAIMED + 16  # of TCP, header and all


def number_of(size: int) -> int:
    return -(-REQUEST_BYTES // size) + -(-ANSWER_BYTES // size)


fragmented("in order, 16 bytes each", reassembled(number_of(16)), in_fragments)
fragmented("tiny: 8 bytes each, ports and flags apart", reassembled(number_of(8)), partial(in_fragments, size=8))
fragmented("the last one first", reassembled(number_of(16)), partial(in_fragments, lambda parts: parts[::-1]))
fragmented(
    "every other one first", reassembled(number_of(16)), partial(in_fragments, lambda parts: parts[1::2] + parts[::2])
)
fragmented(
    "each of them twice",
    reassembled(2 * number_of(16), fragments_repeated=2 * number_of(16)),
    partial(in_fragments, lambda parts: list(chain(*zip(parts, parts, strict=True)))),
)
fragmented(
    "each reaches into the next",
    reassembled(number_of(16), fragments_overlapping=2 * (number_of(16) - 2)),
    partial(in_fragments, beyond=8),
)
fragmented(
    "inside VXLAN",
    reassembled(number_of(24)),
    partial(in_fragments, size=24, wrap=over_ethernet(ETHER, *udp(4789, VXLAN(vni=1)))),
)


@GROUP.leak(
    "VXLAN around it in fragments",
    counted={"fragments": 22, "packets_reassembled": 11},
)
def tunnel_in_fragments() -> list[Frame]:
    frames: list[Frame] = []
    conversation = Conversation(network=scapy_ip, link=RAW).connect().say_hello()
    for number, frame in enumerate(leak(conversation).frames()):
        outer = over_ethernet(*udp(4789, VXLAN(vni=1)))(frame.data)
        for packet in fragments(outer, 1_200, identification=number) if len(outer) > 1_400 else [outer]:
            data = ETHERNET.wrap(packet)
            frames.append(Frame(frame.time_ns + len(frames), data, len(data)))
    return frames


@GROUP.case(
    "one of the answer's fragments never comes",
    1016001,
    verdict=Verdict.ATTEMPTED,
    counted={"fragments": number_of(16) - 1, "packets_reassembled": 1, "packets_incomplete": 1},
)
def incomplete() -> list[Frame]:
    return in_fragments(lambda parts: parts[:50] + parts[51:], families=(FOUR,))


def contradicted(parts: list[bytes]) -> list[bytes]:
    """Behind each fragment but the last a copy of other bytes, which a host that keeps the first never reads."""
    lies = [part[:-16] + bytes(16) for part in parts[:-1]]
    return [*chain(*zip(parts[:-1], lies, strict=True)), parts[-1]]


fragmented(
    "each contradicted by a later copy",
    reassembled(2 * number_of(16) - 2, fragments_repeated=2 * (number_of(16) - 2)),
    partial(in_fragments, contradicted),
)


FOUR_ALONE = number_of(16)


def preceded(parts: list[bytes]) -> list[bytes]:
    """Of a request: a last fragment of other bytes before the real one."""
    return [parts[0], parts[1][:-8] + tls.request(0), parts[1]] if len(parts) == 2 else parts


GROUP.case(
    "the request contradicted by an earlier copy, which is read: the answer shows the leak",
    *(1016010, 1016100), verdict=Verdict.LEAKED, leaked=CLAIMED,
    counted={"fragments": FOUR_ALONE + 1, "packets_reassembled": 2, "packets_incomplete": 1},
)(partial(in_fragments, preceded, families=(FOUR,)))  # fmt: skip


def decoys(parts: list[bytes]) -> list[bytes]:
    """Before each fragment one of other bytes whose header checksum no router lets pass."""
    if parts[0][0] >> 4 == 6:
        return parts  # IPv6 has none
    lies = [part[:10] + bytes([part[10] ^ 0x55]) + part[11:-16] + bytes(16) for part in parts[:-1]]
    return [*chain(*zip(lies, parts[:-1], strict=True)), parts[-1]]


fragmented(
    "over IPv4 with decoys before them, whose header checksums are wrong",
    reassembled(FOUR_ALONE, fragments=2 * FOUR_ALONE + FOUR_ALONE - 2, fragments_refused=FOUR_ALONE - 2),
    partial(in_fragments, decoys),
)


# --- frames cut short, frames seen twice ------------------------------------------------------------------------------


def attacked() -> Conversation:
    return leak(Conversation(network=scapy_ip).connect().say_hello())


def cut(bytes_kept: int) -> Conversation:
    conversation = attacked()
    for packet in conversation.packets:
        packet.captured_bytes = bytes_kept
    return conversation


def repeated(*, relay: Wrap | None = None) -> list[Frame]:
    """Every frame twice; the second time as it left a router, with one hop less and whatever that wraps it in."""
    frames = []
    for frame in attacked().frames():
        packet = IP(frame.data[14:])
        if relay is not None:
            packet.ttl -= 1
            del packet.chksum
        copy = (relay or ETHERNET.wrap)(bytes(packet))
        frames += [frame, Frame(frame.time_ns + 1_000, copy, len(copy))]
    return frames


def cut_short(bytes_kept: int, *alerts: int, leaked: int, note: str = "", **counted: int) -> None:
    GROUP.case(
        f"frames cut after {bytes_kept} bytes{note}: what was kept is measured",
        *alerts,
        verdict=Verdict.LEAKED,
        leaked=leaked,
        counted=counted,
    )(partial(cut, bytes_kept))


HEADERS_BYTES = 14 + 20 + 20
KEPT_PACKETS = 12  # of the answer, each cut
TAIL_BYTES = 24  # of the answer's last packet, which is whole
cut_short(
    68,
    *(1016003, 1016100, 1016102),
    leaked=KEPT_PACKETS * (68 - HEADERS_BYTES) - 8,
    note=" (the ServerHello cannot be read)",
    stream_gaps=14,
    hello_incomplete=2,
)
cut_short(128, *LEAK, leaked=KEPT_PACKETS * (128 - HEADERS_BYTES) - 8, stream_gaps=12)
cut_short(1_000, *LEAK, leaked=KEPT_PACKETS * (1_000 - HEADERS_BYTES) - 8, stream_gaps=12)


@GROUP.case(
    "frames cut after their headers: nothing can be seen, and it is counted",
    verdict=Verdict.CLEAR,
    counted={"stream_gaps": 15},
)
def headers_alone() -> Conversation:
    return cut(HEADERS_BYTES)


COPIES = {"segments_repeated": 15}


@GROUP.leak(
    "every packet twice, as a two-way span port shows it",
    counted=COPIES,
)
def copies() -> list[Frame]:
    return repeated()


@GROUP.leak(
    "every packet twice, before and behind a router that tags it",
    counted=COPIES,
)
def copies_behind_a_router() -> list[Frame]:
    return repeated(relay=lambda packet: over(ETHER, Dot1Q(vlan=9, type=ethertype(packet)))(packet))


@GROUP.leak(
    "every packet twice, plain and in VXLAN",
    counted=COPIES,
)
def copies_in_a_tunnel() -> list[Frame]:
    return repeated(relay=lambda packet: ETHERNET.wrap(over_ethernet(*udp(4789, VXLAN(vni=1)))(packet)))
