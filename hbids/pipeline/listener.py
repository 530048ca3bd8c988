"""Who listens: a thread a worker, each with a decoder of its own, which hands over facts and says what it counted."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from hbids.facts import EndReason

if TYPE_CHECKING:
    from hbids.facts import Facts, FrameBatch
    from hbids.pipeline.ears import Ears

__all__ = ["Listener"]

_MOST_STEPS = 64
"""Steps that wait to be judged. When judging falls behind, the workers wait and the kernel drops, which it counts."""

_COUNT_INTERVAL_S = 0.25

_ANSWER_WAIT_S = 0.5

_CLOCK_BACK_NS = 60_000_000_000
"""A clock set back farther than this would keep idle flows alive until it has caught up; less harms nobody."""


class Listener(threading.Thread):
    """Listens until it is told to stop, then ends all flows. Facts go into ``steps``, None at the end."""

    def __init__(self, ears: Ears, steps: queue.Queue[Facts | None], number: int) -> None:
        super().__init__(name=f"hbids-listener-{number}", daemon=True)
        self.decoder_counters = ears.decoder_counters()
        self.interface_counters = ears.interface_counters()
        self.clock_steps = 0
        """How often the system's clock was set back so far that flows were begun anew."""
        self.flows_unfinished = 0
        """Flows that there was no time to end."""
        self.failure: Exception | None = None
        """Why it ended early."""
        self._ears = ears
        self._steps = steps
        self._stop_asked, self._hurried = threading.Event(), threading.Event()
        self._flows_ended = 0
        self._asked: queue.SimpleQueue[queue.SimpleQueue[list[FrameBatch]]] = queue.SimpleQueue()

    @staticmethod
    def queue() -> queue.Queue[Facts | None]:
        """Where several listeners hand over what they learn."""
        return queue.Queue(_MOST_STEPS)

    def stop(self) -> None:
        """Ask it to end."""
        self._stop_asked.set()

    def hurry(self) -> None:
        """Ask it not to end every flow that is still open."""
        self._hurried.set()

    def recent(self) -> list[FrameBatch]:
        """The last frames, where they are kept. Waits until the listener is between two steps, or has ended."""
        answer: queue.SimpleQueue[list[FrameBatch]] = queue.SimpleQueue()
        self._asked.put(answer)
        while self.is_alive():
            try:
                return answer.get(timeout=_ANSWER_WAIT_S)
            except queue.Empty:
                continue
        return self._ears.recent()

    def run(self) -> None:
        """Listen."""
        try:
            self._listen()
        except OSError as error:
            self.failure = error
        try:
            for facts in self._ears.finish():
                self._hand_over(facts)
                if self._hurried.is_set():
                    break
            self._count()
            self.flows_unfinished = self.decoder_counters["flows"] - self._flows_ended
        finally:
            self._steps.put(None)

    def _listen(self) -> None:
        offset_ns, counted_s = _clock_offset_ns(), time.monotonic()
        while not self._stop_asked.is_set():
            self._hand_over(self._ears.step())
            before_ns, offset_ns = offset_ns, _clock_offset_ns()
            if offset_ns < before_ns - _CLOCK_BACK_NS:
                self.clock_steps += 1
                for facts in self._ears.finish():
                    self._hand_over(facts)
            while not self._asked.empty():
                self._asked.get().put(self._ears.recent())
            if time.monotonic() - counted_s >= _COUNT_INTERVAL_S:
                self._count()
                counted_s = time.monotonic()
        self._ears.stop()
        time.sleep(self._ears.delay_s)
        before, heard = -1, self._packets()
        while before < heard:  # what the kernel still held
            self._hand_over(self._ears.step())
            before, heard = heard, self._packets()

    def _hand_over(self, facts: Facts) -> None:
        if facts.row_count:
            self._flows_ended += int(np.count_nonzero(facts.flows["end_reason"] != EndReason.CHECKPOINT))
            self._steps.put(facts)

    def _packets(self) -> int:
        return self._ears.decoder_counters()["packets"]

    def _count(self) -> None:
        self.decoder_counters = self._ears.decoder_counters()
        self.interface_counters = self._ears.interface_counters()


def _clock_offset_ns() -> int:
    return time.time_ns() - time.monotonic_ns()
