"""Where EVE lines come from: files as they are, or as they are written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hbids.capture import Problem
from hbids.capture.inflate import BrokenStreamError
from hbids.capture.source import open_source
from hbids.eve.follow import Follower
from hbids.eve.lines import LineCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hbids.config import Eve
    from hbids.pipeline.result import Result
    from hbids.pipeline.sidecar import Sidecar

__all__ = ["read_on", "read_once"]

_POLL_S = 0.1
_IDLE_S = 2.0
"""Without a new line for so long, what is held back is let go: Suricata has nothing more to say of it."""


def read_once(
    sidecar: Sidecar, inputs: Iterable[str], limits: Eve, *, stop: Callable[[], bool] | None = None
) -> Result:
    """Read files of EVE lines, plain or compressed, one after the other, and end. What cannot be read is told in
    ``Result.problems``; ``stop`` is asked now and then."""
    problems = []
    for path in inputs:
        try:
            source = open_source(path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            problems.append(Problem("error", path, None, f"cannot be read, {why}: give the path of an eve.json"))
            continue
        sidecar.sources.append(path)
        cutter = LineCutter(limits.line_bytes)
        taken = 0
        try:
            while (window := source.advance(taken)) and not (stop is not None and stop()):
                taken = len(window)
                sidecar.read(cutter.push(window))
            sidecar.read(cutter.finish())
        except (OSError, BrokenStreamError) as error:
            problems.append(Problem("error", path, source.bytes_read(), f"cannot be read on, {error}"))
        finally:
            source.close()
        sidecar.counts["too_long"] += cutter.too_long
    return sidecar.finish(problems)


def read_on(
    sidecar: Sidecar,
    patterns: list[str],
    limits: Eve,
    *,
    stop: Callable[[], bool],
    on_ready: Callable[[], None],
) -> Result:
    """Follow files as Suricata writes and rotates them, until ``stop`` says so; ``on_ready`` is called once nothing
    that is written will be missed any more."""
    sidecar.sources = patterns
    follower = Follower(patterns, limits.line_bytes, sidecar.places)
    if not sidecar.places:
        follower.begin(time.time_ns())
        sidecar.stands(follower.places(), save=True)
    on_ready()
    new_s = time.monotonic()
    while not stop():
        before = sidecar.counts["bytes"]
        for lines in follower.read():
            sidecar.read(lines)
            sidecar.stands(follower.places())
            if stop():
                break
        if sidecar.counts["bytes"] != before:
            new_s = time.monotonic()
            continue
        if time.monotonic() - new_s >= _IDLE_S:
            sidecar.rest()
        sidecar.stands(follower.places())
        time.sleep(_POLL_S)
    sidecar.counts["files_lost"] += follower.counters["files_lost"]
    sidecar.counts["too_long"] += follower.counters["too_long"]
    problems = [Problem("warning", ", ".join(patterns), None, text) for text in follower.problems]
    lag_bytes = follower.lag_bytes
    follower.close()
    result = sidecar.finish(problems)
    result.totals["eve"] |= {"lag_bytes": lag_bytes, "rotations": follower.counters["rotations"]}
    result.totals["eve"] |= {"truncations": follower.counters["truncations"]}
    return result
