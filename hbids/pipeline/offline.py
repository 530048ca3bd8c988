"""Capture files: the way in of ``hbids replay``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hbids.capture import open_capture
from hbids.config import Config
from hbids.decode.engine import open_engine
from hbids.pipeline.analysis import Analysis
from hbids.pipeline.keeper import Keeper
from hbids.pipeline.result import Result, totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.facts import Facts, Finding, FrameBatch
    from hbids.stats.history import History

__all__ = ["replay"]

_ENOUGH_ROWS = 2_048
"""Rows of a file that are judged in one go: of small steps, most of the time would go into the steps themselves."""


def replay(  # noqa: C901  the loop is the whole corridor, and reads best in one piece
    *inputs: str | os.PathLike[str],
    config: Config | None = None,
    engine: str = "auto",
    on_finding: Callable[[Finding], None] | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    facts_sink: Callable[[Facts], None] | None = None,
    collect: bool = True,
    stop: Callable[[], bool] | None = None,
    state: str | os.PathLike[str] | None = None,
    history: bool = False,
) -> Result:
    """Judge capture files, directories (each one rolling capture) or ``-`` (standard input).

    Never raises for what is in them: what could not be read is told in ``Result.problems``. ``on_finding`` gets every
    finding as it is made, ``facts_sink`` the facts of every step, ``on_progress`` (bytes done, bytes in all or None).
    ``collect`` keeps findings and tables in the result; ``stop`` is asked after each batch. ``state`` names the file in
    which one run remembers for the next (docs/harvest.md); ``history`` keeps in the result what a report draws. Raises
    :class:`~hbids.decode.engine.EngineUnavailable` when ``engine`` is "native" and not installed, and UserInputError
    when there is no going on from ``state``.
    """
    config = config or Config()
    decoder = open_engine(engine, config.limits)
    result = Result(decoder.name, history=_new_history(config) if history else None)
    tables: list[Facts] = []

    def keep_finding(finding: Finding) -> None:
        if collect:
            result.findings.append(finding)
        if on_finding:
            on_finding(finding)

    analysis = Analysis(config, keep_finding, result.history)
    keeper = Keeper(state, analysis, config) if state is not None else None

    def take(facts: Facts) -> None:
        if not facts.row_count:
            return
        analysis.add(facts)
        if facts_sink:
            facts_sink(facts)
        if collect:
            tables.append(facts)

    span = _Span()
    done_bytes, clocks = 0, (time.monotonic(), time.process_time())
    captures = [open_capture(os.fspath(argument), native=decoder.name == "native") for argument in inputs]
    sizes = [capture.total_bytes for capture in captures]
    total_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    for capture in captures:
        stopped = False
        for batch in capture.batches():
            span.add(batch)
            take(decoder.feed(batch, at_least_rows=0 if capture.total_bytes is None else _ENOUGH_ROWS))
            if keeper:
                keeper.save_now_and_then()
            if on_progress:
                on_progress(done_bytes + capture.bytes_read, total_bytes)
            stopped = stop is not None and stop()
            if stopped:
                break
        for facts in decoder.finish():  # every argument is a capture of its own
            take(facts)
        done_bytes += capture.bytes_read
        result.sources += capture.sources
        result.problems += capture.problems
        if stopped:
            break

    analysis.finish()
    if keeper:
        result.problems += keeper.close()
    seconds = {
        "capture": span.seconds(),
        "wall": round(time.monotonic() - clocks[0], 6),
        "cpu": round(time.process_time() - clocks[1], 6),
    }
    result.endpoints = analysis.endpoints()
    result.totals = totals(analysis, result.endpoints, decoder.counters()) | {"seconds": seconds}
    if tables:
        result.keep(tables)
    return result


def _new_history(config: Config) -> History:
    from hbids.stats.history import History

    return History(config.report)


class _Span:
    """From the first to the last packet."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._last_ns = 0

    def add(self, batch: FrameBatch) -> None:
        """Take the times of a batch."""
        if not len(batch.frames):
            return
        times = batch.frames["time_ns"]
        first_ns, last_ns = int(times.min()), int(times.max())
        self._first_ns = first_ns if self._first_ns is None else min(self._first_ns, first_ns)
        self._last_ns = max(self._last_ns, last_ns)

    def seconds(self) -> float:
        """0 without packets."""
        return 0.0 if self._first_ns is None else (self._last_ns - self._first_ns) / 1e9
