"""Lines of EVE, by their bytes: which of them matter is told before anything is parsed."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LineCutter", "events_in"]

_WANTED = re.compile(rb'"event_type":\s?"(?:(alert|packet|tls|stats|anomaly|netflow)|(flow)|(frame))"')
_TLS = re.compile(rb'"app_proto":\s?"tls"')
_FLOW_ID = re.compile(rb'"flow_id":\s?([0-9]{1,18})\b')
_HEARTBEAT = re.compile(rb'"type":\s?"heartbeat"')


def events_in(lines: bytes, knows: Callable[[int], bool], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """The events among whole lines that matter: of the types that are read; of frames heartbeats; of flows those of
    TLS, and those whose ``flow_id`` is known. A key of that name inside another object is no harm: whoever takes the
    event looks at its own. Adds to ``counts`` ``lines``, ``bytes`` and those ``broken``."""
    counts["bytes"] += len(lines)
    counts["lines"] += lines.count(b"\n")
    at = 0
    while (found := _WANTED.search(lines, at)) is not None:
        start = lines.rfind(b"\n", at, found.start()) + 1 or at
        at = lines.find(b"\n", found.end()) + 1 or len(lines)
        if found[2] and not _TLS.search(lines, found.end(), at):
            flow_id = _FLOW_ID.search(lines, start, at)
            if flow_id is None or not knows(int(flow_id[1])):
                continue
        elif found[3] and not _HEARTBEAT.search(lines, found.end(), at):
            continue
        event = _parsed(lines[start:at])
        if event is None:
            counts["broken"] += 1
        else:
            yield event


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object of a line; whatever stands before its first brace is left out."""
    try:
        event = orjson.loads(line[max(0, line.find(b"{")) :])
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


class LineCutter:
    """Cuts what is read into whole lines; what has no end yet waits."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._skipping = False
        self.too_long = 0
        """Lines that were longer than ``most_bytes`` and are left out."""

    @property
    def waiting_bytes(self) -> int:
        """Of a line that has no end yet."""
        return len(self._rest)

    def push(self, data: bytes) -> bytes:
        """More bytes; the whole lines there are now, each with its end."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._wait(data)
            return b""
        head = data[:end]
        if self._skipping:
            head = head[head.find(b"\n") + 1 :]
            self._skipping = False
        elif self._rest:
            head = bytes(self._rest) + head
        self._rest.clear()
        self._wait(data[end:])
        return head

    def finish(self) -> bytes:
        """The last line, if it lacks its end: there is nothing to wait for any more."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest + b"\n" if rest else b""

    def _wait(self, data: bytes) -> None:
        if self._skipping:
            return
        self._rest += data
        if len(self._rest) > self._most_bytes:
            self.too_long += 1
            self._skipping = True
            self._rest.clear()
