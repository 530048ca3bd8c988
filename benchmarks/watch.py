"""A program that is fed through its standard input, and how its memory grows meanwhile."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import REPOSITORY, Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.template import Bytes

__all__ = ["Watched", "watch"]

_POLL_S = 0.01
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Watched:
    """What a run cost, and its resident memory after so many packets."""

    packets: int = 0
    cpu_s: float = 0.0
    peak_rss_bytes: int = 0
    curve: list[tuple[int, int]] = field(default_factory=list)

    def sample(self, process_id: int) -> int:
        """Resident memory now; 0 when the process is gone."""
        try:
            pages = Path(f"/proc/{process_id}/statm").read_text().split()[1]
        except (FileNotFoundError, ProcessLookupError):
            return 0
        rss_bytes = int(pages) * _PAGE_BYTES
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss_bytes)
        return rss_bytes


def watch(command: Sequence[str], header: bytes, blocks: Iterable[Bytes], samples: Sequence[int]) -> Watched:
    """Feed ``header`` and all blocks (a row a packet) to a command; ``samples`` says after how many packets to note its
    memory. Linux only. Raises :class:`~benchmarks.measure.Failed` when the command ends badly."""
    found, due = Watched(), list(samples)
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, cwd=REPOSITORY
        )
        assert child.stdin is not None
        child.stdin.write(header)
        for block in blocks:
            child.stdin.write(block.tobytes())
            found.packets += len(block)
            rss_bytes = found.sample(child.pid)
            while due and found.packets >= due[0]:
                found.curve.append((due.pop(0), rss_bytes))
        child.stdin.close()
        while True:
            found.sample(child.pid)
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(_POLL_S)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            errors.seek(0)
            raise Failed(f"{' '.join(command)}: exit status {child.returncode}\n{errors.read().decode()}")
    found.cpu_s = usage.ru_utime + usage.ru_stime
    return found
