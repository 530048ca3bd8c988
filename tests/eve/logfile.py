"""A log that is written and rotated in the ways that logrotate and Suricata know."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import zstandard

FIRST_TIME_NS = 1_795_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Log:
    """``path`` and what rotation makes of it. Each line has a number; a second passes with whatever happens, so that
    times of files differ as they do where rotation takes its time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self._now_ns = FIRST_TIME_NS
        self._half = b""

    def write(self, count: int = 1) -> None:
        """Whole lines; the first ends one that was begun."""
        lines = b"".join(self._next() for _ in range(count))
        self._append(lines)

    def write_half(self) -> None:
        """The beginning of a line."""
        if not self._half:
            line = self._next()
            self._append(line[: len(line) // 2])
            self._half = line[len(line) // 2 :]

    def rename(self) -> None:
        """As logrotate by default, then a signal to Suricata."""
        if self.path.exists():
            self._end_line()
            self._shift()
            self.path.rename(self._old(1))
            self._touch(self._old(1))

    def copy_and_truncate(self) -> None:
        """As logrotate's ``copytruncate``."""
        if self.path.exists():
            self._end_line()
            self._shift()
            shutil.copy(self.path, self._old(1))
            self._touch(self._old(1))
            os.truncate(self.path, 0)
            self._touch(self.path)

    def compress(self, suffix: str) -> None:
        """All that was rotated; it keeps its times."""
        for path in self.path.parent.glob(f"{self.path.name}.*[0-9]"):
            data = path.read_bytes()
            packed = gzip.compress(data) if suffix == ".gz" else zstandard.compress(data)
            target = path.with_name(path.name + suffix)
            target.write_bytes(packed)
            times = path.stat()
            os.utime(target, ns=(times.st_mtime_ns, times.st_mtime_ns))
            path.unlink()

    def _next(self) -> bytes:
        self.written += 1
        return (
            json.dumps({"event_type": "alert", "thread": self.path.name, "n": self.written, "fill": "x" * 40}).encode()
            + b"\n"
        )

    def _append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(self._half + data)
        self._half = b""
        self._touch(self.path)

    def _end_line(self) -> None:
        if self._half:
            self._append(b"")

    def _touch(self, path: Path) -> None:
        self._now_ns += SECOND_NS
        os.utime(path, ns=(self._now_ns, self._now_ns))

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _shift(self) -> None:
        numbers = sorted(
            (int(path.name.split(".")[2]) for path in self.path.parent.glob(f"{self.path.name}.*")), reverse=True
        )
        for number in numbers:
            for suffix in ("", ".gz", ".zst"):
                old = self._old(number).with_name(self._old(number).name + suffix)
                if old.exists():
                    old.rename(old.with_name(f"{self.path.name}.{number + 1}{suffix}"))
