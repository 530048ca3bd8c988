"""Every tunnel hbids reads, built by scapy around an IP packet. Teredo, which scapy does not know, is built by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scapy.contrib.erspan import ERSPAN_I, ERSPAN_II, ERSPAN_III, ERSPAN_PlatformSpecific
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.mpls import MPLS, EoMCW
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import GRE, GRE_PPTP, Dot1Q, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from tests.support.framing import ETHERNET, Link, ethertype

if TYPE_CHECKING:
    from scapy.packet import Packet

Wrap = Callable[[bytes], bytes]
"""An IP packet to what is sent in its place."""

ETHER = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
OUTER = IP(src="192.0.2.1", dst="192.0.2.2")
OUTER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
PPP_IP = {0x0800: 0x0021, 0x86DD: 0x0057}


def ethernet(packet: bytes) -> Packet:
    """The inner frame of a tunnel that carries Ethernet."""
    return ETHER / Raw(packet) if not packet else Ether(ETHERNET.wrap(packet))


def over(*headers: Packet) -> Wrap:
    """These headers, and the packet behind them."""

    def wrap(packet: bytes) -> bytes:
        return bytes(_stack(*headers, Raw(packet)))

    return wrap


def over_ethernet(*headers: Packet) -> Wrap:
    """These headers, and the packet in an Ethernet frame behind them."""
    return lambda packet: over(*headers)(ETHERNET.wrap(packet))


def _stack(first: Packet, *rest: Packet) -> Packet:
    packet = first.copy()
    for header in rest:
        packet /= header.copy()
    return packet


def gre(**fields: Any) -> Wrap:
    return lambda packet: over(OUTER, GRE(proto=ethertype(packet), **fields))(packet)


def ip_in_ip(packet: bytes) -> bytes:
    return over(OUTER.__class__(src=OUTER.src, dst=OUTER.dst, proto=41 if packet[0] >> 4 == 6 else 4))(packet)


def ip_in_ipv6(packet: bytes) -> bytes:
    return over(IPv6(src=OUTER6.src, dst=OUTER6.dst, nh=41 if packet[0] >> 4 == 6 else 4))(packet)


def behind_options_in_ipv6(packet: bytes) -> bytes:
    options = IPv6ExtHdrDestOpt(nh=41 if packet[0] >> 4 == 6 else 4)
    return over(IPv6(src=OUTER6.src, dst=OUTER6.dst), options)(packet)


def pptp(packet: bytes) -> bytes:
    return over(OUTER, GRE_PPTP(seqnum_present=1, acknum_present=1), PPP(proto=PPP_IP[ethertype(packet)]))(packet)


def udp(port: int, *headers: Packet) -> tuple[Packet, ...]:
    return OUTER, UDP(sport=50_000, dport=port), *headers


def vxlan_gpe(packet: bytes) -> bytes:
    kind = 2 if packet[0] >> 4 == 6 else 1
    return over(*udp(4790, VXLAN(flags="Instance+NextProtocol", NextProtocol=kind)))(packet)


def geneve_ip(packet: bytes) -> bytes:
    return over(*udp(6081, GENEVE(vni=7, proto=ethertype(packet))))(packet)


def teredo(header: bytes = b"") -> Wrap:
    """Teredo carries IPv6 only; other packets come in a tunnel of their own."""

    def wrap(packet: bytes) -> bytes:
        inner = packet if packet[0] >> 4 == 6 else ip_in_ipv6(packet)
        return over(*udp(3544, Raw(header)))(inner)

    return wrap


IN_IP: dict[str, Wrap] = {
    "IP in IPv4": ip_in_ip,
    "IP in IPv6": ip_in_ipv6,
    "IP in IPv6 behind options": behind_options_in_ipv6,
    "GRE": gre(),
    "GRE with checksum, key and sequence": gre(
        chksum_present=1, key_present=1, key=5, seqnum_present=1, sequence_number=9
    ),
    "GRE in IPv6": lambda packet: over(OUTER6, GRE(proto=ethertype(packet)))(packet),
    "GRE with Ethernet": over_ethernet(OUTER, GRE(proto=0x6558)),
    "NVGRE": over_ethernet(OUTER, GRE(proto=0x6558, key_present=1, key=0x123456)),
    "PPTP": pptp,
    "ERSPAN I": over_ethernet(OUTER, GRE(), ERSPAN_I()),
    "ERSPAN II": over_ethernet(OUTER, GRE(seqnum_present=1, sequence_number=1), ERSPAN_II(vlan=9)),
    "ERSPAN III": over_ethernet(OUTER, GRE(seqnum_present=1, sequence_number=1), ERSPAN_III(vlan=9)),
    "ERSPAN III of a platform": over_ethernet(
        OUTER, GRE(seqnum_present=1, sequence_number=1), ERSPAN_III(o=1), ERSPAN_PlatformSpecific()
    ),
    "VXLAN": over_ethernet(*udp(4789, VXLAN(vni=42))),
    "VXLAN on the port of old Linux": over_ethernet(*udp(8472, VXLAN(vni=42))),
    "VXLAN with a group policy": over_ethernet(*udp(4789, VXLAN(flags="Instance+G", gpid=3))),
    "VXLAN in IPv6": over_ethernet(OUTER6, UDP(sport=50_000, dport=4789), VXLAN(vni=42)),
    "VXLAN-GPE with IP": vxlan_gpe,
    "VXLAN-GPE with Ethernet": over_ethernet(*udp(4790, VXLAN(flags="Instance+NextProtocol", NextProtocol=3))),
    "GENEVE": over_ethernet(*udp(6081, GENEVE(vni=7, proto=0x6558))),
    "GENEVE with options": over_ethernet(
        *udp(6081, GENEVE(critical=1, proto=0x6558, options=GeneveOptions(data=b"8 bytes.")))
    ),
    "GENEVE with IP": geneve_ip,
    "GTP-U": over(*udp(2152, GTP_U_Header(teid=1, gtp_type=255))),
    "GTP-U with a sequence number": over(*udp(2152, GTP_U_Header(teid=1, gtp_type=255, S=1, seq=3))),
    "GTP-U with an extension header": over(
        *udp(2152, GTP_U_Header(teid=1, gtp_type=255, E=1, next_ex=0x85), GTPPDUSessionContainer(QFI=9))
    ),
    "Teredo": teredo(),
    "Teredo with an origin": teredo(bytes.fromhex("0000 1234 c0000201")),
    "Teredo with authentication": teredo(bytes.fromhex("0001 02 03 aabb cccccc 0102030405060708 00")),
    "Teredo with both": teredo(bytes.fromhex("0001 00 00 0102030405060708 00 0000 1234 c0000201")),
}
"""Tunnels from IP packet to IP packet."""


def pppoe(packet: bytes) -> bytes:
    return over(ETHER, PPPoE(sessionid=1), PPP(proto=PPP_IP[ethertype(packet)]))(packet)


def ppp(*headers: Packet) -> Wrap:
    return lambda packet: over(*headers, PPP(proto=PPP_IP[ethertype(packet)]))(packet)


def cisco_hdlc(packet: bytes) -> bytes:
    return b"\x0f\x00" + ethertype(packet).to_bytes(2, "big") + packet


def labels(*, multicast: bool = False, depth: int = 1) -> tuple[Packet, ...]:
    ether = Ether(dst=ETHER.dst, src=ETHER.src, type=0x8848 if multicast else 0x8847)
    return ether, *(MPLS(label=100 + at, s=int(at == depth - 1)) for at in range(depth))


ON_LINKS: dict[str, Link] = {
    "PPPoE": Link(1, pppoe),
    "PPPoE in a VLAN": Link(
        1, lambda packet: over(ETHER, Dot1Q(vlan=5), PPPoE(), PPP(proto=PPP_IP[ethertype(packet)]))(packet)
    ),
    "PPP": Link(9, ppp()),
    "PPP in HDLC framing": Link(9, ppp(HDLC())),
    "PPP with a short protocol": Link(9, lambda packet: bytes([PPP_IP[ethertype(packet)]]) + packet),
    "PPP over a serial line": Link(50, ppp(HDLC())),
    "Cisco HDLC": Link(50, cisco_hdlc),
    "PPPoE without Ethernet": Link(51, lambda packet: pppoe(packet)[14:]),
    "MPLS": Link(1, over(*labels())),
    "MPLS multicast": Link(1, over(*labels(multicast=True))),
    "MPLS of five labels": Link(1, over(*labels(depth=5))),
    "pseudowire with control word": Link(1, over_ethernet(*labels(depth=2), EoMCW())),
    "pseudowire without control word": Link(1, over_ethernet(*labels(depth=2))),
    "MPLS in PPP": Link(9, over(PPP(proto=0x0281), MPLS(label=1, s=1))),
}
"""What stands between link and IP."""
