"""Suricata's command socket: commands and answers are JSON objects, one a line (protocol 0.2, Suricata 5 and newer; its
user guide, "Interacting via Unix Socket"). Only this end is trusted: an answer is bounded in time and size."""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

__all__ = ["USUAL_PLACES", "CommandRefused", "CommandSocket"]

USUAL_PLACES = ("/var/run/suricata/suricata-command.socket", "/var/run/suricata-command.socket")
"""Where Suricata's socket is by default, and where Debian's is."""

_VERSION = "0.2"
_ANSWER_BYTES = 65_536
"""The longest that is read; those to our commands have less than a hundred."""
_READ_BYTES = 4_096


class CommandRefused(Exception):
    """Suricata understood, and did not do it; the text says why."""


class CommandSocket:
    """A connection to a running Suricata. Everything but :meth:`close` raises OSError when it is away, hangs or
    does not speak the protocol; then the connection is of no more use."""

    def __init__(self, path: str | None, answer_wait_s: float) -> None:
        """``path`` is that of the socket; None for the first of :data:`USUAL_PLACES` that is there."""
        self._path = path
        self._answer_wait_s = answer_wait_s
        self._socket: socket.socket | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return self._path or next((place for place in USUAL_PLACES if Path(place).is_socket()), USUAL_PLACES[0])

    @property
    def is_open(self) -> bool:
        """There is a connection, and Suricata has not ended it. That it has is seen here: one that was started anew
        knows nothing of what was told before."""
        if self._socket is None:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)  # it speaks only when asked: this is the end, or as good as it

    def open(self) -> None:
        """Connect, and agree on the version."""
        self.close()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(self._answer_wait_s)
        self._socket.connect(self.name)
        self._ask({"version": _VERSION})

    def set_hostbit(self, ip: str, hostbit: str, expire_s: int) -> None:
        """Set a bit of an address, for so long from now on. Raises CommandRefused, too."""
        # Suricata 7 leaves a bit that is there as it is, even if its time is over, whatever its documentation says.
        with suppress(CommandRefused):
            self.remove_hostbit(ip, hostbit)
        self._ask({"command": "add-hostbit", "arguments": {"ipaddress": ip, "hostbit": hostbit, "expire": expire_s}})

    def remove_hostbit(self, ip: str, hostbit: str) -> None:
        """Take a bit away. Raises CommandRefused, too."""
        self._ask({"command": "remove-hostbit", "arguments": {"ipaddress": ip, "hostbit": hostbit}})

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._socket is not None
        deadline_s = time.monotonic() + self._answer_wait_s
        self._socket.sendall(orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE))
        line = b""
        while not line.endswith(b"\n"):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no answer within {self._answer_wait_s:g} s")
            self._socket.settimeout(left_s)
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("ended the connection")
            line += data
            if len(line) > _ANSWER_BYTES:
                raise ConnectionError("does not answer as Suricata does")
        try:
            answer = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConnectionError("does not answer as Suricata does") from error
        returned = answer.get("return") if isinstance(answer, dict) else None
        if returned == "NOK":
            raise CommandRefused(str(answer.get("message", "without a reason"))[:200])
        if returned != "OK":
            raise ConnectionError("does not answer as Suricata does")
