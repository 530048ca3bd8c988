"""What a report draws and a summary does not tell; kept only where a report is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hbids.stats.endpoints import Place, place_of
from hbids.stats.flowsample import FlowSample
from hbids.stats.services import Service, Services
from hbids.stats.timelines import Timelines

if TYPE_CHECKING:
    from hbids.config import Report
    from hbids.facts import Rows
    from hbids.measures import Measured

__all__ = ["History", "Past"]


class Past(NamedTuple):
    """Of one endpoint."""

    cells: npt.NDArray[np.void]
    """:data:`~hbids.stats.timelines.CELL_DTYPE`, in order of time, all of one window length."""
    service: Service


class History:
    """Of all endpoints."""

    def __init__(self, bounds: Report) -> None:
        self.timelines = Timelines(bounds)
        self.flows = FlowSample(bounds)
        self.services = Services(bounds)

    def add(self, heartbeats: Measured, sessions: Rows, flows: Rows) -> None:
        """Take some rows of facts."""
        self.timelines.add(heartbeats)
        self.services.add(sessions)
        self.flows.add_heartbeats(heartbeats)
        self.flows.add_flows(flows)

    def pasts(self) -> dict[Place, Past]:
        """Of each endpoint that was asked, and each whose name is known."""
        cells = self.timelines.cells()
        pasts = {place_of(*key): Past(cells[:0], service) for key, service in self.services.known.items()}
        keys, of = np.unique(cells["endpoint"], axis=0, return_inverse=True)
        order = np.argsort(of.reshape(-1), kind="stable")
        ends = np.cumsum(np.bincount(of.reshape(-1), minlength=len(keys)))
        for key, begin, end in zip(keys.tolist(), [0, *ends[:-1]], ends, strict=False):
            pasts[place_of(*key)] = Past(cells[order[begin:end]], self.services.of(tuple(key)))
        return pasts
