"""Whatever may sit behind the path of Suricata's command socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Manner = Callable[[socket.socket, bytes], None]
"""What is done with a connection after a request has come; an exception ends it."""


def says(*answers: bytes) -> Manner:
    """The same to whatever is asked."""

    def answer(connection: socket.socket, _: bytes) -> None:
        for each in answers:
            connection.sendall(each)

    return answer


def hangs(_: socket.socket, __: bytes) -> None:
    """Says nothing."""


def hangs_up(_: socket.socket, __: bytes) -> None:
    """Ends the connection."""
    raise OSError


class Suricata:
    """Does what it is told and keeps it; refuses what its rules do not ask for."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.bits: dict[str, int] = {}
        """Seconds, by address."""

    def __call__(self, connection: socket.socket, request: bytes) -> None:
        asked = json.loads(request)
        arguments = asked.get("arguments", {})
        refused = arguments.get("hostbit") not in {None, *self.known}
        if asked.get("command") == "add-hostbit" and not refused:
            self.bits.setdefault(arguments["ipaddress"], arguments["expire"])  # as the real one does
        if asked.get("command") == "remove-hostbit":
            self.bits.pop(arguments["ipaddress"], None)
        answer = {"return": "NOK", "message": "hostbit not found"} if refused else {"return": "OK"}
        connection.sendall(json.dumps(answer).encode() + b"\n")


@contextmanager
def serving(path: Path, manner: Manner) -> Iterator[None]:
    """A server behind a socket, until the end; then all its connections are gone."""
    path.unlink(missing_ok=True)
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                for request in stream:
                    manner(connection, request)
        except (OSError, ValueError):
            pass

    def accept() -> None:
        try:
            while True:
                connection = listener.accept()[0]
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()
        except OSError:
            pass

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            path.unlink()
            for connection in connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
