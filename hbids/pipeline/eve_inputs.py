"""Where EVE lines come from: files as they are, or as they are written."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, NamedTuple

from hbids.capture import Problem
from hbids.capture.inflate import BrokenStreamError
from hbids.capture.source import Source, open_source
from hbids.eve.file import Place
from hbids.eve.follow import Follower
from hbids.eve.inbox import Inbox, Mark, open_inbox
from hbids.eve.lines import LineWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hbids.config import Eve
    from hbids.pipeline.result import Result
    from hbids.pipeline.sidecar import Sidecar

__all__ = ["read_on", "read_once"]

_BLOCK_BYTES = 1 << 22
"""What is judged at once: flows by the thousand, since each time costs as much as some hundred of them."""
_POLL_S = 0.1
_SILENT_S = 60.0
"""After so long, what has not come is missed aloud."""
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
            source = open_source(path, _BLOCK_BYTES)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            problems.append(Problem("error", path, None, f"cannot be read, {why}: give the path of an eve.json"))
            continue
        sidecar.sources.append(path)
        cut = LineWindow(limits.line_bytes)
        try:
            _read_source(source, cut, sidecar, stop)
        except (OSError, BrokenStreamError) as error:
            problems.append(Problem("error", path, source.bytes_read(), f"cannot be read on, {error}"))
        finally:
            source.close()
        sidecar.counts["too_long"] += cut.too_long
    problems += [Problem("warning", ", ".join(sidecar.sources), None, text) for text in sidecar.silence()]
    return sidecar.finish(problems)


def _read_source(source: Source, cut: LineWindow, sidecar: Sidecar, stop: Callable[[], bool] | None) -> None:
    rest_bytes = taken = 0
    while (window := source.advance(taken)) and not (stop is not None and stop()):
        if len(window) == rest_bytes:  # the last line lacks its end
            sidecar.read(window + b"\n")
            return
        start, taken = cut.whole(window)
        rest_bytes = len(window) - taken
        if start:
            sidecar.read(window[start:taken])
        elif taken:
            sidecar.read(window, end=taken)


def read_on(
    sidecar: Sidecar,
    inputs: list[str],
    limits: Eve,
    *,
    stop: Callable[[], bool],
    on_ready: Callable[[], None],
) -> Result:
    """Read what Suricata writes, through every rotation, or brings, until ``stop`` says so, or there is nothing more to
    come. ``on_ready`` is called once nothing will be missed any more. Raises OSError when a socket cannot be opened,
    and UserInputError."""
    sidecar.sources = inputs
    sidecar.read_each_line_once()
    marks = [place for place in sidecar.places if isinstance(place, Mark)]
    inboxes = {name: inbox for name in inputs if (inbox := open_inbox(name, limits, marks)) is not None}
    paths = [name for name in inputs if name not in inboxes]
    files = [place for place in sidecar.places if isinstance(place, Place)]
    feeds = _Feeds(Follower(paths, limits.line_bytes, files), list(inboxes.values()))
    try:
        _begin(sidecar, feeds, paths, files)
        on_ready()
        _read_until(stop, sidecar, feeds, only_inboxes=not paths)
    finally:
        feeds.close()
    follower = feeds.follower
    sidecar.counts["files_lost"] += follower.counters["files_lost"]
    sidecar.counts["too_long"] += follower.counters["too_long"]
    sidecar.counts["dropped"] += sum(inbox.dropped for inbox in feeds.inboxes)
    problems = [Problem("warning", ", ".join(inputs), None, text) for text in (*follower.problems, *sidecar.silence())]
    problems += [Problem("error", name, None, inbox.failure) for name, inbox in inboxes.items() if inbox.failure]
    result = sidecar.finish(problems, goes_on=bool(sidecar.places))
    feeds.let_go(sidecar.needed)
    return result


class _Feeds(NamedTuple):
    """All that lines come from."""

    follower: Follower
    inboxes: list[Inbox]

    def read(self) -> Iterator[bytes]:
        """What came since, in pieces of whole lines. :meth:`places` is right between any two of them."""
        yield from self.follower.read()
        for inbox in self.inboxes:
            yield from inbox.read()

    def places(self) -> list[Place | Mark]:
        """Where reading stands."""
        marks = (inbox.mark for inbox in self.inboxes)
        return [*self.follower.places(), *(mark for mark in marks if mark is not None)]

    def let_go(self, needed: list[Place | Mark]) -> None:
        """What lies before these places is not needed any more."""
        for place in needed:
            if isinstance(place, Mark):
                for inbox in self.inboxes:
                    inbox.let_go(place)

    def close(self) -> None:
        """Read nothing more."""
        for inbox in self.inboxes:
            inbox.close()
        self.follower.close()


def _begin(sidecar: Sidecar, feeds: _Feeds, paths: list[str], files: list[Place]) -> None:
    """From now on nothing is missed, but for what came over a socket while nobody listened."""
    keeps = [inbox.keeps for inbox in feeds.inboxes]
    if sidecar.until_ns and not all(keeps):
        sidecar.counts["away_s"] += max(0, math.ceil(time.time() - sidecar.until_ns / 1e9))
    if not paths and not any(keeps):
        sidecar.read_on_within_flows()
    if paths and not files:
        feeds.follower.begin(time.time_ns())
    if not sidecar.places and feeds.places():
        sidecar.stands(feeds.places(), save=True)


def _read_until(stop: Callable[[], bool], sidecar: Sidecar, feeds: _Feeds, *, only_inboxes: bool) -> None:
    begun_s = new_s = time.monotonic()
    has_warned = False
    while not stop():
        before = sidecar.counts["bytes"]
        for lines in feeds.read():
            sidecar.read(lines)
            _stand(sidecar, feeds)
            if stop():
                return
        now_s = time.monotonic()
        sidecar.following = _following(sidecar, feeds)
        if not has_warned and now_s - begun_s >= _SILENT_S:
            has_warned = True
            for text in sidecar.silence():
                warnings.warn(text, RuntimeWarning, stacklevel=2)
        if sidecar.counts["bytes"] != before:
            new_s = now_s
            continue
        if only_inboxes and all(inbox.is_over for inbox in feeds.inboxes):
            return
        if now_s - new_s >= _IDLE_S:
            sidecar.rest()
        _stand(sidecar, feeds)
        time.sleep(_POLL_S)


def _stand(sidecar: Sidecar, feeds: _Feeds) -> None:
    sidecar.stands(feeds.places())
    feeds.let_go(sidecar.needed)


def _following(sidecar: Sidecar, feeds: _Feeds) -> dict[str, float]:
    lag_bytes = feeds.follower.lag_bytes + sum(inbox.lag_bytes for inbox in feeds.inboxes)
    now_ns = sidecar.witness.seconds.now_ns
    lag_s = max(0.0, time.time() - now_ns / 1e9) if lag_bytes and now_ns else 0.0
    rotations = {name: feeds.follower.counters[name] for name in ("rotations", "truncations")}
    return {"lag_bytes": lag_bytes, "lag_s": round(lag_s, 3), **rotations}
