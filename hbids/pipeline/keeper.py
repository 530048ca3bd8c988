"""From run to run: the state file behind ``--state``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from hbids.capture import Problem
from hbids.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hbids.config import Config
    from hbids.state import Part

__all__ = ["Keeper"]


class Remembering(Protocol):
    """What is kept: an analysis, perhaps with more."""

    def parts(self) -> dict[str, Part]:
        """What the next run shall know of this one."""

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""


class Keeper:
    """Keeps an analysis in a state file, from run to run, for all ways of use: what a crash may lose is what came since
    the last save. A file that cannot be written is left alone from then on."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        analysis: Remembering,
        config: Config,
        may_save: Callable[[], bool] | None = None,
    ) -> None:
        """``may_save`` says whether what was told is out; where it is not, the state waits, too. Raises UserInputError
        when the file cannot be gone on from."""
        self._may_save = may_save or (lambda: True)
        from hbids.state import StateFile

        self._file = StateFile(os.fspath(path))
        self._analysis = analysis
        self._interval_s = config.memory.save_interval_ns / 1e9
        self._problems: list[Problem] = []
        try:
            analysis.restore(self._file.load())
        except UserInputError:
            self._file.close()
            raise
        self._saved_s = time.monotonic()

    def save_now_and_then(self) -> bool:
        """Save when it is time, and say whether it was."""
        if time.monotonic() - self._saved_s < self._interval_s:
            return False
        self._saved_s = time.monotonic()
        if self._may_save():
            self.save()
            return True
        return False

    def close(self) -> list[Problem]:
        """Save for the last time; what went wrong, now or before."""
        self._may_save()  # gives what was told its time to get out
        self.save()
        self._file.close()
        return self._problems

    def save(self) -> None:
        """Save at once."""
        self._saved_s = time.monotonic()
        if self._problems:
            return
        try:
            self._file.save(self._analysis.parts())
        except OSError as error:
            message = f"cannot be written, {error.strerror or error}: the next run goes on from what was saved"
            self._problems.append(Problem("error", str(self._file.path), None, message))
