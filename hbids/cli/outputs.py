"""What a run writes: EVE lines, the summary, the report, Parquet tables. An output that fails does not stop the run."""

from __future__ import annotations

import os
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import orjson

from hbids import __version__
from hbids.errors import UserInputError
from hbids.eve.event import alert
from hbids.eve.sinks import Beginning, open_sink, sink_for
from hbids.signatures import in_force

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from hbids.cli.outboxes import Outboxes
    from hbids.config import Config, Report
    from hbids.eve.sinks import Sink
    from hbids.facts import Facts, Finding
    from hbids.stats.history import History

__all__ = ["Outputs", "cannot_write"]

_MODE = 0o640
"""Whoever reads what a sensor writes learns who is vulnerable."""


class Outputs:
    """The files one run was asked for.

    All are opened at once, so that a wrong path is told before the work and not after it: raises OSError with the
    file's name, or UserInputError when the options make no sense together. One that fails later is told in
    ``failures`` and left alone, the others go on.

    A run over files waits until each sink has its events, and loses none. A sensor must not wait, and gives
    ``outboxes`` for them.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        inputs: Iterable[str],
        config: Config,
        outboxes: Outboxes | None = None,
    ) -> None:
        _refuse_clashes(args, inputs)
        self._output = config.output
        self._signatures = in_force(config.signatures) if args.eve or args.report else {}
        sinks = [] if outboxes else [sink_for(each, config.sinks, Beginning.NEW) for each in args.eve or ()]
        self._eve = [_Guarded(sink.name, _SinkWriter(sink)) for sink in sinks]
        self._outboxes = outboxes
        self._summary = _Guarded(args.summary, _open_new(args.summary)) if args.summary else None
        self._report = _Report(args.report, config.report) if args.report else None
        self._facts = _Guarded(args.facts, _facts_writer(args.facts)) if args.facts else None

    @property
    def failures(self) -> list[str]:
        """A line of text for each output that could not be written."""
        return [output.failure for output in self._all() if output.failure]

    @property
    def wants_history(self) -> bool:
        """Whether :meth:`close` can use one."""
        return self._report is not None

    @property
    def facts_sink(self) -> Callable[[Facts], None] | None:
        """Where fact tables go; None when nobody wants them."""
        return self._facts.write if self._facts else None

    def write_finding(self, finding: Finding) -> None:
        """Write an alert where alerts are wanted."""
        if self._eve or self._report:
            self.write_event(alert(finding, self._signatures[finding.sid], self._output))

    def write_event(self, event: dict[str, Any]) -> None:
        """Write an EVE event. It is out at once: alerts are few, and someone may be waiting for them."""
        line = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        for writer in self._eve:
            writer.write(line)
        if self._outboxes:
            self._outboxes.put(bytes(memoryview(line)))  # orjson's own takes up to eight times its length
        if self._report and "flow" in event:
            self._report.evidence.add(event)

    def close(self, summary: dict[str, Any], history: History | None = None) -> None:
        """Write the summary and the report, which draws ``history``, and complete every file."""
        if self._summary:
            self._summary.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        if self._report:
            self._report.tell(summary, history)
        for output in self._all():
            output.close()

    def _all(self) -> list[_Guarded]:
        return [output for output in (*self._eve, self._summary, self._report, self._facts) if output]


class _Writer(Protocol):
    def write(self, what: Any, /) -> object: ...

    def close(self) -> None: ...


class _Guarded:
    """A writer that is left alone after its first failure."""

    def __init__(self, path: str, writer: _Writer) -> None:
        self.failure = ""
        self._path = path
        self._writer = writer

    def write(self, what: object) -> None:
        if not self.failure:
            self._attempt(lambda: self._writer.write(what))

    def close(self) -> None:
        self._attempt(self._writer.close)

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            self.failure = self.failure or cannot_write(self._path, error)


class _Report(_Guarded):
    """The page of ``--report``, for which alerts are collected meanwhile."""

    def __init__(self, path: str, bounds: Report) -> None:
        from hbids.cli.report import Evidence

        super().__init__(path, _open_new(path))
        self._bounds = bounds
        self.evidence = Evidence(bounds.evidence)

    def tell(self, summary: dict[str, Any], history: History | None) -> None:
        """Write the page."""
        from hbids.cli.report import page

        made = f"Made {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC by hbids {__version__}"
        self.write(page(summary, history, self.evidence, self._bounds, made).encode())


class _SinkWriter:
    """A sink as a run over files uses it: open from the start, a line at a time."""

    def __init__(self, sink: Sink) -> None:
        open_sink(sink)
        self._sink = sink
        self.close = sink.close

    def write(self, line: bytes) -> None:
        self._sink.write([line])


def cannot_write(path: str, error: OSError) -> str:
    """What to tell when an output fails."""
    name = "standard output" if path == "-" else path
    return f"{name}: cannot be written, {error.strerror or error}: what follows is missing there"


def _open_new(path: str) -> IO[bytes]:
    """Open a new file for writing, not readable for others; ``-`` is standard output. Raises OSError."""
    if path == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE), "wb")


def _refuse_clashes(args: argparse.Namespace, inputs: Iterable[str]) -> None:
    eve = [("--eve", destination) for destination in args.eve or ()]
    named = (*eve, ("--summary", args.summary), ("--report", args.report), ("--state", args.state))
    files = [(option, path) for option, path in named if path is not None]
    problems = [
        f"{one} and {other} both write to {path}: give one of them another path"
        for (one, path), (other, other_path) in combinations(files, 2)
        if _same(path, other_path)
    ]
    problems += [
        f"{option} {path}: is an input of this run: give another path"
        for option, path in files
        for given in inputs
        if "-" not in (path, given) and _same(path, given)
    ]
    if args.state == "-":
        problems.append("--state -: the state must be a file: give its path")
    if problems:
        raise UserInputError(problems)


def _same(path: str, other: str) -> bool:
    one, two = Path(path), Path(other)
    if one.exists() and two.exists():
        return one.is_file() and one.samefile(two)  # devices may be named as often as one likes
    return path == other


def _facts_writer(directory: str) -> _Writer:
    try:
        from hbids.cli.parquet import FactsWriter
    except ModuleNotFoundError as error:
        raise UserInputError([f"--facts: {error.name} is not installed: pip install 'hbids[parquet]'"]) from error
    return FactsWriter(directory)
