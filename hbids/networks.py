"""Networks that a user named, to be asked which addresses lie in them: one by one as text, or many at a time."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hbids.parties import address_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hbids.keyed import Flags, Words

__all__ = ["Networks"]

_MAPPED_BITS = 96
"""IPv4 addresses travel as IPv6 ones with so many bits before them."""
_ADDRESS_BITS = 128


class _Network(NamedTuple):
    """An address lies in it if its two words, under the mask, are these."""

    words: tuple[int, int]
    mask: tuple[int, int]


class Networks:
    """Networks in CIDR notation; false if there are none."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [_parsed(text) for text in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def has(self, ip: str) -> bool:
        """Whether one of them has this address."""
        high, low = address_words(ip)
        return any((high & mask[0], low & mask[1]) == words for words, mask in self._networks)

    def have(self, addresses: tuple[Words, Words]) -> Flags:
        """Which of n addresses lie in one of them (n,)."""
        high, low = addresses
        flags = np.zeros(len(high), bool)
        for words, mask in self._networks:
            flags |= (high & np.uint64(mask[0]) == words[0]) & (low & np.uint64(mask[1]) == words[1])
        return flags


def _parsed(text: str) -> _Network:
    network = ip_network(text, strict=False)
    bits = network.prefixlen + (_MAPPED_BITS if network.version == 4 else 0)
    mask = ((1 << bits) - 1 << _ADDRESS_BITS - bits).to_bytes(16)
    words, mask_words = address_words(str(network.network_address)), _words(mask)
    return _Network((words[0] & mask_words[0], words[1] & mask_words[1]), mask_words)


def _words(address: bytes) -> tuple[int, int]:
    return int.from_bytes(address[:8], "little"), int.from_bytes(address[8:], "little")
