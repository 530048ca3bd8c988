"""Lines of EVE, by their bytes: which of them matter is told before anything is parsed."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LineCutter", "Taker", "read_lines"]

_MOST_BEFORE_TYPE = 1_024
"""Time, flow and interface stand before the type, and perhaps a prefix."""

_TYPE = b'"event_type":"'
_FLOW_TYPE = b'"event_type":"flow"'
_QUICK = re.compile(rb'(?:_proto":"tls"|_type":"(?:alert|packet|tls|stats|anomaly|frame|netflow)")')
"""What matters of lines as Suricata writes them, as far as that is told from their bytes: flows of TLS, and some types.
A pattern without groups that begins with one letter is searched for several times as fast as others."""
_ANY = re.compile(rb'"event_type":\s?"(alert|packet|anomaly|netflow|stats|frame|tls|flow)"')
_TLS = re.compile(rb'"app_proto":\s?"tls"')
_FLOW_ID = re.compile(rb'"flow_id":\s?([0-9]{1,18})\b')
_HEARTBEAT = re.compile(rb'"type":\s?"heartbeat"')


class Taker(Protocol):
    """Who takes what matters."""

    @property
    def knows_other_flows(self) -> bool:
        """Flows matter of which Suricata does not say that they are TLS."""

    def knows(self, flow_id: int) -> bool:
        """More about this flow matters."""

    def take(self, event: Mapping[str, Any]) -> None:
        """Any event."""

    def take_tls(self, line: bytes) -> bool:
        """A line that is a ``tls`` event, if it looks as Suricata writes it; False if it has to be parsed."""

    def take_flow(self, line: bytes) -> bool:
        """Likewise a ``flow`` event."""


def read_lines(lines: bytes, taker: Taker, counts: Counter[str]) -> None:
    """Hand on the events among whole lines that matter: of the types that are read; of frames heartbeats; of flows and
    netflows those of TLS, and those that are known. A key of that name inside another object is no harm: whoever takes
    the event looks at its own. Adds to ``counts`` ``lines``, ``bytes`` and those ``broken``."""
    counts["bytes"] += len(lines)
    counts["lines"] += lines.count(b"\n")
    at = 0
    while at < len(lines):
        quick = not taker.knows_other_flows and _TYPE in lines[at : at + _MOST_BEFORE_TYPE]
        found = (_QUICK if quick else _ANY).search(lines, at)
        if found is None:
            return
        start = lines.rfind(b"\n", at, found.start()) + 1 or at
        at = lines.find(b"\n", found.end()) + 1 or len(lines)
        line = lines[start:at]
        if not (_takes_quickly(line, found[0], taker) if quick else _is_left_out(line, found[1], taker)):
            event = _parsed(line)
            if event is None:
                counts["broken"] += 1
            else:
                taker.take(event)


def _takes_quickly(line: bytes, mark: bytes, taker: Taker) -> bool:
    """Whether there is nothing more to do with a line."""
    if mark == b'_type":"tls"':
        return taker.take_tls(line)
    if mark == b'_proto":"tls"':
        return taker.take_flow(line) or _FLOW_TYPE not in line
    if mark == b'_type":"netflow"':
        return not _TLS.search(line)
    return mark == b'_type":"frame"' and not _HEARTBEAT.search(line)


def _is_left_out(line: bytes, kind: bytes, taker: Taker) -> bool:
    """Likewise, of lines that look otherwise, or when other flows matter."""
    if kind in (b"flow", b"netflow") and not _TLS.search(line):
        flow_id = _FLOW_ID.search(line)
        return flow_id is None or not taker.knows(int(flow_id[1]))
    return kind == b"frame" and not _HEARTBEAT.search(line)


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
