"""EVE lines to a syslog daemon: a socket that stands for /dev/log, by datagrams or as a stream."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import pytest

from hbids.eve.sinks.syslog import SyslogSink
from tests.support.outboxes import line, open_outbox
from tests.support.wire import eventually

if TYPE_CHECKING:
    from pathlib import Path


def daemon(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(str(path))
    listener.settimeout(20)
    return listener


def message(number: int, priority: int) -> bytes:
    """The regular expression of a message of syslog(3)."""
    text = re.escape(line(number).rstrip().decode())
    return rf"<{priority}>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d hbids\[{os.getpid()}\]: {text}".encode()


@pytest.mark.parametrize(("facility", "priority"), [("local5", 174), ("daemon", 30), ("user", 14)])
def test_each_line_is_a_message(tmp_path: Path, facility: str, priority: int) -> None:
    path = tmp_path / "log"
    with daemon(path) as listener, open_outbox(SyslogSink(facility, str(path))) as outbox:
        for number in (1, 2):
            outbox.put(line(number))
            assert re.fullmatch(message(number, priority), listener.recv(10_000))


def test_a_daemon_that_wants_a_stream_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with daemon(path, socket.SOCK_STREAM) as listener:
        listener.listen()
        with open_outbox(SyslogSink("local5", str(path))) as outbox:
            connection = listener.accept()[0]
            outbox.put(line(1))
            outbox.put(line(2))
            outbox.close(deadline_s=5)
        messages = connection.makefile("rb").read().split(b"\0")
        connection.close()
    assert [bool(re.fullmatch(message(number + 1, 174), text)) for number, text in enumerate(messages[:2])] == [
        True
    ] * 2
    assert messages[2:] == [b""]


def test_a_daemon_that_restarts_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first = daemon(path)
    with open_outbox(SyslogSink("local5", str(path))) as outbox:
        outbox.put(line(1))
        assert first.recv(10_000).endswith(line(1).rstrip())
        first.close()
        path.unlink()
        outbox.put(line(2))
        eventually(lambda: outbox.counts().failure, "the failure")
        with daemon(path) as second:
            assert second.recv(10_000).endswith(line(2).rstrip())
        assert outbox.counts().lost == 0


def test_a_daemon_that_hangs_does_not_stop_the_sensor(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with daemon(path) as listener, open_outbox(SyslogSink("local5", str(path))) as outbox:
        for number in range(20_000):
            outbox.put(line(number))
        counts = outbox.counts()
        assert counts.lost > 0
        assert counts.written + counts.queued + counts.lost == 20_000
        assert listener.recv(10_000).endswith(line(0).rstrip())
        outbox.close(deadline_s=0.1)
