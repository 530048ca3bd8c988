"""Alerts of a run that goes on where another was cut off, perhaps in the middle of a line."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson

from hbids.eve.values import object_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hbids.eve.sinks.file import FileSink

__all__ = ["ResumingSink"]

_TAIL_BYTES = 64 << 20
"""How much of the file is looked at: far more alerts than there can be between two saves of the state."""
_MOST_IDS = 65_536


class ResumingSink:
    """A file in which each alert stands once: what was written already, also by an earlier run, its ``alert_id`` tells.
    A line that was cut off is taken away first."""

    must_open = True

    def __init__(self, file: FileSink) -> None:
        self.name = file.name
        self._file = file
        self._written: OrderedDict[str, None] = OrderedDict()
        self._is_known = False

    def open(self) -> None:
        """Read what there is, and go on behind it."""
        if not self._is_known:
            self._written = OrderedDict.fromkeys(_resumed(self.name))
            self._is_known = True
        self._file.open()

    def write(self, lines: Sequence[bytes]) -> int:
        """Those that are there already count as written."""
        new: dict[int, str] = {}
        for number, line in enumerate(lines):
            name = _alert_id(_parsed(line))
            if not name or (name not in self._written and name not in new.values()):
                new[number] = name
        count = self._file.write([lines[number] for number in new])
        for name in [*new.values()][:count]:
            self._note(name)
        return len(lines) if count == len(new) else [*new][count]

    def close(self) -> None:
        """Close the file; what was written stays known."""
        self._file.close()

    def _note(self, name: str) -> None:
        if name:
            self._written[name] = None
            if len(self._written) > _MOST_IDS:
                self._written.popitem(last=False)


def _resumed(path: str) -> list[str]:
    """The alerts at the end of a file, which then ends with a whole line."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    with os.fdopen(fd, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            file.truncate(size - len(tail) + whole)
    lines = tail[:whole].split(b"\n")
    return [name for line in lines[-_MOST_IDS:] if (name := _alert_id(_parsed(line)))]


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


def _alert_id(event: Mapping[str, Any]) -> str:
    return text_of(object_of(object_of(object_of(event, "alert"), "context"), "hbids"), "alert_id")
