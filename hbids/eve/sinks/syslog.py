"""EVE lines to the syslog daemon of this machine, one message a line (RFC 3164, in the form of syslog(3))."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FACILITIES", "SyslogSink"]

FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
} | {f"local{number}": 16 + number for number in range(8)}
"""RFC 3164 section 4.1.1, by the names of syslog(3)."""

_INFORMATIONAL = 6
"""Suricata's level for EVE: how grave an alert is, the alert says itself."""


class SyslogSink:
    """The daemon behind the socket at ``path``; what a message may hold is set there (rsyslog: 8 KB)."""

    must_open = False

    def __init__(self, facility: str, path: str = "/dev/log") -> None:
        self.name = f"syslog:{facility}"
        self._path = path
        self._priority = FACILITIES[facility] << 3 | _INFORMATIONAL
        self._socket: socket.socket | None = None
        self._is_stream = False

    def open(self) -> None:
        """Connect, by datagrams where the daemon takes them, else as a stream; syslog(3) does the same."""
        try:
            self._connect(socket.SOCK_DGRAM)
        except OSError:
            self._connect(socket.SOCK_STREAM)

    def _connect(self, kind: socket.SocketKind) -> None:
        connection = socket.socket(socket.AF_UNIX, kind)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self._socket, self._is_stream = connection, kind == socket.SOCK_STREAM

    def write(self, lines: Sequence[bytes]) -> int:
        """Waits while the daemon is slow."""
        assert self._socket is not None
        header = f"<{self._priority}>{_timestamp()} hbids[{os.getpid()}]: ".encode()
        end = b"\0" if self._is_stream else b""
        for count, line in enumerate(lines):
            try:
                self._socket.sendall(header + line.rstrip(b"\n") + end)
            except OSError:
                if not count:
                    raise
                return count
        return len(lines)

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()
            self._socket = None


def _timestamp() -> str:
    """RFC 3164 section 4.1.2: local time, English months, the day padded with a space."""
    now = time.localtime()
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[now.tm_mon - 1]
    return f"{month} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
