"""What commands that run until they are told to end have in common: outputs that never make them wait, numbers and
pictures for those who watch, signals, and a service manager."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

from hbids.cli.ending import text_stream
from hbids.cli.interrupt import Hangup, StopRequest
from hbids.cli.notify import ServiceManager
from hbids.cli.options import config_of
from hbids.cli.outboxes import Outboxes
from hbids.cli.outputs import Outputs
from hbids.cli.view import View, sentence
from hbids.errors import UserInputError
from hbids.eve.event import alert
from hbids.eve.sinks import Beginning
from hbids.signatures import in_force

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from hbids.cli.metrics import Metrics
    from hbids.cli.top import Top
    from hbids.config import Config
    from hbids.facts import Finding
    from hbids.pipeline import Result

__all__ = ["Sensor", "Service"]

_LOOK_S = 1.0
"""How often numbers are taken for those who watch."""
_LOOK_SHARE = 50
"""One part of so much time may go into that: of many endpoints, the numbers are dear."""
_UNTOLD = 100
"""Messages kept while a picture covers the terminal."""


class Sensor(Protocol):
    """What a service runs."""

    def summary(self) -> dict[str, Any]:
        """The summary so far."""

    def adopt(self, config: Config) -> None:
        """Judge and write by another configuration from now on."""


class Service:
    """While entered, a long run's outputs and whatever watches it.

    ``inputs`` are the paths it reads; ``beginning`` says what becomes of files of events. Building it opens all
    outputs; then, when no more privileges are needed, :meth:`start` starts the threads behind them. Both raise OSError
    with the name of what cannot be opened, or UserInputError. :meth:`look` is to be called often, several times a
    second.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        config: Config,
        inputs: Iterable[str] = (),
        beginning: Beginning = Beginning.APPENDED,
    ) -> None:
        self._args, self._config = args, config
        self._started_s = time.monotonic()
        self._looked_s, self._pause_s = -_LOOK_S, _LOOK_S
        self._view: View | None = None
        self._untold: deque[str] = deque(maxlen=_UNTOLD)
        self._reloads = {"done": 0, "refused": 0}
        self._manager = ServiceManager()
        self._stop, self._hangup = StopRequest(), Hangup()
        self._top: Top | None = None
        self._metrics: Metrics | None = None
        self._signatures = in_force(config.signatures)
        self.outboxes = Outboxes(args.eve or (), config.sinks, beginning, self.tell)
        self.outputs = Outputs(args, inputs, config, self.outboxes)

    def start(self) -> None:
        """Begin to write, and to answer."""
        if self._args.metrics:
            self._metrics = _metrics(self._args.metrics)
        self.outboxes.start()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._stop)
            stack.enter_context(self._hangup)
            if self._args.top:
                from hbids.cli.top import Top

                self._top = stack.enter_context(Top(text_stream(self._args)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._top = None
        for message in self._untold:
            print(message, file=sys.stderr)

    def write_finding(self, finding: Finding) -> None:
        """Take a finding as it is made; neither waits nor fails."""
        self.write_event(alert(finding, self._signatures[finding.sid], self._config.output))

    def write_event(self, event: dict[str, Any]) -> None:
        """Take an EVE event as it is made; neither waits nor fails."""
        self.outputs.write_event(event)
        if self._top and event["event_type"] == "alert":
            self._top.add_alert(event)

    def tell(self, message: str) -> None:
        """Say what the operator should know meanwhile, in a line; from any thread."""
        if self._top and self._top.covers_terminal:
            self._top.tell(message)
            self._untold.append(f"hbids: {message}")
        else:
            with suppress(OSError):
                sys.stderr.write(f"hbids: {message}\n")  # in one piece, whoever else writes
                sys.stderr.flush()

    def ready(self) -> None:
        """The sensor works."""
        self._manager.ready()
        if not (self._top and self._top.covers_terminal):
            print("ready", file=sys.stderr, flush=True)

    def stop_asked(self) -> bool:
        """Whether the run shall end."""
        return self._stop.asked()

    @property
    def stop_asked_s(self) -> float:
        """When that was asked, by the monotonic clock; now, if nobody asked."""
        return self._stop.asked_s or time.monotonic()

    def look(self, sensor: Sensor) -> None:
        """Do what signals ask for, give a sign of life, and take numbers when it is time."""
        if self._hangup.came():
            if self._hangup.lost_terminal():
                self._stop.ask()
            else:
                self._reload(sensor)
        now_s = time.monotonic()
        if (self._metrics or self._top or self._manager.listens) and now_s - self._looked_s >= self._pause_s:
            self._looked_s = now_s
            self._take_numbers(sensor.summary())
            self._pause_s = max(_LOOK_S, _LOOK_SHARE * (time.monotonic() - now_s))
        self._manager.alive(sentence(self._view) if self._view else "")

    def close(self, result: Result) -> dict[str, Any]:
        """Write what waits, and give the summary, which tells how the sinks fared, too; it is written by then."""
        self._manager.stopping()
        summary = result.summary()
        self.outboxes.close(self.stop_asked_s)
        summary["sinks"] = {name: counts.summary() for name, counts in self.outboxes.counts().items()}
        lost = sum(sink["lost"] for sink in summary["sinks"].values())
        if lost:
            summary["drops"]["events_lost"] = lost
        self.outputs.close(summary, result.history)
        return summary

    def _take_numbers(self, summary: Mapping[str, Any]) -> None:
        before = View(self._view.summary, {}, self._view.running_s) if self._view else None
        self._view = View(summary, self.outboxes.counts(), time.monotonic() - self._started_s, before)
        if self._metrics:
            self._metrics.update(summary, self._view.sinks, self._reloads)
        if self._top:
            self._top.update(self._view)

    def _reload(self, sensor: Sensor) -> None:
        """Open files anew, and take the configuration as a whole or not at all."""
        self._manager.reloading()
        self.outboxes.reopen()
        try:
            config = config_of(self._args)
        except UserInputError as error:
            self._reloads["refused"] += 1
            for problem in error.problems:
                self.tell(problem)
            self.tell("the configuration stays as it was")
        else:
            self._reloads["done"] += 1
            self._config, waiting = self._config.reloaded(config)
            self._signatures = in_force(self._config.signatures)
            sensor.adopt(self._config)
            self.tell("files opened anew, configuration read again")
            for name in waiting:
                self.tell(f"{name} has changed: that takes a restart")
        self._manager.ready()


def _metrics(address: str) -> Metrics:
    try:
        from hbids.cli.metrics import Metrics
    except ModuleNotFoundError as error:
        problem = f"--metrics: {error.name} is not installed: pip install 'hbids[metrics]'"
        raise UserInputError([problem]) from error
    return Metrics(address)
