"""A polite end: the first SIGINT or SIGTERM asks a run to finish its batch, the second ends it at once."""

from __future__ import annotations

import os
import signal
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["StopRequest"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While entered, catches the first signal."""

    def __init__(self) -> None:
        self._asked = False

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._ask) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Whether the signal came."""
        return self._asked

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        _end_standard_input()


def _end_standard_input() -> None:
    """Let a read that waits for a quiet pipe meet its end; after a signal Python takes such a read up again."""
    standard_input = os.fstat(0)
    if not stat.S_ISFIFO(standard_input.st_mode):
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    with suppress(PermissionError):  # of a process that gave up its privileges
        for entry in Path("/dev/fd").iterdir():  # whoever reads it may hold a duplicate
            with suppress(OSError):  # the listing's own is closed by now
                if os.path.samestat(os.fstat(int(entry.name)), standard_input):
                    os.dup2(nothing, int(entry.name))
