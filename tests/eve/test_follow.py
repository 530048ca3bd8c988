"""Each line of a log is read once, in order, however the log is rotated and whenever reading is interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbids.eve import follow
from hbids.eve.file import Place
from hbids.eve.follow import Follower
from tests.eve.logfile import Log

MOST_LINE_BYTES = 1 << 20


def numbers(chunks: list[bytes]) -> list[int]:
    """Of the lines read."""
    return [json.loads(line)["n"] for chunk in chunks for line in chunk.splitlines()]


class Reader:
    """Reads a log; what it reads, and what it complains of, adds up over restarts."""

    def __init__(self, *patterns: Path) -> None:
        self._patterns = list(map(str, patterns))
        self._follower = Follower(self._patterns, MOST_LINE_BYTES)
        self.seen: list[int] = []

    def read(self) -> list[int]:
        new = numbers(list(self._follower.read()))
        self.seen += new
        return new

    def crash_behind_a_piece(self) -> None:
        """What is read behind the first piece is lost with the process."""
        documents = None
        for chunk in self._follower.read():
            if documents is None:
                self.seen += numbers([chunk])
                documents = self._documents()
        self._begin_again(documents or self._documents())

    def restart(self) -> None:
        """As after a crash: all that is left is a document."""
        self._begin_again(self._documents())

    def _documents(self) -> list[dict[str, object]]:
        documents: list[dict[str, object]] = json.loads(
            json.dumps([each._asdict() for each in self._follower.places()])
        )
        return documents

    def _begin_again(self, documents: list[dict[str, object]]) -> None:
        places = [place for document in documents if (place := Place.of(document))]
        self._follower.close()
        self._follower = Follower(self._patterns, MOST_LINE_BYTES, places)

    def close(self) -> None:
        self._follower.close()

    @property
    def problems(self) -> list[str]:
        return self._follower.problems


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "eve.json")


@pytest.fixture
def reader(log: Log) -> Iterator[Reader]:
    with closing(Reader(log.path)) as reader:
        yield reader


def test_a_file_that_is_not_there_yet_is_waited_for(log: Log, reader: Reader) -> None:
    assert reader.read() == []
    log.write(2)
    assert reader.read() == [1, 2]


def test_a_line_without_its_end_waits(log: Log, reader: Reader) -> None:
    log.write()
    log.write_half()
    assert reader.read() == [1]
    log.write()
    assert reader.read() == [2, 3]


def test_a_renamed_file_is_read_to_its_end_first(log: Log, reader: Reader) -> None:
    log.write(2)
    assert reader.read() == [1, 2]
    log.write(2)
    log.rename()
    assert reader.read() == [3, 4]
    log.write()
    assert reader.read() == [5]


def test_several_rotations_between_two_looks(log: Log, reader: Reader) -> None:
    log.write()
    assert reader.read() == [1]
    for _ in range(3):
        log.write(2)
        log.rename()
    log.write()
    assert reader.read() == [2, 3, 4, 5, 6, 7, 8]


def test_a_truncated_file_is_finished_from_its_copy(log: Log, reader: Reader) -> None:
    log.write(3)
    assert reader.read() == [1, 2, 3]
    log.write(2)
    log.copy_and_truncate()
    assert reader.read() == [4, 5]
    log.write(20)  # more than there was before
    assert reader.read() == list(range(6, 26))


def test_a_file_that_has_grown_again_after_truncation_is_known_by_its_beginning(log: Log, reader: Reader) -> None:
    log.write(3)
    reader.read()
    log.copy_and_truncate()
    log.write(50)
    reader.read()
    assert reader.seen == list(range(1, 54))


def test_a_replaced_file_begins_anew(log: Log, reader: Reader) -> None:
    log.write(3)
    reader.read()
    log.path.unlink()
    log.write(2)
    assert reader.read() == [4, 5]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("rotate", [Log.rename, Log.copy_and_truncate])
def test_what_was_rotated_away_meanwhile_is_caught_up(log: Log, reader: Reader, rotate: object, suffix: str) -> None:
    assert callable(rotate)
    log.write(3)
    reader.read()
    for _ in range(3):
        log.write(2)
        rotate(log)
    if suffix:
        log.compress(suffix)
    log.write()
    reader.restart()
    assert reader.read() == [4, 5, 6, 7, 8, 9, 10]
    assert reader.problems == []


def test_what_is_gone_is_told(log: Log, reader: Reader) -> None:
    log.write(3)
    reader.read()
    log.path.unlink()
    log.write()
    reader.restart()
    assert reader.read() == [4]
    assert "rotated away unread" in reader.problems[0]


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_many_rotations_and_crashes_while_they_are_caught_up(
    log: Log, reader: Reader, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_PLACES_LEFT", 3)
    log.write()
    reader.read()
    for _ in range(12):
        for _ in range(2):
            log.write()
            log.rename()
        log.write()
        reader.restart()
        for _ in range(pieces):
            reader.crash_behind_a_piece()
        reader.read()
    assert reader.seen == list(range(1, log.written + 1))
    assert reader.problems == []


def test_old_files_are_left_alone_at_the_first_start(log: Log) -> None:
    log.write(3)
    log.rename()
    log.write()
    with closing(Reader(log.path)) as reader:
        assert reader.read() == [4]


def test_files_of_several_threads_are_read_side_by_side(tmp_path: Path) -> None:
    logs = [Log(tmp_path / f"eve.{number}.json") for number in (1, 2, 3)]
    reader = Reader(tmp_path / "eve.*.json")
    for _ in range(3):
        for log in logs:
            log.write(2)
        reader.read()
    reader.restart()
    for log in logs:
        log.write()
    reader.read()
    reader.close()
    assert sorted(reader.seen) == sorted([*range(1, 8)] * 3)


def test_files_named_after_the_time(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "eve-*.json")
    log = Log(tmp_path / "eve-2026-11-24-10:00.json")
    for minute in range(5):
        log.path = tmp_path / f"eve-2026-11-24-10:{minute:02}.json"
        log.write(2)
        if minute % 2:
            reader.read()
        if minute == 3:
            reader.restart()
    reader.read()
    reader.close()
    assert reader.seen == list(range(1, 11))


STEPS: dict[str, Callable[[Log, Reader], object]] = {
    "write": lambda log, _: log.write(3),
    "write half": lambda log, _: log.write_half(),
    "rename": lambda log, _: log.rename(),
    "copy and truncate": lambda log, _: log.copy_and_truncate(),
    "gzip": lambda log, _: log.compress(".gz"),
    "zstd": lambda log, _: log.compress(".zst"),
    "read": lambda _, reader: reader.read(),
    "restart": lambda _, reader: reader.restart(),
}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_whatever_happens_each_line_is_read_once(steps: list[str]) -> None:
    with TemporaryDirectory() as directory:
        log = Log(Path(directory) / "eve.json")
        reader = Reader(log.path)
        log.write()
        reader.read()
        for step in steps:
            STEPS[step](log, reader)
        log.write()
        reader.read()
        reader.close()
        assert reader.seen == list(range(1, log.written + 1))
        assert reader.problems == []
