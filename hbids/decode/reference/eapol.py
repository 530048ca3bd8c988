"""EAPOL (IEEE 802.1X-2020 clause 11): EAP on a network itself, between a supplicant and the authenticator next to it.

There is no IP. Each MAC address stands in the facts as the link-local IPv6 address that is made of it (RFC 4291
appendix A).
"""

from __future__ import annotations

from hbids.decode.reference.layers import BE16, GROUP_MAC, Eapol, Step, Walk

__all__ = ["GROUP_ADDRESS", "link_local", "read_eapol"]

HEADER_BYTES = 4
EAP_PACKET = 0
UNIVERSAL = 0x02
"""The bit of a MAC address that an interface identifier has the other way round."""


def link_local(mac: bytes) -> bytes:
    """The IPv6 address that stands for a MAC address."""
    return b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ UNIVERSAL]) + mac[1:3] + b"\xff\xfe" + mac[3:6]


GROUP_ADDRESS = link_local(GROUP_MAC)


def read_eapol(walk: Walk, data: bytes) -> Step:
    """Of EAPOL's packets only those that carry EAP are of interest."""
    if len(data) < HEADER_BYTES:
        return "frame_truncated"
    if data[1] != EAP_PACKET:
        return "not_ip"
    length = BE16.unpack_from(data, 2)[0]
    source, target = link_local(walk.macs[6:]), link_local(walk.macs[:6])
    return Eapol(source, target, walk.vlan, data[HEADER_BYTES : HEADER_BYTES + length], length)
