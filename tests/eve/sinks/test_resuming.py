"""A file in which each alert stands once, although the run that wrote it was cut off and another repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from hbids.config import Sinks
from hbids.eve.sinks import Beginning, Sink, sink_for

if TYPE_CHECKING:
    from pathlib import Path


def alert(name: str) -> bytes:
    return orjson.dumps({"alert": {"context": {"hbids": {"alert_id": name}}}}, option=orjson.OPT_APPEND_NEWLINE)


def resumed(path: Path) -> Sink:
    sink = sink_for(str(path), Sinks(), Beginning.RESUMED)
    sink.open()
    return sink


def test_an_alert_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_bytes(alert("a") + alert("b") + alert("c")[:30])
    sink = resumed(path)
    assert sink.write([alert("b"), alert("c"), alert("d"), alert("d")]) == 4
    assert sink.write([alert("a"), alert("e"), b"{}\n", b"{}\n"]) == 4
    assert path.read_bytes() == b"".join(map(alert, "abcde")) + b"{}\n{}\n"


def test_what_was_written_stays_known_when_the_file_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_bytes(alert("a"))
    sink = resumed(path)
    path.rename(tmp_path / "eve.json.1")
    sink.write([alert("a"), alert("b")])
    assert path.read_bytes() == alert("b")


def test_a_failure_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    sink = resumed(tmp_path / "eve.json")
    (tmp_path / "eve.json").unlink()
    (tmp_path / "eve.json").symlink_to("/dev/full")
    lines = [alert("a"), alert("b")]
    for _ in range(2):
        try:
            written = sink.write(lines)
        except OSError:
            written = 0
        assert written == 0
    (tmp_path / "eve.json").unlink()
    sink.close()
    sink.open()
    assert sink.write(lines) == 2
    assert (tmp_path / "eve.json").read_bytes() == alert("a") + alert("b")
