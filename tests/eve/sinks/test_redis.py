"""EVE lines to a real Redis server: list and stream, restarts, passwords."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from hbids.config import Sinks
from tests.conftest import require_tool
from tests.support.outboxes import QUICK, line, open_outbox
from tests.support.wire import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

redis = pytest.importorskip("redis", reason="missing: hbids[redis]")


class Server:
    """A Redis server on loopback that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=self.port)

    def start(self, *options: str) -> None:
        command = [require_tool("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen([*command, *options], cwd=self._folder, stdout=subprocess.DEVNULL)
        eventually(self._answers, "the server answers")

    def _answers(self) -> bool:
        try:
            self.client.ping()
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.ConnectionError:
            return False
        return True

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        server = Server(tmp_path)
        stack.callback(server.client.close)
        stack.callback(server.kill)
        server.start()
        yield server


def test_a_list_keeps_the_order(server: Server) -> None:
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids?db=3") as outbox:
        for number in range(1000):
            outbox.put(line(number))
        outbox.close(deadline_s=10)
        assert outbox.counts().written == 1000
    with redis.Redis(port=server.port, db=3) as client:
        popped: Any = client.lpop("hbids", 2000)
    assert popped == [line(number).rstrip() for number in range(1000)]


def test_a_stream_is_bounded(server: Server) -> None:
    settings = Sinks(redis_stream_entries=100)
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids?mode=stream", settings) as outbox:
        for number in range(1000):
            outbox.put(line(number))
        outbox.close(deadline_s=10)
    entries: Any = server.client.xrange("hbids")
    assert 100 <= len(entries) < 400
    assert entries[-1][1] == {b"eve": line(999).rstrip()}


def test_a_server_that_was_killed_is_found_again(server: Server) -> None:
    told = list[str]()
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids", told=told) as outbox:
        outbox.put(line(1))
        eventually(lambda: outbox.counts().written == 1, "the first line")
        server.kill()
        outbox.put(line(2))
        eventually(lambda: outbox.counts().failure, "the failure")
        server.start()
        eventually(lambda: outbox.counts().reconnects, "the second line")
        assert (outbox.counts().lost, outbox.counts().reconnects) == (0, 1)
    assert server.client.lpop("hbids") == line(2).rstrip()  # the server had kept nothing
    assert "cannot be written" in told[0]


def test_a_key_of_another_kind_is_told(server: Server) -> None:
    server.client.set("hbids", "text")
    told = list[str]()
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids", told=told) as outbox:
        outbox.put(line(1))
        eventually(lambda: told, "the failure")
        server.client.delete("hbids")
        eventually(lambda: outbox.counts().written == 1, "the line")
    assert "WRONGTYPE" in told[0] or "wrong kind of value" in told[0]


def test_a_password_is_used_and_never_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.client.config_set("requirepass", "hush")
    told = list[str]()
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids", told=told) as outbox:
        eventually(lambda: told, "it is refused")
    with open_outbox(f"redis://:hush@127.0.0.1:{server.port}/hbids", told=told) as outbox:
        outbox.put(line(1))
        eventually(lambda: outbox.counts().written == 1, "the first line")
        assert "hush" not in outbox.name
    monkeypatch.setenv("REDISCLI_AUTH", "hush")
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids", told=told) as outbox:
        outbox.put(line(2))
        eventually(lambda: outbox.counts().written == 1, "the second line")
    assert "hush" not in "".join(told)


def test_nobody_there_is_told_and_waited_for(tmp_path: Path) -> None:
    server, told = Server(tmp_path), list[str]()
    with open_outbox(f"redis://127.0.0.1:{server.port}/hbids", QUICK, told) as outbox:
        outbox.put(line(1))
        eventually(lambda: told, "the failure")
        server.start()
        eventually(lambda: outbox.counts().written == 1, "the line")
    server.client.close()
    server.kill()
