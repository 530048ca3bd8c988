"""Packets whose headers scapy builds, checksums and all: a witness for what the builders beside it write by hand."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

__all__ = ["scapy_ip"]


def scapy_ip(source: str, target: str, ttl: int, segment: bytes) -> bytes:
    """A :data:`~tests.support.framing.Network` for TCP."""
    tcp = TCP(segment)
    del tcp.chksum
    header = IPv6(src=source, dst=target, hlim=ttl) if ":" in source else IP(src=source, dst=target, ttl=ttl)
    return bytes(header / tcp)
