"""Requests that a patched peer refuses: the proof that an endpoint does not leak (any more).

A patched OpenSSL drops a heartbeat that is too short for its claim without a word (RFC 6520 section 4); others answer
with an alert, or know no heartbeats. Silence proves something only if the peer was alive, and its answer could not have
been missed:

- the request is one that no honest peer sends, came after the ServerHello, on a flow seen from its beginning, and its
  record is of the version that was agreed on (another is refused for that);
- no heartbeat came back on the flow, and of the way back nothing is missing or contradicted;
- and later there came an alert; or, ``unanswered_wait_ns`` after the request, another record; or by then the asking
  side had ended the connection, and the other, which must have read all of it, ended it, too.

Datagrams get lost on ways that nobody captures, so that over DTLS only an alert is a proof. Whatever proves nothing is
left unknown. Who knows these rules can ask so that a vulnerable peer keeps silent, too; its next leak tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hbids.facts import Direction, EndReason, Kind, Phase, Transport
from hbids.keyed import KeyedTable

if TYPE_CHECKING:
    import numpy.typing as npt

    from hbids.facts import Rows
    from hbids.keyed import Flags, Integers, Keys, Words
    from hbids.measures import Measured

__all__ = ["RefusalFinder", "Refusals"]

MOST_ASKED = 1 << 16
"""Flows with such requests that are remembered until they end, about 5 MB."""

_ALERT = 21
_UDP = 17
_FIELDS = [
    ("last_ns", "<i8"),
    ("endpoint", "<u8", (3,)),
    ("asked_ns", "<i8"),  # when its first such request had come
    ("way", "u1"),  # Direction in which it went; 0: nothing is known yet
    ("is_settled", "u1"),
]


@dataclass(slots=True)
class Refusals:
    """Of n requests; every array has shape (n,)."""

    endpoints: Keys
    """Who refused."""
    times_ns: Integers
    """When it was asked."""


class RefusalFinder:
    """Remembers the first such request of each flow until the flow shows what became of it."""

    def __init__(self, wait_ns: int) -> None:
        self.wait_ns = wait_ns
        """May be replaced at any time."""
        self._asked = _Asked(_FIELDS, MOST_ASKED)

    @property
    def forgotten(self) -> int:
        """Flows forgotten before their end."""
        return self._asked.forgotten

    def add_requests(self, heartbeats: Measured) -> None:
        """Remember requests, but for those on flows that answer: at most :data:`~hbids.keyed.MOST_ENTRIES` rows."""
        rows, index = heartbeats.rows, np.flatnonzero(heartbeats.suspicious)
        if not len(index):
            return
        wanted = (rows["kind"][index] == Kind.REQUEST) & (rows["midstream"][index] == 0)
        wanted &= rows["record_version"][index] == rows["tls_version"][index]
        index = index[wanted & (rows["phase"][index] >= Phase.HANDSHAKE)]
        answers = np.flatnonzero(rows["kind"] == Kind.RESPONSE)
        index = index[~np.isin(_ways(rows, index), _ways(rows, answers) ^ np.uint64(1))]
        if not len(index):
            return
        groups = self._asked.groups(self._asked.locate(_flow_keys(rows["flow_id"][index])))
        entries = self._asked.rows[groups.members]
        new = entries["way"] == 0
        if not new.any():
            return
        first = index[groups.first[new]]
        fresh = entries[new]
        fresh["endpoint"] = np.column_stack(heartbeats.parties[first].victims)
        fresh["asked_ns"] = fresh["last_ns"] = rows["end_time_ns"][first]
        fresh["way"] = rows["direction"][first]
        entries[new] = fresh
        self._asked.rows[groups.members] = entries

    def refusals(self, flows: Rows) -> Refusals:
        """What the rows of some flows prove."""
        flows = flows[(flows["heartbeats_to_server"] > 0) | (flows["heartbeats_to_client"] > 0)]
        numbers = self._asked.find(_flow_keys(flows["flow_id"]))
        flows, numbers = flows[numbers >= 0], numbers[numbers >= 0]
        asked = self._asked.rows[numbers]
        proved = self._are_refused(flows, asked) & (asked["is_settled"] == 0)
        over = flows["end_reason"] != EndReason.CHECKPOINT
        self._asked.rows["is_settled"][numbers[proved | over]] = 1
        first, second, third = asked["endpoint"][proved].T
        return Refusals((first, second, third), asked["asked_ns"][proved])

    def _are_refused(self, flows: Rows, asked: npt.NDArray[np.void]) -> Flags:
        asked_ns, late_ns = asked["asked_ns"], asked["asked_ns"] + self.wait_ns
        to_server = asked["way"] == Direction.TO_SERVER

        def back(column: str) -> npt.NDArray[np.int64]:
            answers, requests = flows[f"{column}_to_client"], flows[f"{column}_to_server"]
            return np.where(to_server, answers, requests).astype(np.int64)

        unanswered = (flows["midstream"] == 0) & (back("heartbeats") == 0) & (back("gaps") == 0)
        unanswered &= back("conflicts") == 0
        last_ns, last_type = back("last_record_ns"), back("last_record_type")
        alerted = (last_type == _ALERT) & (last_ns >= asked_ns)
        lived = (last_type != 0) & (last_ns >= late_ns)
        closed = (flows["end_reason"] == EndReason.FIN) & (flows["first_fin"] == asked["way"])
        closed &= flows["end_time_ns"] >= late_ns
        is_reliable = (flows["protocol"] != _UDP) | (flows["transport"] != Transport.DTLS)
        flags: Flags = unanswered & (alerted | (is_reliable & (lived | closed)))
        return flags


class _Asked(KeyedTable):
    """Counts what is forgotten before it is settled."""

    forgotten = 0

    def forget(self, rows: npt.NDArray[np.void]) -> None:
        self.forgotten += int(np.count_nonzero(rows["is_settled"] == 0))


def _ways(rows: Rows, index: Integers) -> Words:
    """Flow and direction in a word, the direction in its last bit."""
    is_to_client = (rows["direction"][index] == Direction.TO_CLIENT).astype(np.uint64)
    ways: Words = rows["flow_id"][index] << np.uint64(1) | is_to_client
    return ways


def _flow_keys(flow_ids: Words) -> Keys:
    nothing = np.zeros_like(flow_ids)
    return flow_ids, nothing, nothing
