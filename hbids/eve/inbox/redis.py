"""Lines that Suricata leaves in Redis. None is lost if the sidecar is killed: each stays there until all that it tells
of has been judged and told, and is in the state, if there is one."""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from hbids.eve.inbox.source import WAIT_S, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["RedisList", "RedisStream", "open_redis"]

_LINES = 1_000
"""At once."""
_ANSWER_S = 10.0
"""A server that takes longer is taken for gone; it is tried again."""


def open_redis(name: str, position: str | None) -> Source:
    """``redis://[USER[:PASSWORD]@]HOST[:PORT]/KEY[?mode=list|rpush|stream]``, from a position on."""
    url = urlsplit(name)
    client = Redis(
        host=url.hostname or "localhost",
        port=url.port or 6379,
        username=url.username,
        password=url.password or os.environ.get("REDISCLI_AUTH"),
        ssl=url.scheme == "rediss",
        socket_timeout=_ANSWER_S,
        socket_connect_timeout=_ANSWER_S,
        retry=Retry(NoBackoff(), 0),  # what moves lines, or lets go of some, must not be done twice
    )
    key = url.path.lstrip("/")
    mode = parse_qs(url.query).get("mode", ["list"])[-1]
    if mode == "stream":
        return RedisStream(client, key, position)
    return RedisList(client, key, "LEFT" if mode == "rpush" else "RIGHT", position)


class _Kept(Source):
    waits = keeps = True

    def __init__(self, client: Redis, key: str) -> None:
        self._client: Any = client  # its types say that everything may be awaited
        self._key = key

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        """See :meth:`Source.pieces`."""
        pause = threading.Event()
        while not is_closed():
            try:
                lines = self._lines()
            except RedisError:  # it comes back, or the lag says that it does not
                self._doubt()
                lines = []
            if not lines:
                pause.wait(WAIT_S)
            yield b"".join(line.rstrip(b"\n") + b"\n" for line in lines)

    @abstractmethod
    def _lines(self) -> list[bytes]:
        """More of them, as far as there are any."""

    @abstractmethod
    def _doubt(self) -> None:
        """Nobody knows whether the last command was done."""


class RedisList(_Kept):
    """A list that Suricata pushes to. Lines are moved to a list beside it, ``KEY:hbids``, and stay there until they are
    let go of. ``KEY:hbids:book`` counts those, so that lines have numbers; its ``name`` tells whether it is still the
    same."""

    def __init__(self, client: Redis, key: str, oldest_at: str, position: str | None) -> None:
        super().__init__(client, key)
        self._oldest_at = oldest_at
        self._kept, self._book = f"{key}:hbids", f"{key}:hbids:book"
        self._name, self._number = _position(position)
        """Of the line to be given next."""
        self._first = 0
        """Number of the first line that is kept."""
        self._in_doubt = True
        """There may be lines in the list that is ours which were not given."""
        self.position = position

    def let_go(self, position: str) -> None:
        """See :meth:`Source.let_go`."""
        name, number = _position(position)
        count = number - self._first
        if self._in_doubt or name != self._name or count <= 0:
            return
        steps = self._client.pipeline(transaction=True)
        steps.ltrim(self._kept, count, -1)
        steps.hincrby(self._book, "first", count)
        try:
            steps.execute()
            self._first = number
        except RedisError:
            self._doubt()

    def _lines(self) -> list[bytes]:
        lines = self._left() if self._in_doubt else []
        if not lines:
            self._in_doubt = False
            lines = self._more()
        if lines:
            self._number += len(lines)
            self.position = f"{self._name} {self._number}"
        return lines

    def _left(self) -> list[bytes]:
        """What was moved already, and not given."""
        self._client.hsetnx(self._book, "name", uuid4().hex)
        book = self._client.hgetall(self._book)
        name, self._first = book[b"name"].decode(), int(book.get(b"first", 0))
        count = self._client.llen(self._kept)
        if name != self._name or not self._first <= self._number <= self._first + count:
            self._name, self._number = name, self._first
        start = self._number - self._first
        lines: list[bytes] = self._client.lrange(self._kept, start, start + _LINES - 1)
        return lines

    def _more(self) -> list[bytes]:
        count = min(self._client.llen(self._key), _LINES)
        if not count:
            return []
        steps = self._client.pipeline(transaction=False)
        for _ in range(count):
            steps.lmove(self._key, self._kept, self._oldest_at, "RIGHT")
        return [line for line in steps.execute() if line is not None]

    def _doubt(self) -> None:
        self._in_doubt = True


class RedisStream(_Kept):
    """A stream that Suricata adds to, and shortens: nothing is taken out of it here. Without a position it is read from
    now on."""

    def __init__(self, client: Redis, key: str, position: str | None) -> None:
        super().__init__(client, key)
        self._last, self._number = _position(position)
        """The entry that was read last, and how many there have been up to it."""
        self._must_look = True
        """Entries may have been deleted that were not read."""
        if not self._last:
            self._last, self._number = self._newest()
        self.position = f"{self._last} {self._number}"

    def let_go(self, position: str) -> None:
        """Whoever adds shortens."""

    def _lines(self) -> list[bytes]:
        if self._must_look:
            self._look_for_deleted()
        found = self._client.xread({self._key: self._last}, count=_LINES, block=int(WAIT_S * 1_000))
        entries = [entry for _, entries in found or [] for entry in entries]
        if entries:
            self._last, self._number = entries[-1][0].decode(), self._number + len(entries)
            self.position = f"{self._last} {self._number}"
        self._must_look = len(entries) == _LINES  # whoever is behind may lose some
        return [line for _, fields in entries for line in fields.values()]

    def _newest(self) -> tuple[str, int]:
        """The entry behind which reading begins; the beginning, where there is none, or nobody to ask."""
        try:
            newest = self._client.xrevrange(self._key, count=1)
            return (newest[0][0].decode(), self._added()[0]) if newest else ("0-0", 0)
        except RedisError:
            return "0-0", 0

    def _look_for_deleted(self) -> None:
        added, length = self._added()
        self.lost += max(0, added - length - self._number)
        self._number = min(max(self._number, added - length), added)
        self._must_look = False

    def _added(self) -> tuple[int, int]:
        """Entries there have been and are, as far as Redis says (7 and newer)."""
        try:
            told = self._client.xinfo_stream(self._key)
        except ResponseError:  # there is none
            return 0, 0
        return told.get("entries-added", told["length"]), told["length"]

    def _doubt(self) -> None:
        self._must_look = True


def _position(text: str | None) -> tuple[str, int]:
    """A name and a number; the empty one where there is none."""
    name, _, number = (text or "").partition(" ")
    return (name, int(number)) if number.isdecimal() else ("", 0)
