"""EVE lines over a unix stream socket: readers that come late, are slow, or are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.outboxes import line, open_outbox, open_sink
from tests.support.wire import eventually

if TYPE_CHECKING:
    from pathlib import Path

READER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
for text in listener.accept()[0].makefile():
    print(text, end="", flush=True)
"""


def start_reader(path: Path) -> subprocess.Popen[bytes]:
    """A process that prints what comes."""
    reader = subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE)
    assert reader.stdout
    assert reader.stdout.readline() == b"ready\n"
    return reader


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def read_lines(connection: socket.socket, count: int) -> list[bytes]:
    """So many lines, and what there is of the next."""
    data = b""
    while data.count(b"\n") < count and (more := connection.recv(1 << 16)):
        data += more
    return data.splitlines(keepends=True)


def test_lines_wait_for_a_reader_that_comes_late(tmp_path: Path) -> None:
    path, told = tmp_path / "eve.sock", list[str]()
    with open_outbox(f"unix:{path}", told=told) as outbox:
        eventually(lambda: told, "it is told at once, before there is an alert")
        outbox.put(line(1))
        with listen(path) as listener, listener.accept()[0] as connection:
            assert read_lines(connection, 1) == [line(1)]
        eventually(lambda: outbox.counts().reconnects == 1, "the recovery is noted")
        assert outbox.counts().lost == 0


def test_a_reader_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    reader = start_reader(path)
    assert reader.stdout
    with open_outbox(f"unix:{path}") as outbox:
        outbox.put(line(1))
        assert reader.stdout.readline() == line(1)
        reader.send_signal(signal.SIGKILL)
        reader.communicate()
        outbox.put(line(2))
        eventually(lambda: outbox.counts().failure, "the failure")
        path.unlink()
        second = start_reader(path)
        assert second.stdout
        outbox.put(line(3))
        assert [second.stdout.readline() for _ in range(2)] == [line(2), line(3)]
        eventually(lambda: outbox.counts().written == 3, "the lines are noted")
        assert (outbox.counts().lost, outbox.counts().reconnects) == (0, 1)
    second.communicate()


def test_a_slow_reader_costs_only_what_the_queue_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    with listen(path) as listener, open_outbox(f"unix:{path}") as outbox, listener.accept()[0] as connection:
        for number in range(30_000):  # a megabyte waits for nobody; the socket holds some 200 KB
            outbox.put(line(number))
        lost = outbox.counts().lost
        assert lost > 0
        found = read_lines(connection, 30_000 - lost)
        assert found == sorted(found, key=lambda text: int(text[5 : text.index(b",")]))
        assert len(set(found)) == 30_000 - lost


def test_a_line_cut_by_the_end_of_a_connection_comes_whole_on_the_next(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    with listen(path) as listener:
        sink = open_sink(f"unix:{path}")
        connection = listener.accept()[0]
        os.set_blocking(sink._socket.fileno(), False)  # type: ignore[attr-defined]  # noqa: SLF001  stops within a line
        big = [line(number, 50_000) for number in range(20)]
        written = sink.write(big)
        assert 0 < written < 20
        connection.close()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            sink.write(big[written:])
        sink.close()
        sink.open()
        with listener.accept()[0] as second:
            sink.write(big[written : written + 1])
            assert read_lines(second, 1) == [big[written]]
        sink.close()
