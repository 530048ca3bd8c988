"""What systemd hears, on a socket that stands for its own."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from hbids.cli.notify import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@hbids-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def heard(systemd: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(systemd.recv(1000).decode())
        except BlockingIOError:
            return messages


def test_hears_of_the_whole_life(systemd: socket.socket) -> None:
    manager = ServiceManager()
    manager.ready()
    manager.alive("1,234 packets")
    manager.reloading()
    manager.ready()
    manager.stopping()
    ready, alive, reloading, again, stopping = heard(systemd)
    assert (ready, again, stopping) == ("READY=1", "READY=1", "STOPPING=1")
    assert alive == "WATCHDOG=1\nSTATUS=1,234 packets"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")


@pytest.mark.parametrize(("watchdog_pid", "signs"), [("", 2), ("1", 1)])
def test_signs_of_life_keep_the_watchdog_quiet(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, watchdog_pid: str, signs: int
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", watchdog_pid or str(os.getpid()))
    now_s = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    manager = ServiceManager()
    for now_s in (0.0, 0.1, 0.9, 1.0, 1.9):  # noqa: B007  the clock
        manager.alive("")
    assert len(heard(systemd)) == signs


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager().ready()


def test_a_manager_that_is_gone_does_not_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    ServiceManager().ready()
