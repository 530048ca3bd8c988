"""What a service tells systemd: ready, alive, reloading, stopping (sd_notify(3)). Elsewhere it says nothing."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

__all__ = ["ServiceManager"]

_ALIVE_S = 5.0
"""A sign of life comes at least so often, or as often as systemd's watchdog needs it."""


class ServiceManager:
    """The service manager that started this process, or nobody."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._interval_s = min(_ALIVE_S, _watchdog_s() / 3)  # half would do, but for a step that takes long
        self._alive_s = -self._interval_s

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def ready(self) -> None:
        """Work has begun, or goes on after a reload."""
        self._send("READY=1")

    def alive(self, status: str) -> None:
        """A sign of life, with a line of text for ``systemctl status``; to be called often, it is sent now and then."""
        if time.monotonic() - self._alive_s >= self._interval_s:
            self._alive_s = time.monotonic()
            self._send("WATCHDOG=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read again; :meth:`ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)  # a manager that hangs must not hang us
            connection.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s() -> float:
    """The watchdog's patience with this process; infinite without one."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return float("inf")
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return float("inf")
