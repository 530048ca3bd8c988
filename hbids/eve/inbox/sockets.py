"""Lines over sockets that Suricata connects to."""

from __future__ import annotations

import selectors
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hbids.eve.inbox.source import WAIT_S, Source
from hbids.eve.lines import LineCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DatagramSocket", "StreamSocket"]

_READ_BYTES = 1 << 18
_SOCKET_MODE = 0o660


class StreamSocket(Source):
    """Suricata connects to it, and again after each pause."""

    waits = False

    def __init__(self, path: str, most_line_bytes: int) -> None:
        self._path, self._socket = path, _bound(path, socket.SOCK_STREAM)
        self._socket.listen()
        self._most_line_bytes = most_line_bytes

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        """See :meth:`Source.pieces`."""
        with selectors.DefaultSelector() as selector, self._socket:
            selector.register(self._socket, selectors.EVENT_READ)
            while not is_closed():
                for key, _ in selector.select(WAIT_S):
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


class DatagramSocket(Source):
    """Each datagram is an event."""

    waits = False

    def __init__(self, path: str) -> None:
        self._path, self._socket = path, _bound(path, socket.SOCK_DGRAM)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.settimeout(WAIT_S)

    def pieces(self, is_closed: Callable[[], bool]) -> Iterator[bytes]:
        """See :meth:`Source.pieces`."""
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
