"""From run to run: the state file behind ``--state``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hbids.capture import Problem
from hbids.errors import UserInputError

if TYPE_CHECKING:
    from hbids.config import Config
    from hbids.pipeline.analysis import Analysis

__all__ = ["Keeper"]


class Keeper:
    """Keeps an analysis in a state file, from run to run, for all ways of use: what a crash may lose is what came since
    the last save. A file that cannot be written is left alone from then on."""

    def __init__(self, path: str | os.PathLike[str], analysis: Analysis, config: Config) -> None:
        """Raises UserInputError when the file cannot be gone on from."""
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

    def save_now_and_then(self) -> None:
        """Save when it is time."""
        if time.monotonic() - self._saved_s >= self._interval_s:
            self._save()
            self._saved_s = time.monotonic()

    def close(self) -> list[Problem]:
        """Save for the last time; what went wrong, now or before."""
        self._save()
        self._file.close()
        return self._problems

    def _save(self) -> None:
        if self._problems:
            return
        try:
            self._file.save(self._analysis.parts())
        except OSError as error:
            message = f"cannot be written, {error.strerror or error}: the next run goes on from what was saved"
            self._problems.append(Problem("error", str(self._file.path), None, message))
