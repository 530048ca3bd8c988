"""Flows as events name and count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hbids.eve.values import address_of, number_of, object_of, text_of, time_ns_of
from hbids.facts import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_COUNT", "MOST_PORT", "TCP", "FlowCounts", "FlowKey", "Party", "counts_of", "key_by_way", "key_of"]
__all__ += ["vlan_of", "way_of"]

TCP = 6
_PROTOCOLS = {"TCP": TCP, "UDP": 17}
MOST_PORT = 65_535
MOST_COUNT = 1 << 56
"""Suricata counts in 64 bits; nothing real comes near."""
_MOST_VLAN = 4_095
_WAYS = {
    "to_server": Direction.TO_SERVER,
    "to_client": Direction.TO_CLIENT,
    "toserver": Direction.TO_SERVER,
    "toclient": Direction.TO_CLIENT,
}

Party = tuple[str, int]
"""Address and port."""


class FlowKey(NamedTuple):
    """Endpoints of a flow."""

    client: Party
    server: Party
    protocol: int


class FlowCounts(NamedTuple):
    """What EVE says of a flow, so far or in the end."""

    start_ns: int
    packets_to_server: int = 0
    packets_to_client: int = 0
    bytes_to_server: int = 0
    bytes_to_client: int = 0


def way_of(event: Mapping[str, Any]) -> Direction | None:
    """The direction that an event, or a frame in it, says."""
    return _WAYS.get(text_of(event, "direction"))


def key_of(flow: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> FlowKey | None:
    """Of an object whose source is the client; ``event`` has the protocol, where that does not."""
    client = address_of(flow, "src_ip"), number_of(flow, "src_port", MOST_PORT)
    server = address_of(flow, "dest_ip"), number_of(flow, "dest_port", MOST_PORT)
    protocol = _PROTOCOLS.get(text_of(event or flow, "proto"))
    if not client[0] or not server[0] or client[1] is None or server[1] is None or protocol is None:
        return None
    return FlowKey((client[0], client[1]), (server[0], server[1]), protocol)


def key_by_way(event: Mapping[str, Any]) -> FlowKey | None:
    """Of an event of a packet, which says whose it is, or whose port is the service's."""
    key = key_of(event)
    if key is None:
        return None
    way = way_of(event) or way_of(object_of(event, "frame"))
    if way is None:
        way = Direction.TO_SERVER if key.client[1] >= key.server[1] else Direction.TO_CLIENT
    return key if way == Direction.TO_SERVER else FlowKey(key.server, key.client, key.protocol)


def counts_of(flow: Mapping[str, Any], time_ns: int) -> FlowCounts:
    """Of a ``flow`` object; one without a start began when it was told."""
    names = ("pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient")
    return FlowCounts(time_ns_of(flow, "start") or time_ns, *(number_of(flow, name, MOST_COUNT) or 0 for name in names))


def vlan_of(event: Mapping[str, Any]) -> tuple[int, ...]:
    """Of an event, outermost first."""
    layers = event.get("vlan")
    if not isinstance(layers, list):
        return ()
    return tuple(layer for layer in layers[:3] if type(layer) is int and 0 <= layer <= _MOST_VLAN)
