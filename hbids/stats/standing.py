"""What a harvest is: the line between a scan, which asks once or twice, and somebody who reaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbids.facts import Reach
from hbids.tallies import Standing

if TYPE_CHECKING:
    from hbids.config import Thresholds
    from hbids.keyed import Integers
    from hbids.stats.running import Running

__all__ = ["standing"]

_ANSWERS_OF_CHECKERS = 2
"""As many as a public checker takes from an endpoint in a run: ssltest.py does, the others take one."""


def standing(reach: Reach, taken: Running, thresholds: Thresholds) -> Integers:
    """What the leaking answers up to each of n entries amount to: a Standing, shape (n,).

    By source, enough answers are a harvest; by network, if it has more than one source; by behaviour, if it is shared
    by some, and a slow one only if these took more than checkers take.
    """
    answers, sources = taken["answers"], taken["sources"]
    took_ns = taken["last_ns"] - taken["first_ns"]
    # Divided and not multiplied: a hundred thousand times two days are more nanoseconds than 64 bits hold.
    harvest = (answers >= thresholds.harvest_answers) & (
        _ceil(took_ns, thresholds.harvest_slowest_interval_ns) <= answers
    )
    harvest &= taken["leaked_bytes"] + taken["leaked_bytes_estimated"] >= thresholds.harvest_bytes
    slow = _ceil(took_ns, thresholds.harvest_slow_interval_ns) > answers
    if reach == Reach.NETWORK:
        harvest &= sources > 1
    elif reach == Reach.BEHAVIOUR:
        harvest &= (sources >= thresholds.harvest_sources) & (~slow | (answers > _ANSWERS_OF_CHECKERS * sources))
    return np.where(harvest, np.where(slow, Standing.SLOW_HARVEST, Standing.HARVEST), Standing.NO_HARVEST)


def _ceil(duration_ns: Integers, interval_ns: int) -> Integers:
    return -(-duration_ns // interval_ns)
