"""A bounded sample of TLS flows with their bytes and packets: the dots of a report's scatter.

Flows are chosen by a fingerprint of what they are and when they began, so that the same traffic gives the same sample
however it is cut into steps. Flows that leaked, that had heartbeats and that had none are sampled apart: the few that
matter are not lost among the many.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hbids.facts import EndReason
from hbids.keyed import fingerprint
from hbids.parties import of_rows
from hbids.stats.shapes import shape_marks

if TYPE_CHECKING:
    from hbids.config import Report
    from hbids.facts import Rows
    from hbids.keyed import Integers
    from hbids.measures import Measured

__all__ = ["POINT_DTYPE", "SIZES", "FlowKind", "FlowSample"]

SIZES = ("packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client")

POINT_DTYPE = np.dtype(
    [
        ("kind", "u1"),  # FlowKind
        ("rank", "<u8"),  # the smallest are kept
        ("endpoint", "<u8", (3,)),  # whose memory leaked, else the server; as in Parties.victims
        ("shape", "<u8"),  # as in ShapeTallies
        *((name, "<u8") for name in SIZES),
    ]
)
_LEAKING_DTYPE = np.dtype([("flow_id", "<u8"), ("endpoint", "<u8", (3,))])

_MOST_LEAKING = 65_536
"""Live flows of which is remembered that they leaked; the oldest go first. 2 MB."""


class FlowKind(IntEnum):
    """What was seen on a flow."""

    SILENT = 0
    HEARTBEATS = 1
    LEAK = 2


class FlowSample:
    """Flows that have ended."""

    def __init__(self, bounds: Report) -> None:
        self._most = bounds.flows
        self._leaking = np.zeros(0, _LEAKING_DTYPE)
        self._kept = [np.zeros(0, POINT_DTYPE) for _ in FlowKind]
        self.seen = [0 for _ in FlowKind]
        """Flows of each kind, in the sample or not."""

    def add_heartbeats(self, heartbeats: Measured) -> None:
        """Note which flows leak."""
        leaks = np.flatnonzero(heartbeats.leaks)
        if not len(leaks):
            return
        noted = np.zeros(len(leaks), _LEAKING_DTYPE)
        noted["flow_id"] = heartbeats.rows["flow_id"][leaks]
        noted["endpoint"] = np.column_stack(heartbeats.parties[leaks].victims)
        both = np.concatenate([self._leaking, noted])
        _, first = np.unique(both["flow_id"], return_index=True)
        self._leaking = both[first][-_MOST_LEAKING:]

    def add_flows(self, flows: Rows) -> None:
        """Sample those of TLS that have ended."""
        ended = flows[(flows["transport"] != 0) & (flows["end_reason"] != EndReason.CHECKPOINT)]
        if not len(ended):
            return
        points = self._points(ended)
        for kind in FlowKind:
            chosen = points[points["kind"] == kind]
            self.seen[kind] += len(chosen)
            both = np.concatenate([self._kept[kind], chosen])
            self._kept[kind] = both[np.argsort(both["rank"], kind="stable")[: self._most]]

    def points(self) -> npt.NDArray[np.void]:
        """The sample, silent flows first."""
        return np.concatenate(self._kept)

    def _points(self, flows: Rows) -> npt.NDArray[np.void]:
        points = np.zeros(len(flows), POINT_DTYPE)
        parties = of_rows(flows, np.ones(len(flows), bool))
        heartbeats = flows["heartbeats_to_server"] + flows["heartbeats_to_client"]
        points["kind"] = np.where(heartbeats > 0, FlowKind.HEARTBEATS, FlowKind.SILENT)
        points["endpoint"] = np.column_stack(parties.victims)
        client_port, began_ns = flows["client_port"].astype(np.uint64), flows["time_ns"].view(np.uint64)
        points["rank"] = fingerprint(parties.endpoints, *parties.sources, client_port, began_ns)
        points["shape"] = shape_marks(flows, np.arange(len(flows)))
        for name in SIZES:
            points[name] = flows[name]
        self._mark_leaks(flows, points)
        return points

    def _mark_leaks(self, flows: Rows, points: npt.NDArray[np.void]) -> None:
        """Flows that leaked say so, and are forgotten."""
        if not len(self._leaking):
            return
        at = np.searchsorted(self._leaking["flow_id"], flows["flow_id"])
        at[at == len(self._leaking)] = 0
        leaked: Integers = np.flatnonzero(self._leaking["flow_id"][at] == flows["flow_id"])
        points["kind"][leaked] = FlowKind.LEAK
        points["endpoint"][leaked] = self._leaking["endpoint"][at[leaked]]
        self._leaking = np.delete(self._leaking, at[leaked])
