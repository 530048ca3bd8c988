"""Lines that Suricata leaves in Redis: each is read, however often the sidecar or Redis ends."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from hbids.config import Eve
from hbids.eve.inbox import Inbox, Mark, open_inbox
from tests.conftest import require_tool
from tests.sidecar.test_restart import Process, lines, undisturbed
from tests.support.wire import eventually

__all__ = ["lines"]

KEY = "suricata"
KEPT = f"{KEY}:hbids"


class Server:
    """On loopback. It may be killed and started again, and has then what it had."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._folder = folder
        self.client: Any = redis.Redis(port=self.port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [require_tool("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always"]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        eventually(self._answers, "Redis")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def inbox(self, mode: str = "list", mark: Mark | None = None) -> Inbox:
        inbox = open_inbox(self.name(mode), Eve(), [mark] if mark else [])
        assert inbox is not None
        return inbox

    def name(self, mode: str) -> str:
        return f"redis://127.0.0.1:{self.port}/{KEY}?mode={mode}"

    def write(self, mode: str, *lines: bytes) -> None:
        """As Suricata does."""
        for line in lines:
            if mode == "stream":
                self.client.xadd(KEY, {"eve": line})
            else:
                (self.client.lpush if mode == "list" else self.client.rpush)(KEY, line)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.end()


def numbered(first: int, last: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(first, last)]


def got(inbox: Inbox, count: int) -> list[bytes]:
    read: list[bytes] = []

    def is_there() -> bool:
        for piece in inbox.read():
            read.extend(piece.splitlines())
        return len(read) >= count

    eventually(is_there, f"{count} lines, of which {len(read)}")
    return read


@pytest.mark.parametrize("mode", ["list", "rpush", "stream"])
def test_what_suricata_left_is_read_in_order(server: Server, mode: str) -> None:
    inbox = server.inbox(mode)
    server.write(mode, *numbered(0, 3))
    assert got(inbox, 3) == numbered(0, 3)
    inbox.close()


@pytest.mark.parametrize("mode", ["list", "rpush"])
def test_what_was_not_let_go_of_is_read_again(server: Server, mode: str) -> None:
    server.write(mode, *numbered(0, 5))
    first = server.inbox(mode)
    assert got(first, 5) == numbered(0, 5)
    first.close()
    second = server.inbox(mode)
    server.write(mode, *numbered(5, 7))
    assert got(second, 7) == numbered(0, 7)
    assert second.mark
    second.let_go(second.mark)
    second.close()
    assert server.client.llen(KEPT) == 0
    third = server.inbox(mode)
    server.write(mode, *numbered(7, 8))
    assert got(third, 1) == numbered(7, 8)
    third.close()


def test_reading_goes_on_from_a_mark_and_a_mark_of_other_lines_is_void(server: Server) -> None:
    server.write("list", *numbered(0, 5))
    first = server.inbox()
    got(first, 5)
    mark = first.mark
    assert mark
    first.close()
    server.write("list", *numbered(5, 6))
    second = server.inbox(mark=mark)
    assert got(second, 1) == numbered(5, 6)
    second.close()
    server.client.flushall()
    server.write("list", *numbered(0, 9))
    third = server.inbox(mark=mark)
    assert got(third, 9) == numbered(0, 9)
    third.close()


def test_a_stream_is_read_on_and_what_was_deleted_unread_is_counted(server: Server) -> None:
    first = server.inbox("stream")
    server.write("stream", *numbered(0, 3))
    got(first, 3)
    mark = first.mark
    first.close()
    server.write("stream", *numbered(3, 10))
    server.client.xtrim(KEY, maxlen=5, approximate=False)
    second = server.inbox("stream", mark)
    assert got(second, 5) == numbered(5, 10)
    assert second.dropped == 2
    second.close()


def test_a_redis_that_is_killed_and_comes_back_loses_and_repeats_nothing(server: Server) -> None:
    inbox, read = server.inbox(), list[bytes]()
    for start in range(0, 1_000, 100):
        server.write("list", *numbered(start, start + 100))
        read += got(inbox, 50)
        server.end()
        server.start()
        for mark in filter(None, [inbox.mark]):
            inbox.let_go(mark)
    read += got(inbox, 1_000 - len(read))
    assert read == numbered(0, 1_000)
    inbox.close()


@pytest.mark.parametrize("mode", ["list", "stream"])
def test_killed_at_any_time_the_sidecar_neither_loses_nor_repeats_an_alert(
    server: Server, lines: list[bytes], tmp_path: Path, mode: str
) -> None:
    dice = random.Random(1)  # noqa: S311  no secret
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    expected = undisturbed(lines, tmp_path / "whole")
    process = Process(tmp_path / "killed", server.name(mode))
    process.start()
    process.wait_until_ready()
    kills = 0
    for start in range(0, len(lines), 100):
        server.write(mode, *lines[start : start + 100])
        time.sleep(dice.uniform(0, 0.6))
        if dice.random() < 0.6:
            kills += 1
            process.end()
            process.start()
    process.wait_until_ready()
    if mode == "list":
        eventually(lambda: server.client.llen(KEY) == 0, "the end of the list")
    time.sleep(3)  # until all is read and nothing more is held back
    assert process.end(signal.SIGTERM) == 0
    told = process.alert_ids()
    assert kills > 5
    assert len(set(told)) == len(told)
    assert set(told) == set(expected)
    assert server.client.llen(KEPT) < len(lines) / 2
