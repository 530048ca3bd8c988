"""A file of alerts that goes on where another run was cut off, perhaps in the middle of a line."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson

from hbids.eve.values import object_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hbids.eve.sinks.file import FileSink

__all__ = ["ResumedFile"]

_TAIL_BYTES = 64 << 20
"""How much of the file is looked at: far more alerts than there can be between two saves of the state."""
_MOST_IDS = 65_536


class ResumedFile:
    """Appends to a file, each alert once: what was written already, its ``alert_id`` tells. A line that was cut off is
    taken away first."""

    must_open = True

    def __init__(self, sink: FileSink) -> None:
        self.name = sink.name
        self.close = sink.close
        self._sink = sink
        self._written: OrderedDict[str, None] = OrderedDict()

    def open(self) -> None:
        """Read what is there."""
        self._written = OrderedDict.fromkeys(_alerts_in(self.name))
        self._sink.open()

    def write(self, lines: Sequence[bytes]) -> int:
        """Write those that are not there."""
        for number, line in enumerate(lines):
            name = _alert_id(line)
            if name in self._written:
                continue
            try:
                self._sink.write([line])
            except OSError:
                if number == 0:
                    raise
                return number
            if name:
                self._written[name] = None
                if len(self._written) > _MOST_IDS:
                    self._written.popitem(last=False)
        return len(lines)


def _alerts_in(path: str) -> list[str]:
    """The alerts at the end of a file, which then ends with a whole line."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    with os.fdopen(descriptor, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            file.truncate(size - len(tail) + whole)
    lines = tail[:whole].split(b"\n")
    return [name for line in lines[-_MOST_IDS:] if (name := _alert_id(line))]


def _alert_id(line: bytes) -> str:
    """Empty when it has none."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    known: Mapping[str, Any] = event if isinstance(event, dict) else {}
    return text_of(object_of(object_of(object_of(known, "alert"), "context"), "hbids"), "alert_id")
