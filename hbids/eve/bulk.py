"""``flow`` events by the thousand: read off their bytes where they look as Suricata writes them, and made rows
together.

Most flows of TLS show no heartbeat; all that is asked of them is what they look like. Parsing each as JSON would take
several times as long. A line that looks otherwise is parsed, and gives the same row.
"""

from __future__ import annotations

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING

import numpy as np

from hbids.eve.values import time_ns
from hbids.facts import ABSENT, FLOW_DTYPE, NO_VLAN, EndReason, Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hbids.facts import Rows

__all__ = ["FLOW_LINE", "HEAD", "Fields", "flow_rows"]

HEAD = re.compile(rb'\{"timestamp":"([0-9T:.+-]{24,35})","flow_id":([0-9]{1,18}),')
"""Of any event as Suricata writes it: time and flow."""
_ADDRESS = rb"([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|(?:[0-9a-f]{4}:){7}[0-9a-f]{4})"
_MOMENT = rb"([0-9T:.+-]{24,35})"
FLOW_LINE = re.compile(
    HEAD.pattern
    + rb'(?:"parent_id":[0-9]+,)?(?:"in_iface":"[^"\\]*",)?"event_type":"flow",'
    + rb'"src_ip":"' + _ADDRESS + rb'","src_port":([0-9]{1,5}),"dest_ip":"' + _ADDRESS + rb'","dest_port":([0-9]{1,5}),'
    + rb'"proto":"TCP",(?:"ip_v":[46],)?(?:"pkt_src":"[^"\\]*",)?(?:"community_id":"[^"\\]*",)?"app_proto":"tls",'
    + rb'"flow":\{"pkts_toserver":([0-9]{1,15}),"pkts_toclient":([0-9]{1,15}),'
    + rb'"bytes_toserver":([0-9]{1,15}),"bytes_toclient":([0-9]{1,15}),'
    + rb'"start":"' + _MOMENT + rb'","end":"' + _MOMENT + rb'","age":[0-9]+,"state":"([a-z]+)","reason":"([a-z_]+)"'
)  # fmt: skip
"""A flow of TLS over TCP without VLAN."""

Fields = tuple[bytes, ...]
"""The groups of :data:`FLOW_LINE`."""

_COUNTS = ("packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client")
_TCP = 6
_MAPPED = bytes(10) + b"\xff\xff"
_REASONS = {b"timeout": EndReason.TIMEOUT, b"tcp_reuse": EndReason.REUSED}
_MOST_PARSED = 65_536
_MICROSECOND_DIGITS = len("2026-11-23T17:50:59.567938")


def flow_rows(flows: Sequence[Fields], first_flow_id: int) -> Rows:
    """Rows of :data:`~hbids.facts.FLOW_DTYPE`, shape (n,), numbered from there."""
    _, _, client, client_port, server, server_port, *counts, start, end, state, reason = zip(*flows, strict=True)
    rows = np.zeros(len(flows), FLOW_DTYPE)
    rows["flow_id"] = np.arange(first_flow_id, first_flow_id + len(flows))
    for name, addresses in (("client_addr", client), ("server_addr", server)):
        rows[name] = np.frombuffer(b"".join(map(_packed, addresses)), np.uint8).reshape(-1, 16)
    rows["client_port"], rows["server_port"] = _numbers(client_port), _numbers(server_port)
    rows["vlan"], rows["protocol"], rows["transport"] = NO_VLAN, _TCP, Transport.TLS
    for name, column in zip(_COUNTS, counts, strict=True):
        rows[name] = _numbers(column)
    rows["time_ns"] = _times_ns(start)
    rows["end_time_ns"] = np.maximum(rows["time_ns"], _times_ns(end))
    rows["end_reason"] = [
        EndReason.FIN if how == b"closed" else _REASONS.get(why, EndReason.CAPTURE_END)
        for how, why in zip(state, reason, strict=True)
    ]
    for way in ("to_server", "to_client"):
        rows[f"min_ttl_{way}"] = rows[f"max_ttl_{way}"] = ABSENT
    return rows


def _numbers(column: Sequence[bytes]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(column, "S16").astype(np.int64)


@lru_cache(_MOST_PARSED)
def _packed(address: bytes) -> bytes:
    """Sixteen bytes; zeros of what only looks like an address."""
    text = address.decode()
    try:
        return inet_pton(AF_INET6, text) if ":" in text else _MAPPED + inet_pton(AF_INET, text)
    except OSError:
        return bytes(16)


def _times_ns(moments: Sequence[bytes]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Of times with six digits and all the same offset at once; of others one by one."""
    offsets = {moment[_MICROSECOND_DIGITS:] for moment in moments}
    if len(offsets) == 1 and len(moments[0]) == _MICROSECOND_DIGITS + len(b"+0000"):
        first = time_ns(moments[0].decode())
        try:
            times = np.array(moments, f"S{_MICROSECOND_DIGITS}").astype("M8[us]").astype(np.int64) * 1_000
        except ValueError:
            first = None
        if first is not None:
            return np.asarray(times + (first - times[0]))
    return np.array([time_ns(moment.decode()) or 0 for moment in moments], np.int64)
