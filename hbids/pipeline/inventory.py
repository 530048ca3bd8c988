"""Which assets an endpoint is. Host names are looked for in the server_name of ClientHellos: the memory of a process is
that of all names it serves, so a word holds for the whole endpoint, from the first hello with that name on."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

import numpy as np

from hbids.assets import AUTHENTICATES, AUTHENTICATING, place_of
from hbids.networks import Networks
from hbids.parties import address_words, of_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hbids.assets import Asset
    from hbids.facts import Rows

__all__ = ["Inventory"]

MOST_NAMED = 65_536
"""Endpoints whose names are remembered, about 300 bytes each; words for later ones come of their addresses alone."""

_PORT = np.uint64(0xFFFF)


class Inventory:
    """All assets; false if there are none."""

    def __init__(self, assets: Iterable[Asset]) -> None:
        self._places: list[tuple[Networks, int | None, tuple[str, ...]]] = []
        self._names: list[tuple[re.Pattern[str], tuple[str, ...]]] = []
        self._named: dict[tuple[int, int, int], dict[int, int]] = {}
        """By the words of the address, and the port: by which of the names it was called, and since when."""
        for asset in assets:
            place = place_of(asset.place)
            if place is None:
                self._names.append((re.compile(translate(asset.place.lower())), asset.words))
            else:
                self._places.append((Networks([place.network]), place.port, asset.words))

    def __bool__(self) -> bool:
        return bool(self._places or self._names)

    def learn(self, sessions: Rows) -> None:
        """Note which endpoints are called by the names of assets."""
        if not self._names or not len(sessions):
            return
        called, of = np.unique(sessions["sni"], return_inverse=True)
        matches = [self._matching(name) for name in called.tolist()]
        rows = np.flatnonzero(np.array([bool(found) for found in matches])[of])
        high, low, last = of_rows(sessions[rows], np.ones(len(rows), bool)).victims
        columns = (high, low, last & _PORT, of[rows], sessions["time_ns"][rows])
        for *place, name, time_ns in zip(*(column.tolist() for column in columns), strict=True):
            self._note((place[0], place[1], place[2]), matches[name], time_ns)

    def words(self, ip: str, port: int, time_ns: int | None = None) -> list[str]:
        """What is said of an endpoint, as far as it was known at some time, or by now."""
        said = [
            word
            for networks, at_port, words in self._places
            if at_port in (None, port) and networks.has(ip)
            for word in words
        ]
        if self._named:
            for number, since_ns in sorted(self._named.get((*address_words(ip), port), {}).items()):
                if time_ns is None or since_ns <= time_ns:
                    said += self._names[number][1]
        if not AUTHENTICATING.isdisjoint(said):
            said.append(AUTHENTICATES)
        return list(dict.fromkeys(said))

    def has(self, ip: str) -> bool:
        """Whether an asset, as far as is known by now, has this address, at any port."""
        if any(networks.has(ip) for networks, _, _ in self._places):
            return True
        address = address_words(ip)
        return any((high, low) == address for high, low, _ in self._named)

    def _note(self, endpoint: tuple[int, int, int], names: list[int], time_ns: int) -> None:
        known = self._named.get(endpoint, {})
        if not known and len(self._named) < MOST_NAMED:
            self._named[endpoint] = known
        for number in names:
            known[number] = min(known.get(number, time_ns), time_ns)

    def _matching(self, name: bytes) -> list[int]:
        text = name.decode("ascii", "replace").lower().rstrip(".")
        return [number for number, (pattern, _) in enumerate(self._names) if text and pattern.fullmatch(text)]
