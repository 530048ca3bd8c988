"""A clock that is set back while a listener listens; the test's own, since that of the machine is everybody's."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from hbids.decode.engine import Engine
from hbids.facts import EndReason, Facts, FrameBatch
from hbids.pipeline import listener as listener_module
from hbids.pipeline.listener import Listener
from tests.support.conversation import batch_of, connected
from tests.support.decoding import engine_called
from tests.support.wire import eventually

HOUR_NS = 3_600_000_000_000


class Replaying:
    """Ears that hear one connection's beginning, and then nothing."""

    delay_s = 0.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batches = [batch_of(connected().frames())]

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def step(self) -> Facts:
        if self._batches:
            return self._engine.feed(self._batches.pop())
        time.sleep(0.01)
        return Facts.empty()

    def finish(self) -> Iterator[Facts]:
        return self._engine.finish()

    def recent(self) -> list[FrameBatch]:
        return []

    def decoder_counters(self) -> dict[str, int]:
        return self._engine.counters()

    def interface_counters(self) -> dict[str, dict[str, int]]:
        return {}


@pytest.mark.parametrize(("change_ns", "ended"), [(-HOUR_NS, 1), (-1_000_000_000, 0), (HOUR_NS, 0)])
def test_flows_begin_anew_when_the_clock_is_set_back_far(
    engine_name: str, monkeypatch: pytest.MonkeyPatch, change_ns: int, ended: int
) -> None:
    offset_ns = [0]
    monkeypatch.setattr(listener_module, "_clock_offset_ns", lambda: offset_ns[0])
    steps = Listener.queue()
    listener = Listener(Replaying(engine_called(engine_name)), steps, 0)
    listener.start()
    eventually(lambda: listener.decoder_counters["packets"] > 0)
    offset_ns[0] += change_ns
    time.sleep(0.2)
    before_the_end = steps.qsize()
    listener.stop()
    listener.join()
    assert listener.clock_steps == before_the_end == ended
    reasons = []
    while (facts := steps.get()) is not None:
        reasons += facts.flows["end_reason"].tolist()
    assert reasons == [EndReason.CAPTURE_END]
    assert listener.flows_unfinished == 0
