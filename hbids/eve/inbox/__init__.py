"""EVE lines that are brought, over a socket, a pipe, or from Redis: taken at once, so that Suricata never waits for us.

Each way in is a thread that fills a bounded queue. What a live Suricata brings over a socket beyond that is dropped and
counted, as it would drop it itself; a pipe is made to wait, and Redis keeps its lines until they are let go of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hbids.errors import UserInputError
from hbids.eve.inbox.inbox import Inbox
from hbids.eve.inbox.pipe import Pipe
from hbids.eve.inbox.sockets import DatagramSocket, StreamSocket
from hbids.eve.inbox.source import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hbids.config import Eve
    from hbids.eve.inbox.source import Source

__all__ = ["Inbox", "Mark", "open_inbox"]


def open_inbox(name: str, limits: Eve, marks: Iterable[Mark] = ()) -> Inbox | None:
    """The source that is called ``-``, ``unix_stream:PATH``, ``unix_dgram:PATH`` or ``redis://HOST[:PORT]/KEY``; None
    for a file. One that keeps its lines goes on from its mark. Raises OSError when it cannot be opened, UserInputError
    when it needs what is not installed."""
    known_as = re.sub("//[^/]*@", "//", name)  # a state needs no password
    source = _source(name, limits, next((mark.position for mark in marks if mark.source == known_as), None))
    return None if source is None else Inbox(known_as, source, limits.inbox_bytes)


def _source(name: str, limits: Eve, position: str | None) -> Source | None:
    kind, _, rest = name.partition(":")
    if name == "-":
        return Pipe(0, limits.line_bytes)
    if kind == "unix_stream":
        return StreamSocket(rest, limits.line_bytes)
    if kind == "unix_dgram":
        return DatagramSocket(rest)
    if kind not in {"redis", "rediss"}:
        return None
    try:
        from hbids.eve.inbox.redis import open_redis
    except ModuleNotFoundError as error:
        raise UserInputError([f"{name}: {error.name} is not installed: pip install 'hbids[redis]'"]) from error
    return open_redis(name, position)
