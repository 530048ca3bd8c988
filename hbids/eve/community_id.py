"""Community ID version 1: one name for a flow that every tool computes alike (corelight/community-id-spec)."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from ipaddress import ip_address

from hbids.facts import PROTOCOL_EAPOL

__all__ = ["community_id"]


def community_id(protocol: int, ip_a: str, port_a: int, ip_b: str, port_b: int, *, seed: int = 0) -> str:
    """Name the flow between two endpoints, the same whichever comes first. For protocols with ports, and for EAPOL,
    of which no other tool has a name: it gets that of an IP protocol without ports.

    ``protocol`` is the IP protocol number, ``seed`` 0 to 65535. Raises ValueError when an address is none.
    """
    low, high = sorted((ip_address(ip).packed, port.to_bytes(2)) for ip, port in ((ip_a, port_a), (ip_b, port_b)))
    hashed = seed.to_bytes(2) + low[0] + high[0] + bytes((protocol, 0))
    if protocol != PROTOCOL_EAPOL:
        hashed += low[1] + high[1]
    return "1:" + b64encode(sha1(hashed, usedforsecurity=False).digest()).decode()
