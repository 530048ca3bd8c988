"""What stands before IP: link layers, VLAN tags (IEEE 802.1Q), MPLS (RFC 3032, pseudowires RFC 4448), PPP (RFC 1661)
and PPPoE (RFC 2516)."""

from __future__ import annotations

from typing import Literal

from hbids.decode.reference.layers import BE16, GROUP_MAC, Layer, Next, Step, Walk, sum_mod_ffff

__all__ = ["by_ethertype", "first_layer", "read_ethernet", "read_mpls", "read_ppp", "read_pppoe", "read_vlan"]

LINK_NULL, LINK_ETHERNET, LINK_LOOP, LINK_SLL, LINK_SLL2 = 0, 1, 108, 113, 276
LINKS_RAW_IP = (12, 14, 101, 228, 229)
LINKS_PPP = (9, 50)
LINK_PPPOE = 51
# Address families that BSD systems and Linux write for IPv4 and IPv6 on loopback captures.
NULL_FAMILIES = (2, 10, 24, 28, 30)
BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
LAYER_OF_ETHERTYPE = {
    ETHERTYPE_IPV4: Layer.IP,
    ETHERTYPE_IPV6: Layer.IP,
    0x8100: Layer.VLAN,
    0x88A8: Layer.VLAN,
    0x9100: Layer.VLAN,
    0x8847: Layer.MPLS,
    0x8848: Layer.MPLS,
    0x8864: Layer.PPPOE,
    0x6558: Layer.ETHERNET,
    0x888E: Layer.EAPOL,
}
LAYER_OF_PPP = {0x0021: Layer.IP, 0x0057: Layer.IP, 0x0281: Layer.MPLS, 0x0283: Layer.MPLS}
PPP_ADDRESS_CONTROL = b"\xff\x03"
CISCO_HDLC = (b"\x0f\x00", b"\x8f\x00")
PPPOE_VERSION_TYPE, PPPOE_SESSION = 0x11, 0
PPPOE_HEADER_BYTES = 6
CONTROL_WORD_BYTES = 4


def first_layer(walk: Walk, link_type: int, frame: bytes) -> Step:
    """Where the walk through a frame begins."""
    if link_type == LINK_ETHERNET:
        return Next(Layer.ETHERNET, frame)
    if link_type in LINKS_RAW_IP:
        return Next(Layer.IP, frame)
    if link_type in LINKS_PPP:
        return Next(Layer.PPP, frame)
    if link_type == LINK_PPPOE:
        return Next(Layer.PPPOE, frame)
    if link_type == LINK_SLL:
        walk.macs = GROUP_MAC + frame[6:12]
        return _ethertype_at(14, frame, 16)
    if link_type == LINK_SLL2:
        walk.macs = GROUP_MAC + frame[12:18]
        return _ethertype_at(0, frame, 20)
    if link_type in (LINK_NULL, LINK_LOOP):
        if len(frame) < 4:
            return "frame_truncated"
        if not any(int.from_bytes(frame[:4], order) in NULL_FAMILIES for order in BYTE_ORDERS):
            return "not_ip"
        return Next(Layer.IP, frame[4:])
    return "link_type_unsupported"


def by_ethertype(ethertype: int, data: bytes) -> Step:
    """What an ethertype says stands next."""
    layer = LAYER_OF_ETHERTYPE.get(ethertype)
    return "not_ip" if layer is None else Next(layer, data)


def read_ethernet(walk: Walk, data: bytes) -> Step:
    """Two addresses and an ethertype."""
    walk.macs = data[:12]
    return _ethertype_at(12, data, 14)


def read_vlan(walk: Walk, data: bytes) -> Step:
    """What follows the ethertype of a tag: the tag and another ethertype."""
    if len(data) < 4:
        return "frame_truncated"
    walk.tags.append(BE16.unpack_from(data)[0] & 0x0FFF)
    return _ethertype_at(2, data, 4)


def read_mpls(_walk: Walk, data: bytes) -> Step:
    """A stack of labels, and a payload whose kind only its first bytes tell: IP, or Ethernet (a pseudowire) with or
    without control word."""
    at = 0
    while True:
        if len(data) < at + 4:
            return "frame_truncated"
        at += 4
        if data[at - 2] & 1:  # bottom of stack
            break
    payload = data[at:]
    if not payload:
        return "frame_truncated"
    # The address that begins an Ethernet frame may look like the first byte of IP.
    if payload[0] >> 4 in (4, 6) and (_is_sound_ip(payload) or not _looks_like_ethernet(payload)):
        return Next(Layer.IP, payload)
    if payload[0] >> 4 == 0 and _looks_like_ethernet(payload[CONTROL_WORD_BYTES:]):
        return Next(Layer.ETHERNET, payload[CONTROL_WORD_BYTES:])
    return Next(Layer.ETHERNET, payload) if _looks_like_ethernet(payload) else "not_ip"


def read_pppoe(_walk: Walk, data: bytes) -> Step:
    """A session's header; discovery carries nothing."""
    if len(data) < PPPOE_HEADER_BYTES:
        return "frame_truncated"
    if data[0] != PPPOE_VERSION_TYPE:
        return "tunnel_unreadable"
    if data[1] != PPPOE_SESSION:
        return "not_ip"
    return Next(Layer.PPP, data[PPPOE_HEADER_BYTES : PPPOE_HEADER_BYTES + BE16.unpack_from(data, 4)[0]])


def read_ppp(_walk: Walk, data: bytes) -> Step:
    """A protocol number of one or two bytes, in HDLC-like framing (RFC 1662) or not; or Cisco's HDLC."""
    if data[:2] in CISCO_HDLC:
        return _ethertype_at(2, data, 4)
    at = 2 if data[:2] == PPP_ADDRESS_CONTROL else 0
    width = 1 if data[at : at + 1] and data[at] & 1 else 2
    if len(data) < at + width:
        return "frame_truncated"
    layer = LAYER_OF_PPP.get(int.from_bytes(data[at : at + width], "big"))
    return "not_ip" if layer is None else Next(layer, data[at + width :])


def _ethertype_at(at: int, data: bytes, header_bytes: int) -> Step:
    if len(data) < header_bytes:
        return "frame_truncated"
    return by_ethertype(BE16.unpack_from(data, at)[0], data[header_bytes:])


def _is_sound_ip(payload: bytes) -> bool:
    """Whether it is a packet by more than its first bits: by its checksum, or by its length where it has none."""
    if payload[0] >> 4 == 6:
        return len(payload) >= 40 and 40 + BE16.unpack_from(payload, 4)[0] == len(payload)
    header = payload[: (payload[0] & 0x0F) * 4]
    return len(header) >= 20 and sum_mod_ffff(header) == 0


def _looks_like_ethernet(data: bytes) -> bool:
    """Whether an ethertype stands where Ethernet has it, and IP, if it speaks of IP, is there."""
    if len(data) < 15:
        return False
    ethertype = BE16.unpack_from(data, 12)[0]
    if ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
        return data[14] >> 4 == (4 if ethertype == ETHERTYPE_IPV4 else 6)
    return ethertype in LAYER_OF_ETHERTYPE
