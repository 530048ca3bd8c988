"""What a program costs: CPU time, wall time and peak memory, as the kernel counted them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REPOSITORY", "Cost", "Failed", "run"]

REPOSITORY = Path(__file__).resolve().parents[1]

_AS_INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Python compiles a module once and not at every start, as everywhere but where somebody forbade it."""

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


class Failed(RuntimeError):
    """A program ended badly, or gave a wrong answer."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of a program. ``cpu_s`` is user and system time over all its threads and children."""

    cpu_s: float
    wall_s: float
    peak_rss_bytes: int


def run(command: Sequence[str]) -> Cost:
    """Run the command from the repository's root until it ends; raises :class:`Failed` when it ends badly.

    On Linux the peak is at least what the caller of this function occupied, so that one should stay small.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=REPOSITORY, env=_AS_INSTALLED)
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            errors.seek(0)
            raise Failed(
                f"{' '.join(command)}: exit status {child.returncode}\n{errors.read().decode(errors='replace')}"
            )
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * _MAXRSS_BYTES)
