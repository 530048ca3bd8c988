"""EVE lines in a file: rotated, truncated, deleted, on a full disk, and after a crash."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_tool
from tests.support.outboxes import line, open_outbox, open_sink
from tests.support.small_disk import small_disk
from tests.support.wire import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def numbers(path: Path) -> list[int]:
    """What the lines of a file hold; every one of them must be whole."""
    return [json.loads(text)["n"] for text in path.read_bytes().splitlines()]


def test_a_sensor_goes_on_with_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_bytes(line(1))
    sink = open_sink(str(path))
    assert sink.write([line(2), line(3)]) == 2
    assert numbers(path) == [1, 2, 3]  # visible at once


def test_a_run_over_captures_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_bytes(line(1))
    open_sink(str(path), replace=True).write([line(2)])
    assert numbers(path) == [2]


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    open_sink(str(path)).close()
    assert not stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere" / "eve.json")
    with pytest.raises(OSError, match="nowhere") as error:
        open_sink(path)
    assert error.value.filename == path


def test_a_line_that_a_crash_tore_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_bytes(line(1) + b'{"n":2,"pad')
    open_sink(str(path)).write([line(3)])
    assert path.read_bytes().splitlines(keepends=True) == [line(1), b'{"n":2,"pad\n', line(3)]


def test_a_fifo_is_written_when_it_has_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(OSError, match="fifo"):
        open_sink(str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    open_sink(str(path)).write([line(1)])
    assert os.read(reader, 1000) == line(1)
    os.close(reader)


# --- rotation -------------------------------------------------------------------------------------------------------


def test_renamed_and_told(tmp_path: Path) -> None:
    path, rotated = tmp_path / "eve.json", tmp_path / "eve.json.1"
    with open_outbox(str(path)) as outbox:
        outbox.put(line(1))
        eventually(lambda: outbox.counts().written == 1, "the first line")
        path.rename(rotated)
        outbox.reopen()
        eventually(path.exists, "a new file")  # before there is anything to write
        outbox.put(line(2))
    assert (numbers(rotated), numbers(path)) == ([1], [2])


@pytest.mark.parametrize("way", ["renamed", "deleted", "replaced"])
def test_followed_although_nobody_told(tmp_path: Path, way: str) -> None:
    path = tmp_path / "eve.json"
    sink = open_sink(str(path))
    sink.write([line(1)])
    if way == "renamed":
        path.rename(tmp_path / "eve.json.1")
    else:
        path.unlink()
    if way == "replaced":
        path.touch(0o600)
    sink.write([line(2)])
    assert numbers(path) == [2]


def test_truncated_in_place(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    sink = open_sink(str(path))
    sink.write([line(1), line(2)])
    os.truncate(path, 0)
    sink.write([line(3)])
    assert numbers(path) == [3]  # and no hole before it


def test_a_folder_that_goes_and_comes_back(tmp_path: Path) -> None:
    folder, told = tmp_path / "log", list[str]()
    folder.mkdir()
    with open_outbox(str(folder / "eve.json"), told=told) as outbox:
        outbox.put(line(1))
        eventually(lambda: outbox.counts().written == 1, "the first line")
        (folder / "eve.json").unlink()
        folder.rmdir()
        outbox.put(line(2))
        eventually(lambda: outbox.counts().failure, "the failure")
        folder.mkdir()
        eventually(lambda: outbox.counts().reconnects, "the recovery")
        counts = outbox.counts()
    assert numbers(folder / "eve.json") == [2]
    assert (counts.lost, counts.reconnects, counts.failure) == (0, 1, "")
    assert ["No such file" in told[0], "written again" in told[1], len(told)] == [True, True, 2]


@pytest.mark.parametrize("directive", ["create", "nocreate", "copytruncate"])
def test_logrotate_loses_nothing(tmp_path: Path, directive: str) -> None:
    path = tmp_path / "eve.json"
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(f"{path} {{\n rotate 9\n size 1\n {directive}\n su root root\n}}\n")
    if os.geteuid() != 0:
        configuration.write_text(f"{path} {{\n rotate 9\n size 1\n {directive}\n}}\n")
    rotate = [require_tool("logrotate"), "--state", str(tmp_path / "state"), "--force", str(configuration)]
    tmp_path.chmod(0o755)  # logrotate refuses folders that others may write to
    with open_outbox(str(path)) as outbox:
        for number in range(5):
            outbox.put(line(number))
            eventually(lambda sent=number + 1: outbox.counts().written == sent, "a line")  # type: ignore[misc]
            subprocess.run(rotate, check=True, capture_output=True)
            outbox.reopen()
    found = [number for file in tmp_path.glob("eve.json*") for number in numbers(file)]
    assert sorted(found) == [0, 1, 2, 3, 4]


# --- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """With room for a few pages."""
    with small_disk(tmp_path / "disk", "32k") as folder:
        yield folder


def test_a_full_disk_leaves_only_whole_lines(disk: Path) -> None:
    path = disk / "eve.json"
    sink = open_sink(str(path))
    lines = [line(number, 700) for number in range(100)]
    written = 0
    while (count := sink.write(lines[written : written + 10])) == 10:
        written += count
    written += count
    with pytest.raises(OSError, match="No space left"):
        sink.write(lines[written:])
    assert 40 < written < 48  # 32 KiB hold 45
    assert path.read_bytes() == b"".join(lines[:written])


def test_goes_on_when_there_is_room_again(disk: Path) -> None:
    path, ballast, told = disk / "eve.json", disk / "ballast", list[str]()
    ballast.write_bytes(bytes(24 << 10))
    with open_outbox(str(path), told=told) as outbox:
        for number in range(30):
            outbox.put(line(number, 700))
        eventually(lambda: outbox.counts().failure, "the disk is full")
        assert outbox.counts().queued > 10
        ballast.unlink()
        eventually(lambda: not outbox.counts().queued and outbox.counts().reconnects, "the rest")
        counts = outbox.counts()
    assert numbers(path) == list(range(30))
    assert (counts.written, counts.lost, counts.reconnects) == (30, 0, 1)
    assert "No space left" in told[0]


def test_what_does_not_fit_by_the_end_is_counted(disk: Path) -> None:
    path = disk / "eve.json"
    with open_outbox(str(path)) as outbox:
        for number in range(100):
            outbox.put(line(number, 700))
        outbox.close(deadline_s=5)
        counts = outbox.counts()
    assert numbers(path) == list(range(counts.written))
    assert (counts.written + counts.lost, counts.queued) == (100, 0)
