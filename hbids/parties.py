"""Whose memory rows of facts speak of, and who is after it.

An endpoint is an address and a port over an IP protocol and TLS or DTLS; a client is an endpoint without a port, since
its ports mean nothing. Addresses travel as two 64-bit words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import numpy as np

from hbids.facts import Direction, Kind, Rows, Transport
from hbids.keyed import Flags, Integers, Keys, Words, fingerprint

if TYPE_CHECKING:
    from hbids.facts import Finding

__all__ = [
    "Parties",
    "address_text",
    "address_words",
    "networks_of",
    "of_heartbeats",
    "of_rows",
    "victim_key",
    "words_text",
]

_MOST_PARSED = 4_096
_MAPPED = np.uint64(0xFFFF0000)
"""Low half of the second word of an IPv4-mapped address."""
_WITHOUT_LAST_OCTET = np.uint64(0x00FFFFFFFFFFFFFF)


@dataclass(slots=True)
class Parties:
    """Of n rows; every array has shape (n,)."""

    victims: Keys
    """The endpoint's address in two words; its port, side, transport and IP protocol in one."""
    sources: tuple[Words, Words]
    """The address."""
    endpoints: Words
    """A fingerprint of each victim."""

    @property
    def sides(self) -> Words:
        """Which side each victim is: a Direction."""
        return self.victims[2] >> np.uint64(16) & np.uint64(0xFF)

    @property
    def marks(self) -> Words:
        """A fingerprint of each source."""
        return fingerprint(*self.sources)

    def __getitem__(self, index: Flags | Integers) -> Parties:
        (one, two, three), (high, low) = self.victims, self.sources
        return Parties((one[index], two[index], three[index]), (high[index], low[index]), self.endpoints[index])


def of_heartbeats(heartbeats: Rows) -> Parties:
    """A request speaks of the endpoint it goes to, an answer of the one it comes from."""
    to_server = heartbeats["direction"] == Direction.TO_SERVER
    return of_rows(heartbeats, to_server != (heartbeats["kind"] == Kind.RESPONSE))


def of_rows(rows: Rows, server_is_victim: Flags) -> Parties:
    """Of rows of any table of facts."""
    clients, servers = _addresses(rows, "client_addr"), _addresses(rows, "server_addr")
    port_and_side = rows["server_port"].astype(np.uint64) | np.uint64(Direction.TO_SERVER << 16)
    if not server_is_victim.all():
        servers, clients = _chosen(server_is_victim, servers, clients), _chosen(server_is_victim, clients, servers)
        port_and_side = np.where(server_is_victim, port_and_side, np.uint64(Direction.TO_CLIENT << 16))
    last = port_and_side | rows["transport"].astype(np.uint64) << np.uint64(24)
    last |= rows["protocol"].astype(np.uint64) << np.uint64(32)
    return Parties((*servers, last), clients, fingerprint(*servers, last))


def victim_key(finding: Finding) -> tuple[int, int, int]:
    """The words of the endpoint that a finding speaks of, as in :attr:`Parties.victims`."""
    flow, side = finding.flow, finding.victim
    address, port = (flow.client_ip, 0) if side == Direction.TO_CLIENT else (flow.server_ip, flow.server_port)
    side = Direction.TO_CLIENT if side == Direction.TO_CLIENT else Direction.TO_SERVER
    transport = Transport[finding.context["transport"].upper()]
    return (*address_words(address), port | side << 16 | transport << 24 | flow.protocol << 32)


def networks_of(addresses: tuple[Words, Words]) -> tuple[Words, Words]:
    """The networks that addresses are in: /24 of IPv4, /64 of IPv6, which one owner holds as a rule."""
    high, low = addresses
    mapped = (high == 0) & (low & np.uint64(0xFFFFFFFF) == _MAPPED)
    return high, low & np.where(mapped, _WITHOUT_LAST_OCTET, np.uint64(0))


def address_text(address: bytes) -> str:
    """Sixteen bytes as text; v4-mapped addresses as IPv4."""
    parsed = IPv6Address(address)
    return str(parsed.ipv4_mapped or parsed)


@lru_cache(maxsize=_MOST_PARSED)
def address_words(text: str) -> tuple[int, int]:
    """The two words of an address; the inverse of :func:`words_text`."""
    packed = ip_address(text).packed
    packed = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
    return int.from_bytes(packed[:8], "little"), int.from_bytes(packed[8:], "little")


def words_text(high: int, low: int) -> str:
    """An address of two words as text."""
    return address_text(high.to_bytes(8, "little") + low.to_bytes(8, "little"))


def _addresses(rows: Rows, column: str) -> tuple[Words, Words]:
    words = np.ascontiguousarray(rows[column]).view("<u8")
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)


def _chosen(flags: Flags, one: tuple[Words, Words], other: tuple[Words, Words]) -> tuple[Words, Words]:
    return np.where(flags, one[0], other[0]), np.where(flags, one[1], other[1])
