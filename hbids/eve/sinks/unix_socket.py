"""EVE lines over a unix stream socket, to a reader that listens there, as Suricata writes them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from hbids.eve.sinks.descriptor import whole_lines, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UnixSocketSink"]


class UnixSocketSink:
    """A stream connection to the socket at ``path``.

    A line of which only a part went out is written again, whole, to the next connection. Lines that the kernel has
    taken count as written, although a reader that dies may leave the last of them unread.
    """

    must_open = False

    def __init__(self, path: str) -> None:
        self.name = f"unix:{path}"
        self._path = path
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self._socket = connection

    def write(self, lines: Sequence[bytes]) -> int:
        """Waits while the reader is slow."""
        assert self._socket is not None
        written, failure = write_bytes(self._socket.fileno(), b"".join(lines))
        count, _ = whole_lines(lines, written)
        if failure and not count:
            raise failure
        return count

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()
            self._socket = None
