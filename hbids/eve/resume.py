"""Alerts of a run that goes on where another was cut off, perhaps in the middle of a line."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson

from hbids.eve.values import object_of, text_of
from hbids.eve.writer import EveWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ResumingEveWriter"]

_TAIL_BYTES = 64 << 20
"""How much of the file is looked at: far more alerts than there can be between two saves of the state."""
_MOST_IDS = 65_536


class ResumingEveWriter:
    """Appends events to ``path``, each alert once: what was written already, its ``alert_id`` tells. A line that was
    cut off is taken away first. Every method raises OSError when the output cannot be written."""

    def __init__(self, path: str) -> None:
        self._written = OrderedDict.fromkeys(_resumed(path)) if path != "-" else OrderedDict[str, None]()
        self._writer = EveWriter(path, append=True)

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one line, unless it is there."""
        name = _alert_id(event)
        if name:
            if name in self._written:
                return
            self._written[name] = None
            if len(self._written) > _MOST_IDS:
                self._written.popitem(last=False)
        self._writer.write(event)

    def close(self) -> None:
        """Close what was opened here."""
        self._writer.close()


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
