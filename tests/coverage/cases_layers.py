"""TLS under tags, tunnels and fragments. All of these headers are built by scapy."""

from __future__ import annotations

from functools import partial

from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS, EoMCW
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q
from scapy.layers.vxlan import VXLAN

from hbids.config import Limits
from hbids.facts import Verdict
from tests.coverage.casebook import LEAK, Group
from tests.coverage.exchanges import honest, leak
from tests.support import framing
from tests.support.conversation import Conversation
from tests.support.framing import ETHERNET, Link, ethertype
from tests.support.scapy_ip import scapy_ip
from tests.support.tunnels import ETHER, IN_IP, ON_LINKS, OUTER6, Wrap, ip_in_ip, labels, over, over_ethernet, udp

GROUP = Group(
    "Tunnels and layers",
    "Where nothing else is said, each capture holds a leak of 16,384 bytes over IPv4, one over IPv6, and an honest "
    "heartbeat, all wrapped alike.",
    made_by="scapy",
)

V6 = "fd66::2:443"
EVERYWHERE = {V6: Verdict.LEAKED, "10.0.0.3:443": Verdict.EXPOSED}
LEAKED_BYTES = 2 * 0x4000


def wrapped(link: Link) -> list[Conversation]:
    hosts = (("10.0.0.1", "10.0.0.2", leak), ("fd66::1", "fd66::2", leak), ("10.0.0.1", "10.0.0.3", honest))
    return [
        exchange(Conversation(client=client, server=server, link=link, network=scapy_ip).connect().say_hello())
        for client, server, exchange in hosts
    ]


def wrapping(item: str, link: Link) -> None:
    GROUP.case(
        item,
        *LEAK * 2,
        verdict=Verdict.LEAKED,
        others=EVERYWHERE,
        leaked=LEAKED_BYTES,
    )(partial(wrapped, link))


# --- tags and links ---------------------------------------------------------------------------------------------------


def tags(*layers: Dot1Q | Dot1AD) -> Wrap:
    """The innermost of them tells what it carries."""

    def wrap(packet: bytes) -> bytes:
        *outer, last = layers
        innermost = last.copy()
        innermost.type = ethertype(packet)
        return over(ETHER, *outer, innermost)(packet)

    return wrap


def tag_by_direction(packet: bytes) -> bytes:
    """Another tag for what clients send, which have addresses that end in 1."""
    version_6 = packet[0] >> 4 == 6
    return tags(Dot1Q(vlan=packet[23 if version_6 else 15]))(packet)


def tag_one_way(packet: bytes) -> bytes:
    from_client = packet[23 if packet[0] >> 4 == 6 else 15] == 1
    return tags(Dot1Q(vlan=7))(packet) if from_client else ETHERNET.wrap(packet)


wrapping("nothing but Ethernet", ETHERNET)
wrapping("a VLAN tag", Link(1, tags(Dot1Q(vlan=7))))
wrapping("a priority tag (VLAN 0)", Link(1, tags(Dot1Q(vlan=0, prio=5))))
wrapping("stacked VLAN, 0x88a8 and 0x8100", Link(1, tags(Dot1AD(vlan=7), Dot1Q(vlan=8))))
wrapping("stacked VLAN, 0x8100 twice", Link(1, tags(Dot1Q(vlan=7), Dot1Q(vlan=8))))
wrapping("stacked VLAN, three deep", Link(1, tags(Dot1AD(vlan=7), Dot1AD(vlan=8), Dot1Q(vlan=9))))
wrapping("stacked VLAN, ten deep", Link(1, tags(*(Dot1Q(vlan=number) for number in range(1, 11)))))
wrapping("another VLAN for each direction", Link(1, tag_by_direction))
wrapping("a VLAN tag in one direction only", Link(1, tag_one_way))

for name, on_link in ON_LINKS.items():
    wrapping(name, on_link)
for name, on_link in {
    "raw IP": framing.RAW,
    "Linux cooked capture": framing.LINUX_SLL,
    "Linux cooked capture v2": framing.LINUX_SLL2,
    "BSD loopback": framing.NULL,
    "OpenBSD loopback": framing.LOOP,
}.items():
    wrapping(name, on_link)


# --- tunnels ----------------------------------------------------------------------------------------------------------

NAMED = {"IP in IPv4": "IP in IPv4: also 6in4", "IP in IPv6": "IP in IPv6: also 4in6"}


def in_ethernet(wrap: Wrap) -> Link:
    return Link(1, lambda packet: ETHERNET.wrap(wrap(packet)))


for name, tunnel in IN_IP.items():
    wrapping(NAMED.get(name, name), in_ethernet(tunnel))

wrapping(
    "GTP-U in VXLAN in stacked VLAN",
    Link(
        1,
        over(
            ETHER, Dot1AD(vlan=7), Dot1Q(vlan=8), *udp(4789, VXLAN(vni=1)), ETHER,
            *udp(2152, GTP_U_Header(teid=1, gtp_type=255)),
        ),
    ),
)  # fmt: skip
wrapping(
    "VXLAN in a VLAN in a pseudowire",
    Link(
        1,
        over_ethernet(
            labels()[0], MPLS(label=9, s=1), EoMCW(), ETHER, Dot1Q(vlan=30), *udp(4789, VXLAN(vni=1))
        ),
    ),
)  # fmt: skip
wrapping(
    "IP in IP twice, in GRE in IPv6",
    Link(1, lambda packet: over(ETHER, OUTER6, GRE(proto=0x0800))(ip_in_ip(ip_in_ip(packet)))),
)
wrapping(
    "GENEVE in ERSPAN I",
    Link(1, over_ethernet(ETHER, *udp(6081)[:1], GRE(proto=0x88BE), ETHER, *udp(6081, GENEVE(proto=0x6558)))),
)


def one_way_tunnel(packet: bytes) -> bytes:
    from_client = packet[23 if packet[0] >> 4 == 6 else 15] == 1
    return ETHERNET.wrap(ip_in_ip(packet) if from_client else packet)


wrapping("a tunnel in one direction only, as behind a load balancer", Link(1, one_way_tunnel))

MOST_TAGS = Limits().layers - 3  # Ethernet, IP and TCP are the others
wrapping(f"as many headers as `limits.layers` allows ({Limits().layers})", Link(1, tags(*[Dot1Q(vlan=1)] * MOST_TAGS)))


@GROUP.case(
    "one header more than `limits.layers`: every frame is counted",
    verdict=Verdict.CLEAR,
    counted={"layers_exceeded": sum(len(each.packets) for each in wrapped(ETHERNET))},
)
def too_deep() -> list[Conversation]:
    return wrapped(Link(1, tags(*[Dot1Q(vlan=1)] * (MOST_TAGS + 1))))
