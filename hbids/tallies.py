"""Tallies: what statistics counted of somebody up to some moment, as detectors are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hbids.facts import Rows

__all__ = ["TALLY_DTYPE", "ShapeTallies", "Standing", "Tallies"]


class Standing(IntEnum):
    """What leaking answers that were counted together amount to."""

    NO_HARVEST = 0
    SLOW_HARVEST = 1
    HARVEST = 2


TALLY_DTYPE = np.dtype(
    [
        ("key", "<u8", (3,)),  # of whom; zeros: of nobody
        ("first_ns", "<i8"),  # when the first of it began
        ("last_ns", "<i8"),  # when the last of it ended
        ("requests", "<i8"),
        ("suspicious", "<i8"),  # of the requests
        ("answers", "<i8"),  # leaking ones
        ("sources", "<i8"),  # addresses that took something; above 300 an estimate
        ("leaked_bytes", "<i8"),
        ("leaked_bytes_estimated", "<i8"),
        ("standing", "u1"),  # Standing
    ]
)
"""What was counted of somebody, up to some moment."""


@dataclass(slots=True)
class Tallies:
    """The rows of one step's heartbeats that bring something new, and what was counted up to and with each of them.

    All arrays have shape (n,). A row is new when nobody was seen to do the like to the endpoint before, when a number
    reaches a power of ten, when a standing changes, or when the endpoint was not spoken of for long.
    """

    rows: npt.NDArray[np.int64]
    """Their indices."""
    newcomers: npt.NDArray[np.int64]
    """Indices of all rows, more than the above, by whose sources nothing like it was seen: of any number."""
    leaks: npt.NDArray[np.int64]
    """Indices of all leaking answers that have ended and that no earlier run has counted: of any number."""
    burst: npt.NDArray[np.int64]
    """Requests of the source to the endpoint in the window of ``flood_window_ns`` that the row falls into."""
    endpoint: Rows
    """:data:`TALLY_DTYPE`, as the next three."""
    source: Rows
    """Of one source at one endpoint."""
    network: Rows
    """Of a source's network (/24 or /64) at one endpoint; zeros but for leaking answers."""
    behaviour: Rows
    """Of one shape of exchange at one endpoint; zeros but for leaking answers."""


@dataclass(slots=True)
class ShapeTallies:
    """The rows of one step's flows that are news of a service's shapes of flows. All arrays have shape (n,)."""

    rows: npt.NDArray[np.int64]
    """Their indices."""
    flows: npt.NDArray[np.int64]
    """Of that shape, today, up to and with the row."""
    sources: npt.NDArray[np.int64]
    """Of these flows."""
    usual_flows: npt.NDArray[np.int64]
    """Of a day."""
    shapes: npt.NDArray[np.uint64]
    """The shape in one word."""

    @classmethod
    def together(cls, parts: list[ShapeTallies]) -> ShapeTallies:
        """Those of several pieces of a step."""
        nothing = cls(*(np.zeros(0, np.int64),) * 4, np.zeros(0, np.uint64))
        columns = ([getattr(each, name) for each in (nothing, *parts)] for name in cls.__slots__)
        return cls(*map(np.concatenate, columns))
