"""By which names clients ask for an endpoint, and how TLS begins there: how people know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hbids.facts import TlsStart
from hbids.parties import of_rows

if TYPE_CHECKING:
    from hbids.config import Report
    from hbids.facts import Rows

__all__ = ["Service", "Services"]

_NAMES = 3
"""Names kept of each endpoint: most servers have one or two, and who makes names up has no end of them."""


class Service(NamedTuple):
    """What is known of an endpoint."""

    names: dict[str, None]
    """Server names (SNI) as clients sent them, in the order in which they came: anything may stand there."""
    starts: dict[TlsStart, None]


class Services:
    """Of servers, by the words of their key; who came first goes first when there are too many."""

    def __init__(self, bounds: Report) -> None:
        self._most = bounds.services
        self.known: dict[tuple[int, int, int], Service] = {}

    def add(self, sessions: Rows) -> None:
        """Of each server's sessions, two that differ: one without a name and one with, if there are such."""
        if not len(sessions):
            return
        parties = of_rows(sessions, np.ones(len(sessions), bool))
        named = sessions["sni"] != b""
        marks = parties.endpoints ^ named.astype(np.uint64)
        _, chosen = np.unique(marks, return_index=True)
        chosen.sort()
        rows = sessions[chosen]
        columns = [words.tolist() for words in parties[chosen].victims]
        for high, low, last, name, start in zip(*columns, rows["sni"].tolist(), rows["start"].tolist(), strict=True):
            service = self._noted((high, low, last))
            if name and len(service.names) < _NAMES:
                service.names[name.decode("utf-8", "backslashreplace")] = None
            service.starts[TlsStart(start)] = None

    def of(self, endpoint: tuple[int, int, int]) -> Service:
        """Of this endpoint; empty when nothing is known."""
        return self.known.get(endpoint) or Service({}, {})

    def _noted(self, endpoint: tuple[int, int, int]) -> Service:
        if endpoint not in self.known:
            if len(self.known) >= self._most:
                del self.known[next(iter(self.known))]
            self.known[endpoint] = Service({}, {})
        return self.known[endpoint]
