"""What detectors share: from a row to the parts of a finding."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address
from typing import Any, Generic, TypeVar

import numpy as np

from hbids.facts import (
    ABSENT,
    NO_MESSAGE,
    NO_VERSION,
    NO_VLAN,
    Direction,
    FlowContext,
    Kind,
    Phase,
    Protection,
    Transport,
)

__all__ = [
    "MEMORY_ENTRIES",
    "Remembered",
    "address_text",
    "describe",
    "flow_context",
    "forgotten",
    "opposite",
    "request_key",
]

MEMORY_ENTRIES = 65_536
"""How many keys a detector remembers; the one not touched for longest is forgotten first. About 20 MB at worst."""

Key = TypeVar("Key")
Value = TypeVar("Value")


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

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)


def forgotten(detector: object) -> int:
    """How much a detector has forgotten of what it once remembered."""
    return sum(value.forgotten for value in vars(detector).values() if isinstance(value, Remembered))


def address_text(address: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> str:
    """Sixteen bytes as text; v4-mapped addresses as IPv4."""
    parsed = IPv6Address(address.tobytes())
    return str(parsed.ipv4_mapped or parsed)


def flow_context(row: np.void) -> FlowContext:
    """The flow of a heartbeat or session row; counters are 0 where the row has none."""
    names = row.dtype.names or ()
    counters = [
        int(row[name]) if name in names else 0
        for name in ("packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client", "packet_number")
    ]
    start = "flow_start_ns" if "flow_start_ns" in names else "time_ns"
    return FlowContext(
        address_text(row["client_addr"]),
        int(row["client_port"]),
        address_text(row["server_addr"]),
        int(row["server_port"]),
        tuple(int(layer) for layer in row["vlan"] if layer != NO_VLAN),
        int(row["protocol"]),
        int(row[start]),
        *counters,
    )


def opposite(direction: int) -> Direction:
    """The other way."""
    return Direction.TO_CLIENT if direction == Direction.TO_SERVER else Direction.TO_SERVER


def request_key(row: np.void) -> tuple[bytes, bytes, int, int]:
    """Who asks whom: source address, endpoint address and port, direction. A client is an endpoint without a port."""
    if row["direction"] == Direction.TO_CLIENT:
        return row["server_addr"].tobytes(), row["client_addr"].tobytes(), 0, Direction.TO_CLIENT
    return row["client_addr"].tobytes(), row["server_addr"].tobytes(), int(row["server_port"]), Direction.TO_SERVER


def describe(row: np.void) -> dict[str, Any]:
    """The context every finding about a heartbeat row has; absent keys are unknown."""
    context: dict[str, Any] = {
        "transport": Transport(int(row["transport"])).name.lower(),
        "sealed": bool(row["protection"] == Protection.SEALED),
        "message_id": int(row["message_id"]),
        "evidence": "wire",
    }
    if row["midstream"]:
        context["midstream"] = True
    if row["phase"] != Phase.UNKNOWN:
        context["phase"] = Phase(int(row["phase"])).name.lower()
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
    else:
        context["request_bytes"] = int(row["bytes_seen"])
    return context
