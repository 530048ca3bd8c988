"""What users write behind --eve."""

from __future__ import annotations

import sys

import pytest

from hbids.config import Sinks
from hbids.errors import UserInputError
from hbids.eve.sinks import Beginning, sink_for
from hbids.eve.sinks.file import FileSink


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        ("-", "-"),
        ("alerts.json", "alerts.json"),
        ("./syslog", "./syslog"),
        ("/var/log/hbids/a:b.json", "/var/log/hbids/a:b.json"),
        ("unix:/run/eve.sock", "unix:/run/eve.sock"),
        ("syslog", "syslog:local5"),
        ("syslog:daemon", "syslog:daemon"),
        ("redis://queue:7000/hbids?mode=stream&db=2", "redis://queue:7000/hbids?mode=stream&db=2"),
        ("redis://user:secret@[::1]/hbids", "redis://[::1]/hbids"),
        ("rediss://queue/hbids", "rediss://queue/hbids"),
    ],
)
def test_means_a_sink(destination: str, name: str) -> None:
    assert sink_for(destination, Sinks(), Beginning.APPENDED).name == name


def test_a_file_of_such_a_name_has_a_way() -> None:
    assert isinstance(sink_for("./unix:eve", Sinks(), Beginning.APPENDED), FileSink)


def test_redis_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hbids.eve.sinks.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(UserInputError, match=r"pip install 'hbids\[redis\]'"):
        sink_for("redis://queue/hbids", Sinks(), Beginning.APPENDED)


@pytest.mark.parametrize(
    ("destination", "problem"),
    [
        ("unix:", "no path"),
        ("syslog:local9", "no facility 'local9': use one of kern, user"),
        ("redis://queue", "no key"),
        ("redis:///hbids", "no host"),
        ("redis://queue:seven/hbids", "Port could not be cast"),
        ("redis://queue/hbids?mode=set", "no mode 'set'"),
        ("redis://queue/hbids?db=x", "invalid literal"),
        ("redis://queue/hbids?stream", "bad query field"),
        ("redis://queue/hbids?maxlen=3", "unknown option 'maxlen'"),
        ("redis://:secret@queue", "redis://queue: no key"),
    ],
)
def test_mistakes_are_told(destination: str, problem: str) -> None:
    with pytest.raises(UserInputError) as error:
        sink_for(destination, Sinks(), Beginning.APPENDED)
    assert problem in str(error.value)
    assert "secret" not in str(error.value)
