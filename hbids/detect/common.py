"""What detectors share: from a row to the parts of a finding."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from hbids.facts import (
    ABSENT,
    NO_MESSAGE,
    NO_VERSION,
    NO_VLAN,
    NOT_SEEN,
    Direction,
    Finding,
    FlowContext,
    Kind,
    Phase,
    Protection,
    Reach,
    Series,
    Transport,
)
from hbids.measures import HEADER_BYTES
from hbids.parties import address_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hbids.facts import Rows, Verdict
    from hbids.measures import Measured
    from hbids.tallies import ShapeTallies, Tallies

__all__ = [
    "LEAKS",
    "LEAKS_TOGETHER",
    "MEMORY_ENTRIES",
    "REQUESTS",
    "News",
    "Remembered",
    "Step",
    "describe",
    "flow_context",
    "forgotten",
    "news_of",
    "request_key",
    "totals_of",
]

KEY_BYTES = 15_816_172
"""How far into the memory he had taken somebody found a private key: an experience, no law. docs/harvest.md has the
source, and what speaks against reading much into it."""

MEMORY_ENTRIES = 65_536
"""How many keys a detector remembers; the one not touched for longest is forgotten first. About 20 MB at worst."""

Key = TypeVar("Key")
Value = TypeVar("Value")


REQUESTS = Series(Reach.ENDPOINT, "requests")
"""Requests that an endpoint got."""
LEAKS = Series(Reach.ENDPOINT, "answers")
"""Leaking answers that an endpoint gave."""
LEAKS_TOGETHER = Series(Reach.ENDPOINT, "answers", together=True)


class News(NamedTuple):
    """A row of heartbeats that brings something new: what it means in bytes, and what was counted up to and with it."""

    row: np.void
    is_final: bool
    is_answer: bool
    sealed: bool
    suspicious: bool
    """A request that detectors speak of."""
    broken: bool
    overread: int
    leaked: int
    leaked_estimated: int
    burst: int
    endpoint: np.void
    """:data:`~hbids.tallies.TALLY_DTYPE`, as the next three."""
    source: np.void
    network: np.void
    behaviour: np.void

    @property
    def direction(self) -> Direction:
        """Of the packet."""
        return Direction(int(self.row["direction"]))

    @property
    def victim(self) -> Direction:
        """Whose memory the row speaks of."""
        to_server = self.direction == Direction.TO_SERVER
        return Direction.TO_SERVER if to_server != self.is_answer else Direction.TO_CLIENT

    def finding(self, sid: int, verdict: Verdict, series: Series | None = None, **numbers: Any) -> Finding:
        """A finding about this row; ``numbers`` go into its context."""
        return Finding(
            sid,
            int(self.row["end_time_ns"]),
            flow_context(self.row),
            self.direction,
            self.victim,
            verdict,
            describe(self.row) | numbers,
            series or Series(),
        )


@dataclass(slots=True)
class Step:
    """The facts of one step."""

    heartbeats: Measured
    sessions: Rows
    flows: Rows
    shapes: ShapeTallies
    """Of the flows."""


def news_of(heartbeats: Measured, tallies: Tallies) -> list[News]:
    """The news among some rows."""
    index = tallies.rows
    columns = (
        heartbeats.final,
        heartbeats.answers,
        heartbeats.sealed,
        heartbeats.suspicious,
        heartbeats.broken,
        heartbeats.overread,
        heartbeats.leaked,
        heartbeats.leaked_estimated,
    )
    return (
        [
            News(*each)
            for each in zip(
                heartbeats.rows[index],
                *(column[index].tolist() for column in columns),
                tallies.burst.tolist(),
                tallies.endpoint,
                tallies.source,
                tallies.network,
                tallies.behaviour,
                strict=True,
            )
        ]
        if len(index)
        else []
    )


class Remembered(Generic[Key, Value]):
    """A mapping that forgets."""

    def __init__(self, entries: int = MEMORY_ENTRIES) -> None:
        self._entries = entries
        self.forgotten = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, if remembered."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Remember; the oldest goes when there are too many."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._entries:
            self._values.popitem(last=False)
            self.forgotten += 1

    def pop(self, key: Key) -> Value | None:
        """Take out."""
        return self._values.pop(key, None)

    def items(self) -> Iterable[tuple[Key, Value]]:
        """All that is remembered, what was put last at the end."""
        return self._values.items()

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)


def forgotten(detector: object) -> int:
    """How much a detector has forgotten of what it once remembered."""
    return sum(value.forgotten for value in vars(detector).values() if isinstance(value, Remembered))


def flow_context(row: np.void) -> FlowContext:
    """The flow of a heartbeat or session row; counters are 0 where the row has none."""
    names = row.dtype.names or ()
    counters = [
        int(row[name]) if name in names else 0
        for name in ("packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client", "packet_number")
    ]
    start = "flow_start_ns" if "flow_start_ns" in names else "time_ns"
    return FlowContext(
        address_text(row["client_addr"].tobytes()),
        int(row["client_port"]),
        address_text(row["server_addr"].tobytes()),
        int(row["server_port"]),
        tuple(int(layer) for layer in row["vlan"] if layer != NO_VLAN),
        int(row["protocol"]),
        int(row[start]),
        *counters,
    )


def request_key(row: np.void) -> tuple[bytes, bytes, int, int]:
    """Who asks whom: source address, endpoint address and port, direction. A client is an endpoint without a port."""
    if row["direction"] == Direction.TO_CLIENT:
        return row["server_addr"].tobytes(), row["client_addr"].tobytes(), 0, Direction.TO_CLIENT
    return row["client_addr"].tobytes(), row["server_addr"].tobytes(), int(row["server_port"]), Direction.TO_SERVER


def totals_of(tally: np.void) -> dict[str, Any]:
    """What a series of leaks has come to, for the context: counts, and how much that is beside :data:`KEY_BYTES`."""
    names = ("answers", "sources", "leaked_bytes", "leaked_bytes_estimated", "first_ns")
    totals = {name: int(tally[name]) for name in names}
    taken_bytes = totals["leaked_bytes"] + totals["leaked_bytes_estimated"]
    return totals | {"key_effort": float(f"{taken_bytes / KEY_BYTES:.3g}")}


def describe(row: np.void) -> dict[str, Any]:
    """The context that every finding about a row has; absent keys are unknown."""
    context: dict[str, Any] = {"transport": Transport(int(row["transport"])).name.lower(), "evidence": "wire"}
    return context | _describe_heartbeat(row) if "message_id" in (row.dtype.names or ()) else context


def _describe_heartbeat(row: np.void) -> dict[str, Any]:
    context: dict[str, Any] = {
        "sealed": bool(row["protection"] == Protection.SEALED),
        "message_id": int(row["message_id"]),
    }
    if row["midstream"]:
        context["midstream"] = True
    if row["phase"] != Phase.UNKNOWN:
        context["phase"] = Phase(int(row["phase"])).name.lower()
    if row["heartbeat_accepted"] != NOT_SEEN:
        context["negotiated"] = bool(row["heartbeat_accepted"] != ABSENT)
    if row["record_version"] != NO_VERSION:
        context["record_version"] = int(row["record_version"])
    for name, column in (("claimed_length", "claimed_length"), ("present_length", "payload_present")):
        if row[column] != ABSENT:
            context[name] = int(row[column])
    context["record_length"] = int(row["record_length"])
    if row["kind"] == Kind.RESPONSE:
        context["answer_bytes"] = int(row["bytes_seen"])
        context["answer_records"] = int(row["records"])
        if row["answers_message"] != NO_MESSAGE:
            context["request_id"] = int(row["answers_message"])
            context["request_bytes"] = int(row["request_record_length"])
        if row["request_claimed_length"] != ABSENT:
            context["claimed_length"] = int(row["request_claimed_length"])
    else:
        context["request_bytes"] = int(row["bytes_seen"])
        if row["kind"] == Kind.REQUEST and row["claimed_length"] != ABSENT:
            context["overread"] = max(0, HEADER_BYTES + int(row["claimed_length"]) - int(row["record_length"]))
    return context
