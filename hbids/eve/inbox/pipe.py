"""Lines through a pipe, to its end."""

from __future__ import annotations

import os
import selectors
from typing import TYPE_CHECKING

from hbids.eve.inbox.source import WAIT_S, Source
from hbids.eve.lines import LineCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Pipe"]

_READ_BYTES = 1 << 18


class Pipe(Source):
    """Standard input, or another descriptor, which stays open for others."""

    waits = True

    def __init__(self, fd: int, most_line_bytes: int) -> None:
        self._fd = os.dup(fd)
        self._cutter = LineCutter(most_line_bytes)

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        """See :meth:`Source.pieces`."""
        with selectors.DefaultSelector() as selector, os.fdopen(self._fd, "rb", buffering=0) as pipe:
            try:
                selector.register(pipe, selectors.EVENT_READ)
                is_ready: Callable[[], object] = lambda: selector.select(WAIT_S)  # noqa: E731  the shorter of two
            except PermissionError:  # a file, which is always ready
                is_ready = lambda: True  # noqa: E731
            while not is_closed():
                if not is_ready():
                    continue
                data = pipe.read(_READ_BYTES)
                if not data:
                    yield self._cutter.finish()
                    return
                yield self._cutter.push(data)
