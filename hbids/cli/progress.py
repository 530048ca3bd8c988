"""A progress bar on stderr, for people and only when there is something to wait for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["ProgressBar"]

_PATIENCE_S = 1.0
"""A run that ends sooner needs no bar."""


class ProgressBar:
    """While entered, shows how far a run is."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._wanted = sys.stderr.isatty()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        """Take the bytes done so far and those there are, None when nobody knows."""
        if not self._wanted or (self._bar is None and time.monotonic() - self._started < _PATIENCE_S):
            return
        if self._bar is None:
            self._bar = _bar()
            self._bar.start()
        for task in self._bar.task_ids:
            self._bar.update(task, completed=done_bytes, total=total_bytes)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    bar = Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    bar.add_task("", total=None)
    return bar
