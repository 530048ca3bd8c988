"""What alerts are about, as packets: opt-in, because what was leaked is in them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hbids.errors import UserInputError
from hbids.pipeline.carve import FlowKey, carve

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.config import Config
    from hbids.facts import Finding, FrameBatch

__all__ = ["PcapRing"]

_PREFIX = "hbids-alert-"


class PcapRing(threading.Thread):
    """Writes the packets of flows with alerts into a folder, a file for the alerts of some seconds, readable for its
    owner alone. The oldest files go when there are more than ``capture.pcap_ring_bytes`` of them."""

    def __init__(self, folder: str, config: Config, recent: Callable[[], list[FrameBatch]]) -> None:
        """``recent`` gives the last frames, in order. Raises UserInputError when the folder cannot be written to."""
        super().__init__(name="hbids-pcap-ring", daemon=True)
        self.failure: OSError | None = None
        """Why nothing is written any more."""
        self._folder = Path(folder)
        self._limits = config.limits
        self._most_bytes = config.capture.pcap_ring_bytes
        self._wait_s = config.capture.pcap_ring_wait_ns / 1e9
        self._recent = recent
        self._wanted: set[FlowKey] = set()
        self._changed = threading.Condition()
        self._closing = False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UserInputError([f"--pcap-ring {folder}: cannot be made: {error.strerror}"]) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserInputError([f"--pcap-ring {folder}: hbids may not write there: give it to the user it runs as"])

    def want(self, finding: Finding) -> None:
        """Write the packets of this flow, soon."""
        with self._changed:
            self._wanted.add(FlowKey.of(finding.flow))
            self._changed.notify()

    def close(self) -> None:
        """Write what is still wanted."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.join()

    def run(self) -> None:
        """Write whenever something is wanted."""
        while not self._closing or self._wanted:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing)
                if self._wanted:
                    self._changed.wait_for(lambda: self._closing, self._wait_s)
                wanted, self._wanted = self._wanted, set()
            if wanted and self.failure is None:
                try:
                    self._write(wanted)
                except OSError as error:
                    self.failure = error

    def _write(self, wanted: set[FlowKey]) -> None:
        name = f"{_PREFIX}{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{time.time_ns() % 10**9:09}.pcap"
        path = self._folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            carve(self._recent(), wanted, file, self._limits)
        self._forget()

    def _forget(self) -> None:
        """Let the oldest files go. Their names tell their order."""
        files = sorted(self._folder.glob(f"{_PREFIX}*.pcap"), reverse=True)
        held_bytes = 0
        for path in files:
            held_bytes += path.stat().st_size
            if held_bytes > self._most_bytes and path != files[0]:
                path.unlink()
