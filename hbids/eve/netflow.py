"""``netflow`` events, one for each direction of a flow that is over, put together into what a ``flow`` event says.

Suricata writes that of the client's direction first, and the other one only if the server said something. A flow waits
for a moment: where Suricata logs ``flow``, too, that says more, and nothing is counted twice."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from hbids.eve.values import object_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hbids.config import Eve
    from hbids.eve.flows import FlowKey

__all__ = ["OneWayFlows"]

_KEPT = ("flow_id", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "app_proto", "vlan")


class OneWayFlows:
    """Flows by flow_id, in bounded number; the oldest is told of first."""

    def __init__(self, limits: Eve) -> None:
        self._limits = limits
        self._waiting: OrderedDict[int, tuple[FlowKey, int, dict[str, Any]]] = OrderedDict()
        """The flow, since when it waits, and what the ``flow`` event would be."""

    def take(self, flow_id: int, key: FlowKey, event: Mapping[str, Any], now_ns: int) -> None:
        """One direction of a flow; ``key`` has its source as the client."""
        if flow_id not in self._waiting:
            joined = {name: event.get(name) for name in _KEPT} | {"flow": {}, "tcp": {}}
            self._waiting[flow_id] = key, now_ns, joined
        flow, _, joined = self._waiting[flow_id]
        way = "server" if key == flow else "client"
        netflow, tcp = object_of(event, "netflow"), object_of(event, "tcp")
        joined["flow"] |= {
            f"pkts_to{way}": netflow.get("pkts"),
            f"bytes_to{way}": netflow.get("bytes"),
            "start": netflow.get("start"),
            "end": netflow.get("end"),
        }
        if tcp.get("rst") is True or tcp.get("fin") is True:
            joined["flow"]["state"] = "closed"
            joined["tcp"]["rst"] = joined["tcp"].get("rst") is True or tcp.get("rst") is True

    def over(self, now_ns: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Flows that have waited long enough by now, or all; with the time of their first event."""
        while self._waiting:
            flow_id, (_, since_ns, joined) = next(iter(self._waiting.items()))
            waits = now_ns is not None and now_ns - since_ns < self._limits.hold_ns
            if waits and len(self._waiting) <= self._limits.sessions:
                return
            del self._waiting[flow_id]
            yield since_ns, joined

    def forget(self) -> None:
        """``flow`` events say it."""
        self._waiting.clear()
