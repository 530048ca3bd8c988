"""How many requests came close together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hbids.keyed import Groups, Integers

__all__ = ["BURST_FIELDS", "count_bursts"]

BURST_FIELDS = [("burst_ns", "<i8"), ("burst", "<u4")]
"""When the window began, and the requests in it."""


def count_bursts(rows: npt.NDArray[np.void], groups: Groups, times_ns: Integers, window_ns: int) -> Integers:
    """Count each of n requests into its group's window; the count up to and with it, shape (n,).

    A window begins with a request and takes in those of the following ``window_ns``. ``rows`` (g,) are the groups'
    rows, as they stood before; their burst fields are brought up to date.
    """
    starts, ends = groups.starts, groups.starts + groups.counts
    times_ns = times_ns[groups.order]
    began, before = rows["burst_ns"], rows["burst"].astype(np.int64)
    goes_on = (before > 0) & (times_ns[starts] - began <= window_ns)
    began, before = np.where(goes_on, began, times_ns[starts]), np.where(goes_on, before, 0)
    burst: Integers = np.arange(1, len(times_ns) + 1) + np.repeat(before - starts, groups.counts)
    for group in np.flatnonzero(np.maximum.reduceat(times_ns, starts) - began > window_ns):  # seldom
        at, end = int(starts[group]), int(ends[group])
        later = np.maximum.accumulate(times_ns[at:end])
        place = int(np.searchsorted(later, began[group] + window_ns, side="right"))
        while place < len(later):
            began[group] = later[place]
            count = int(np.searchsorted(later, later[place] + window_ns, side="right")) - place
            burst[at + place : at + place + count] = np.arange(1, count + 1)
            place += count
    rows["burst_ns"], rows["burst"] = began, burst[ends - 1]
    result = np.empty_like(burst)
    result[groups.order] = burst
    return result
