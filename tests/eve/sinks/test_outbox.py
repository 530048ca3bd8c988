"""The outbox: a sensor never waits for a sink, and what is lost is counted."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hbids.config import Sinks
from tests.support.outboxes import line, open_outbox
from tests.support.wire import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence


class Gate:
    """A sink that takes lines while it is open."""

    name, must_open = "gate", False

    def __init__(self) -> None:
        self.may_pass, self.lines = threading.Event(), list[bytes]()

    def open(self) -> None:
        pass

    def write(self, lines: Sequence[bytes]) -> int:
        self.may_pass.wait()
        self.lines += lines
        return len(lines)

    def close(self) -> None:
        pass


def test_the_first_lines_wait_and_later_ones_are_lost() -> None:
    gate = Gate()
    with open_outbox(gate, Sinks(queue_lines=10)) as outbox:
        for number in range(25):
            outbox.put(line(number))
        stuck = outbox.counts()
        gate.may_pass.set()
    assert (stuck.lost, stuck.queued, stuck.written) == (15, 10, 0)
    assert gate.lines == [line(number) for number in range(10)]


def test_the_queue_is_bounded_in_bytes_too() -> None:
    gate = Gate()
    with open_outbox(gate, Sinks(queue_bytes=1000)) as outbox:
        for number in range(25):
            outbox.put(line(number, 280))  # 300 bytes
        assert outbox.counts().queued == 3
        gate.may_pass.set()
        eventually(lambda: not outbox.counts().queued, "what waited")
        outbox.put(line(25, 280))
    assert len(gate.lines) == 4


def test_the_end_does_not_wait_for_a_sink_that_hangs() -> None:
    with open_outbox(Gate()) as outbox:
        outbox.put(line(1))
        started = time.monotonic()
        outbox.close(deadline_s=0.1)
        assert time.monotonic() - started < 2
        assert (outbox.counts().lost, outbox.counts().queued) == (1, 0)


def test_everything_is_out_at_the_end() -> None:
    gate = Gate()
    gate.may_pass.set()
    with open_outbox(gate) as outbox:
        for number in range(10_000):
            outbox.put(line(number))
        outbox.close(deadline_s=20)
        assert outbox.counts().written == 10_000
    assert gate.lines == [line(number) for number in range(10_000)]


def test_a_sink_with_a_bug_is_one_that_fails() -> None:
    class Broken(Gate):
        def write(self, lines: Sequence[bytes]) -> int:
            if not self.may_pass.is_set():
                raise ValueError("a bug")
            return super().write(lines)

    gate, told = Broken(), list[str]()
    with open_outbox(gate, told=told) as outbox:
        outbox.put(line(1))
        eventually(lambda: told, "it is told")
        gate.may_pass.set()
        eventually(lambda: outbox.counts().written == 1, "it is written")
    assert "a bug" in told[0]
