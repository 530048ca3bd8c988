"""A polite end: the first SIGINT or SIGTERM asks a run to finish its batch, the second ends it at once. And SIGHUP: it
asks a service to look again at its files, or tells that its terminal is gone."""

from __future__ import annotations

import os
import signal
import stat
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Hangup", "StopRequest"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STANDARD_STREAMS = (0, 1, 2)


class StopRequest:
    """While entered, catches the first signal."""

    def __init__(self) -> None:
        self.asked_s: float | None = None
        """When the signal came, by the monotonic clock."""

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._ask) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Whether the signal came."""
        return self.asked_s is not None

    def ask(self) -> None:
        """Ask as the signal does."""
        self.asked_s = time.monotonic()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked_s = time.monotonic()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        _end_standard_input()


class Hangup:
    """While entered, catches SIGHUP."""

    def __init__(self) -> None:
        self._came = False
        self._terminals = [number for number in _STANDARD_STREAMS if _is_terminal(number)]

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGHUP, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGHUP, self._before)

    def came(self) -> bool:
        """Whether the signal came since this was asked last."""
        came, self._came = self._came, False
        return came

    def lost_terminal(self) -> bool:
        """Whether it came because a terminal we write to is gone; what is written there from now on goes nowhere."""
        lost = [number for number in self._terminals if not _is_terminal(number)]
        for number in lost:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            os.close(nowhere)
        return bool(lost)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True


def _is_terminal(number: int) -> bool:
    """Whether a descriptor is a terminal with somebody at its other end."""
    try:
        termios.tcgetattr(number)
    except (termios.error, ValueError):
        return False
    return True


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
