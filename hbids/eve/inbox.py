"""EVE lines that are brought, over a socket, a pipe, or from Redis: taken at once, so that Suricata never waits for us.

Each way in is a thread that fills a bounded queue. What a live Suricata brings beyond that is dropped and counted, as
it would drop it itself; a pipe is made to wait."""

from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, urlsplit

from hbids.errors import UserInputError
from hbids.eve.lines import LineCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hbids.config import Eve

__all__ = ["Inbox", "open_inbox"]

_READ_BYTES = 1 << 18
_WAIT_S = 0.2
"""How often threads look whether they shall end."""
_SOCKET_MODE = 0o660
_REDIS_LINES = 1_000


class _Source(Protocol):
    """Where lines come from."""

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        """Whole lines, until closed or over; empty when nothing came for a moment."""

    waits: bool
    """Whoever writes may be made to wait."""


class Inbox:
    """The lines of one source, between its thread and whoever reads them."""

    def __init__(self, source: _Source, most_bytes: int) -> None:
        self._source = source
        self._most_bytes = most_bytes
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self.dropped = 0
        """Lines for which there was no room."""
        self.failure = ""
        """Why the source ended, when it should not have."""
        self._thread = threading.Thread(target=self._fill, name="eve inbox", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Nothing more will come, and all was read."""
        return not self._thread.is_alive() and not self._pieces

    @property
    def lag_bytes(self) -> int:
        """What is there and was not read."""
        return self._held_bytes

    def read(self) -> Iterator[bytes]:
        """What came since, in pieces of whole lines."""
        for _ in range(len(self._pieces)):
            with self._changed:
                piece = self._pieces.popleft()
                self._held_bytes -= len(piece)
                self._changed.notify()
            yield piece

    def close(self) -> None:
        """Take nothing more."""
        self._closed.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()

    def _fill(self) -> None:
        try:
            for piece in self._source.pieces(self._closed.is_set):
                if piece:
                    self._put(piece)
        except OSError as error:
            self.failure = str(error)

    def _put(self, piece: bytes) -> None:
        with self._changed:
            while self._source.waits and self._held_bytes > self._most_bytes and not self._closed.is_set():
                self._changed.wait(_WAIT_S)
            if self._held_bytes > self._most_bytes:
                self.dropped += piece.count(b"\n")
                return
            self._pieces.append(piece)
            self._held_bytes += len(piece)


def open_inbox(name: str, limits: Eve) -> Inbox | None:
    """The source that is called ``-``, ``unix_stream:PATH``, ``unix_dgram:PATH`` or ``redis://HOST[:PORT]/KEY``; None
    for a file. Raises OSError when it cannot be opened, UserInputError when it needs what is not installed."""
    kind, _, rest = name.partition(":")
    if name == "-":
        return Inbox(_Pipe(0, limits.line_bytes), limits.inbox_bytes)
    if kind == "unix_stream":
        return Inbox(_StreamSocket(rest, limits.line_bytes), limits.inbox_bytes)
    if kind == "unix_dgram":
        return Inbox(_DatagramSocket(rest), limits.inbox_bytes)
    if kind in {"redis", "rediss"}:
        return Inbox(_redis(name), limits.inbox_bytes)
    return None


class _Pipe:
    waits = True

    def __init__(self, fd: int, most_line_bytes: int) -> None:
        self._fd = os.dup(fd)
        self._cutter = LineCutter(most_line_bytes)

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        with selectors.DefaultSelector() as selector, os.fdopen(self._fd, "rb", buffering=0) as pipe:
            try:
                selector.register(pipe, selectors.EVENT_READ)
                is_ready: Callable[[], object] = lambda: selector.select(_WAIT_S)  # noqa: E731  the shorter of two
            except PermissionError:  # a file, which is always ready
                is_ready = lambda: True  # noqa: E731
            while not is_closed():
                if not is_ready():
                    continue
                data = pipe.read(_READ_BYTES)
                if not data:
                    yield self._cutter.finish()
                    return
                yield self._cutter.push(data)


class _StreamSocket:
    """Suricata connects to it, and again after each pause."""

    waits = False

    def __init__(self, path: str, most_line_bytes: int) -> None:
        self._path, self._socket = path, _bound(path, socket.SOCK_STREAM)
        self._socket.listen()
        self._most_line_bytes = most_line_bytes

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        with selectors.DefaultSelector() as selector, self._socket:
            selector.register(self._socket, selectors.EVENT_READ)
            while not is_closed():
                for key, _ in selector.select(_WAIT_S):
                    if key.fileobj is self._socket:
                        connection, _ = self._socket.accept()
                        selector.register(connection, selectors.EVENT_READ, LineCutter(self._most_line_bytes))
                    else:
                        yield self._received(selector, key)
            for key in list(selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
        _unlink(self._path)

    def _received(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bytes:
        connection, cutter = key.fileobj, key.data
        assert isinstance(connection, socket.socket)
        try:
            data = connection.recv(_READ_BYTES)
        except ConnectionError:
            data = b""
        if data:
            return bytes(cutter.push(data))
        selector.unregister(connection)
        connection.close()
        return bytes(cutter.finish())


class _DatagramSocket:
    """Each datagram is an event."""

    waits = False

    def __init__(self, path: str) -> None:
        self._path, self._socket = path, _bound(path, socket.SOCK_DGRAM)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.settimeout(_WAIT_S)

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        with self._socket:
            while not is_closed():
                with suppress(TimeoutError):
                    yield self._socket.recv(1 << 20).rstrip(b"\n") + b"\n"
        _unlink(self._path)


def _bound(path: str, kind: socket.SocketKind) -> socket.socket:
    """A socket of that name; one that a run before has left there is taken away."""
    place = Path(path)
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(place.lstat().st_mode) and not _is_listening(path, kind):
            place.unlink()
    bound = socket.socket(socket.AF_UNIX, kind)
    try:
        bound.bind(path)
        place.chmod(_SOCKET_MODE)
    except OSError:
        bound.close()
        raise
    return bound


def _is_listening(path: str, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as probe:
        return probe.connect_ex(path) == 0


def _unlink(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()


class _Redis:
    """A list that Suricata pushes to (``mode`` list, or rpush, as there), whose lines are taken out; or a stream, read
    from now on."""

    waits = True

    def __init__(self, name: str) -> None:
        from redis import Redis

        url = urlsplit(name)
        self._key = url.path.lstrip("/")
        self._mode = parse_qs(url.query).get("mode", ["list"])[-1]
        self._client = Redis(
            host=url.hostname or "localhost",
            port=url.port or 6379,
            username=url.username,
            password=url.password or os.environ.get("REDISCLI_AUTH"),
            ssl=url.scheme == "rediss",
        )
        self._last = self._newest() if self._mode == "stream" else ""

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        from redis.exceptions import RedisError

        pause = threading.Event()
        while not is_closed():
            try:
                lines = self._entries() if self._mode == "stream" else self._items()
            except RedisError:  # it comes back, or the lag says that it does not
                lines = []
            if not lines:
                pause.wait(_WAIT_S)
            yield b"".join(line.rstrip(b"\n") + b"\n" for line in lines)

    def _items(self) -> list[bytes]:
        pop = self._client.lpop if self._mode == "rpush" else self._client.rpop
        items: list[bytes] | None = pop(self._key, _REDIS_LINES)  # type: ignore[assignment]
        return items or []

    def _newest(self) -> str:
        """The entry behind which reading begins; the beginning, where there is none."""
        from redis.exceptions import RedisError

        try:
            newest: list[tuple[bytes, object]] = self._client.xrevrange(self._key, count=1)  # type: ignore[assignment]
        except RedisError:
            return "0-0"
        return newest[0][0].decode() if newest else "0-0"

    def _entries(self) -> list[bytes]:
        found: list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]
        found = self._client.xread({self._key: self._last}, count=_REDIS_LINES, block=int(_WAIT_S * 1_000))  # type: ignore[assignment]
        lines = []
        for _, entries in found or []:
            for number, fields in entries:
                self._last = number.decode()
                lines += list(fields.values())
        return lines


def _redis(name: str) -> _Redis:
    try:
        return _Redis(name)
    except ModuleNotFoundError as error:
        raise UserInputError([f"{name}: {error.name} is not installed: pip install 'hbids[redis]'"]) from error
