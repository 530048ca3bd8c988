"""Tunnels over IP: GRE (RFC 2784, 2890; NVGRE, RFC 7637; PPTP, RFC 2637), with ERSPAN in it (draft-foschiano-erspan).
Tunnels over UDP: VXLAN (RFC 7348, draft-ietf-nvo3-vxlan-gpe), GENEVE (RFC 8926), GTP-U (3GPP TS 29.281), Teredo (RFC
4380).

Those over UDP are known by their port only, so what does not look like the tunnel is a datagram like any other. A
DTLS record (versions 1.0 and 1.2) never looks like one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.decode.reference.layers import BE16, Layer, Next, Step, Walk
from hbids.decode.reference.link import LAYER_OF_ETHERTYPE, by_ethertype

if TYPE_CHECKING:
    from hbids.config import Limits
    from hbids.decode.reference.layers import TunnelReader

__all__ = ["read_gre", "tunnels_by_port"]

GRE_CHECKSUM, GRE_ROUTING, GRE_KEY, GRE_SEQUENCE, GRE_ACK = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
GRE_VERSION, GRE_PPTP = 0x0007, 1
PROTOCOL_ERSPAN, PROTOCOL_ERSPAN_III, PROTOCOL_PPP = 0x88BE, 0x22EB, 0x880B

VXLAN_HEADER_BYTES = 8
VXLAN_VALID, VXLAN_GPE, VXLAN_VERSION = 0x08, 0x04, 0x30
LAYER_OF_GPE = {1: Layer.IP, 2: Layer.IP, 3: Layer.ETHERNET, 5: Layer.MPLS}
GENEVE_HEADER_BYTES = 8
GTP_G_PDU = 0xFF
TEREDO_AUTHENTICATION, TEREDO_ORIGIN = b"\0\1", b"\0\0"
TEREDO_ORIGIN_BYTES = 8


def tunnels_by_port(limits: Limits) -> dict[int, TunnelReader]:
    """The reader for each UDP port; of tunnels that share a port, the last one here has it."""
    readers: dict[int, TunnelReader] = {}
    for ports, reader in (
        (limits.vxlan_ports, _vxlan),
        (limits.geneve_ports, _geneve),
        (limits.gtp_ports, _gtp),
        (limits.teredo_ports, _teredo),
    ):
        readers |= dict.fromkeys(ports, reader)
    return readers


def read_gre(_walk: Walk, data: bytes) -> Step:
    """Versions 0 and 1. Source routes, which no system sends or takes, are not read."""
    if len(data) < 4:
        return "frame_truncated"
    flags, protocol = BE16.unpack_from(data)[0], BE16.unpack_from(data, 2)[0]
    version = flags & GRE_VERSION
    if version > GRE_PPTP or flags & GRE_ROUTING:
        return "tunnel_unreadable"
    optional = GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE, *([GRE_ACK] if version == GRE_PPTP else [])
    start = 4 + 4 * sum(bool(flags & flag) for flag in optional)
    if len(data) < start:
        return "frame_truncated"
    payload = data[start:]
    if version == GRE_PPTP and not flags & GRE_SEQUENCE:
        return "not_ip"  # an acknowledgement alone
    if protocol == PROTOCOL_PPP:
        return Next(Layer.PPP, payload)
    if protocol == PROTOCOL_ERSPAN:
        # Type I has neither sequence number nor header.
        return _erspan_ii(payload) if flags & GRE_SEQUENCE else Next(Layer.ETHERNET, payload)
    if protocol == PROTOCOL_ERSPAN_III:
        return _erspan_iii(payload)
    return by_ethertype(protocol, payload)


def _erspan_ii(data: bytes) -> Step:
    if len(data) < 8:
        return "frame_truncated"
    return Next(Layer.ETHERNET, data[8:]) if data[0] >> 4 == 1 else "tunnel_unreadable"


def _erspan_iii(data: bytes) -> Step:
    if len(data) < 12:
        return "frame_truncated"
    if data[0] >> 4 != 2:
        return "tunnel_unreadable"
    start = 20 if data[11] & 1 else 12  # a platform's own header follows
    if len(data) < start:
        return "frame_truncated"
    layer = {0: Layer.ETHERNET, 2: Layer.IP}.get(data[10] >> 2 & 0x1F)
    return "tunnel_unreadable" if layer is None else Next(layer, data[start:])


def _vxlan(data: bytes) -> Next | None:
    """Also its generic extension, which says what it carries."""
    if len(data) < VXLAN_HEADER_BYTES or data[0] & (VXLAN_VERSION | VXLAN_VALID) != VXLAN_VALID:
        return None
    layer = LAYER_OF_GPE.get(data[3]) if data[0] & VXLAN_GPE else Layer.ETHERNET
    return layer and Next(layer, data[VXLAN_HEADER_BYTES:])


def _geneve(data: bytes) -> Next | None:
    if len(data) < GENEVE_HEADER_BYTES or data[0] >> 6 != 0 or data[1] & 0x3F:
        return None
    layer = LAYER_OF_ETHERTYPE.get(BE16.unpack_from(data, 2)[0])
    start = GENEVE_HEADER_BYTES + (data[0] & 0x3F) * 4
    return Next(layer, data[start:]) if layer and len(data) >= start else None


def _gtp(data: bytes) -> Next | None:
    if len(data) < 8 or data[0] >> 4 != 3 or data[1] != GTP_G_PDU:
        return None
    end = 8 + BE16.unpack_from(data, 2)[0]
    start = 8
    if data[0] & 7:  # sequence number, N-PDU number, extension headers: one brings room for all
        start = 12
        following = data[11:12] if data[0] & 4 else b""
        while following not in (b"", b"\0"):
            units = data[start] if start < len(data) else 0
            if units == 0:
                return None
            start += units * 4
            following = data[start - 1 : start]
    inner = data[start:end]
    return Next(Layer.IP, inner) if _is_ip(inner) else None


def _teredo(data: bytes) -> Next | None:
    if data[:2] == TEREDO_AUTHENTICATION and len(data) >= 4:
        data = data[4 + data[2] + data[3] + 9 :]  # identifier, authentication value, nonce and confirmation
    if data[:2] == TEREDO_ORIGIN:
        data = data[TEREDO_ORIGIN_BYTES:]
    return Next(Layer.IP, data) if data and data[0] >> 4 == 6 else None


def _is_ip(data: bytes) -> bool:
    return bool(data) and data[0] >> 4 in (4, 6)
