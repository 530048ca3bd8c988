"""A polite end: the first SIGINT or SIGTERM asks a run to finish its batch, the second ends it at once."""

from __future__ import annotations

import os
import signal
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
        # A read that waits for a quiet pipe is taken up again after this handler: let it meet the end of the input.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
