"""The corridor: the one module that joins the rooms. Frames come in from ``capture``, ``decode`` makes facts of them,
``detect`` makes findings, ``stats`` keeps the ledger, and whoever called gets all of it."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.capture import Problem, open_capture
from hbids.config import Config
from hbids.decode.engine import open_engine
from hbids.detect import Detection, Step
from hbids.errors import UserInputError
from hbids.facts import Direction, Facts, Finding, Kind, Rows, Transport
from hbids.keyed import MOST_ENTRIES
from hbids.measures import Measured
from hbids.stats import EndpointLedger, FlowShapes, Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hbids.facts import FrameBatch
    from hbids.state import Part

__all__ = ["Analysis", "Result", "replay"]

_ALWAYS_COUNTED = ("packets", "bytes", "flows")
_TLS_1_3 = 0x0304
_ENOUGH_ROWS = 2_048
"""Rows of a file that are judged in one go: of small steps, most of the time would go into the steps themselves."""


class Keeper:
    """Keeps an analysis in a state file, from run to run, for all ways of use: what a crash may lose is what came since
    the last save. A file that cannot be written is left alone from then on."""

    def __init__(self, path: str | os.PathLike[str], analysis: Analysis, config: Config) -> None:
        """Raises UserInputError when the file cannot be gone on from."""
        from hbids.state import StateFile

        self._file = StateFile(os.fspath(path))
        self._analysis = analysis
        self._interval_s = config.memory.save_interval_ns / 1e9
        self._problems: list[Problem] = []
        try:
            analysis.restore(self._file.load())
        except UserInputError:
            self._file.close()
            raise
        self._saved_s = time.monotonic()

    def save_now_and_then(self) -> None:
        """Save when it is time."""
        if time.monotonic() - self._saved_s >= self._interval_s:
            self._save()
            self._saved_s = time.monotonic()

    def close(self) -> list[Problem]:
        """Save for the last time; what went wrong, now or before."""
        self._save()
        self._file.close()
        return self._problems

    def _save(self) -> None:
        if self._problems:
            return
        try:
            self._file.save(self._analysis.parts())
        except OSError as error:
            message = f"cannot be written, {error.strerror or error}: the next run goes on from what was saved"
            self._problems.append(Problem("error", str(self._file.path), None, message))


class Analysis:
    """Facts to findings and totals: what all ways of use share, however the facts arrive."""

    def __init__(self, config: Config, on_finding: Callable[[Finding], None]) -> None:
        self.statistics = Statistics(config.memory, config.thresholds)
        self.shapes = FlowShapes(config.memory, config.thresholds)
        self._detection = Detection(config.thresholds)
        self._ledger = EndpointLedger()
        self._home = [ip_network(network) for network in config.home_networks]
        self._on_finding = on_finding
        self.alerts: Counter[int] = Counter()
        self.heartbeats: Counter[str] = Counter(requests=0, responses=0, sealed=0, overread_requests=0, malformed=0)
        self.sessions: Counter[str] = Counter(tls=0, dtls=0)
        self.victims_outside_home = 0
        """Findings about endpoints elsewhere."""
        self.tls13_sessions = 0

    def add(self, facts: Facts) -> None:
        """Take one step's facts."""
        nothing = Facts.empty()
        if len(facts.sessions):
            for transport in Transport:
                count = np.count_nonzero(facts.sessions["transport"] == transport)
                self.sessions[transport.name.lower()] += int(count)
            self.tls13_sessions += int(np.count_nonzero(facts.sessions["tls_version"] == _TLS_1_3))
            for start in range(0, len(facts.sessions), MOST_ENTRIES):
                sessions = facts.sessions[start : start + MOST_ENTRIES]
                self._ledger.add_sessions(sessions)
                self._judge(nothing.heartbeats, sessions, nothing.flows)
        for heartbeats in self.statistics.pieces(facts.heartbeats):
            self._judge(heartbeats, nothing.sessions, nothing.flows)
        for start in range(0, len(facts.flows), MOST_ENTRIES):
            self._judge(nothing.heartbeats, nothing.sessions, facts.flows[start : start + MOST_ENTRIES])

    def finish(self) -> None:
        """Tell what remains to be told."""
        for finding in self._detection.totals(self.statistics.current):
            self._tell(finding)

    def parts(self) -> dict[str, Part]:
        """What the next run shall know of this one."""
        return self.statistics.parts() | self.shapes.parts() | self._detection.parts()

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        self.statistics.restore(parts)
        self.shapes.restore(parts)
        self._detection.restore(parts)

    def _judge(self, heartbeats: Rows, sessions: Rows, flows: Rows) -> None:
        measured = Measured(heartbeats)
        tallies = self.statistics.count(measured)
        if len(heartbeats):
            self._count(measured)
            self._ledger.add_heartbeats(measured)
            self._ledger.add_newcomers(measured.parties[tallies.newcomers])
        found = self._detection.find(Step(measured, sessions, flows, self.shapes.count(flows)), tallies)
        for name, findings in found.items():
            found[name] = [finding for finding in findings if self._is_ours(finding)]
            for finding in found[name]:
                self._ledger.add_finding(finding)
        for finding in self._detection.tell(found):
            self._tell(finding)

    def _is_ours(self, finding: Finding) -> bool:
        ours = self._is_home(
            finding.flow.client_ip if finding.victim == Direction.TO_CLIENT else finding.flow.server_ip
        )
        self.victims_outside_home += not ours
        return ours

    def _is_home(self, ip: str) -> bool:
        return not self._home or any(ip_address(ip) in network for network in self._home)

    def _tell(self, finding: Finding) -> None:
        self.alerts[finding.sid] += 1
        self._on_finding(finding)

    def endpoints(self) -> list[dict[str, Any]]:
        """As in the summary."""
        endpoints = [endpoint for endpoint in self._ledger.endpoints() if self._is_home(endpoint["ip"])]
        for endpoint in endpoints:
            for name in ("first_seen", "last_seen"):
                endpoint[name] = _utc(endpoint[name])
        return endpoints

    def drops(self) -> dict[str, int]:
        """What this side of the facts left out."""
        dropped = {
            "detectors_forgot": self._detection.forgotten,
            "endpoints_dropped": self._ledger.dropped,
            "heartbeats_repeated": self.statistics.repeated,
            "sources_dropped": self._ledger.sources_dropped,
            "statistics_forgot": self.statistics.evicted + self.shapes.evicted,
            "tls13_sessions": self.tls13_sessions,
            "victims_outside_home": self.victims_outside_home,
        }
        return {name: count for name, count in dropped.items() if count}

    def _count(self, heartbeats: Measured) -> None:
        final, kinds = heartbeats.final, heartbeats.rows["kind"]
        clear = final & ~heartbeats.sealed
        self.heartbeats["sealed"] += int(np.count_nonzero(final & heartbeats.sealed))
        for name, kind in (("requests", Kind.REQUEST), ("responses", Kind.RESPONSE), ("malformed", Kind.MALFORMED)):
            self.heartbeats[name] += int(np.count_nonzero(clear & (kinds == kind)))
        self.heartbeats["overread_requests"] += int(np.count_nonzero(final & (heartbeats.overread > 0)))


@dataclass(slots=True)
class Result:
    """What a run found out."""

    engine: str
    sources: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    """As in :meth:`summary`."""
    findings: list[Finding] = field(default_factory=list)
    heartbeats: Rows = field(default_factory=lambda: Facts.empty().heartbeats)
    """Final rows (:data:`~hbids.facts.HEARTBEAT_DTYPE`); this and the next three are empty unless collected."""
    sessions: Rows = field(default_factory=lambda: Facts.empty().sessions)
    flows: Rows = field(default_factory=lambda: Facts.empty().flows)
    totals: dict[str, Any] = field(default_factory=dict)

    def keep(self, steps: list[Facts]) -> None:
        """Put the tables of all steps together."""
        facts = _together(steps)
        self.heartbeats = facts.heartbeats[facts.heartbeats["is_final"] == 1]
        self.sessions, self.flows = facts.sessions, facts.flows

    def summary(self) -> dict[str, Any]:
        """The totals of the run, as docs/eve.md describes them."""
        return {"engine": self.engine, "sources": self.sources, **self.totals}


def replay(  # noqa: C901  the loop is the whole corridor, and reads best in one piece
    *inputs: str | os.PathLike[str],
    config: Config | None = None,
    engine: str = "auto",
    on_finding: Callable[[Finding], None] | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    facts_sink: Callable[[Facts], None] | None = None,
    collect: bool = True,
    stop: Callable[[], bool] | None = None,
    state: str | os.PathLike[str] | None = None,
) -> Result:
    """Judge capture files, directories (each one rolling capture) or ``-`` (standard input).

    Never raises for what is in them: what could not be read is told in ``Result.problems``. ``on_finding`` gets every
    finding as it is made, ``facts_sink`` the facts of every step, ``on_progress`` (bytes done, bytes in all or None).
    ``collect`` keeps findings and tables in the result; ``stop`` is asked after each batch. ``state`` names the file in
    which one run remembers for the next (docs/harvest.md). Raises :class:`~hbids.decode.engine.EngineUnavailable` when
    ``engine`` is "native" and not installed, and UserInputError when there is no going on from ``state``.
    """
    config = config or Config()
    decoder = open_engine(engine, config.limits)
    result = Result(decoder.name)
    tables: list[Facts] = []

    def keep_finding(finding: Finding) -> None:
        if collect:
            result.findings.append(finding)
        if on_finding:
            on_finding(finding)

    analysis = Analysis(config, keep_finding)
    keeper = Keeper(state, analysis, config) if state is not None else None

    waiting = _Waiting(analysis)

    def take(facts: Facts) -> None:
        waiting.add(facts)
        if facts_sink:
            facts_sink(facts)
        if collect:
            tables.append(facts)

    span = _Span()
    done_bytes, clocks = 0, (time.monotonic(), time.process_time())
    captures = [open_capture(os.fspath(argument), native=decoder.name == "native") for argument in inputs]
    sizes = [capture.total_bytes for capture in captures]
    total_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    for capture in captures:
        stopped = False
        for batch in capture.batches():
            span.add(batch)
            take(decoder.feed(batch))
            waiting.judge(at_least=0 if capture.total_bytes is None else _ENOUGH_ROWS)
            if keeper:
                keeper.save_now_and_then()
            if on_progress:
                on_progress(done_bytes + capture.bytes_read, total_bytes)
            stopped = stop is not None and stop()
            if stopped:
                break
        for facts in decoder.finish():  # every argument is a capture of its own
            take(facts)
            waiting.judge()
        done_bytes += capture.bytes_read
        result.sources += capture.sources
        result.problems += capture.problems
        if stopped:
            break

    analysis.finish()
    if keeper:
        result.problems += keeper.close()
    seconds = {
        "capture": span.seconds(),
        "wall": round(time.monotonic() - clocks[0], 6),
        "cpu": round(time.process_time() - clocks[1], 6),
    }
    result.endpoints = analysis.endpoints()
    result.totals = _totals(analysis, result.endpoints, decoder.counters()) | {"seconds": seconds}
    if tables:
        result.keep(tables)
    return result


def _together(steps: list[Facts]) -> Facts:
    """The facts of all steps as those of one."""
    if len(steps) == 1:
        return steps[0]
    return Facts(*(np.concatenate([getattr(facts, name) for facts in steps]) for name in Facts.__slots__))


def _totals(analysis: Analysis, endpoints: list[dict[str, Any]], counters: dict[str, int]) -> dict[str, Any]:
    """The summary but for engine, sources and seconds."""
    return {
        **{name: counters[name] for name in _ALWAYS_COUNTED},
        "tls_sessions": analysis.sessions["tls"],
        "dtls_sessions": analysis.sessions["dtls"],
        "heartbeats": dict(analysis.heartbeats),
        "leaked_bytes": sum(endpoint["leaked_bytes"] for endpoint in endpoints),
        "leaked_bytes_estimated": sum(endpoint["leaked_bytes_estimated"] for endpoint in endpoints),
        "endpoints": endpoints,
        "alerts": {str(sid): count for sid, count in sorted(analysis.alerts.items())},
        "drops": {name: count for name, count in counters.items() if name not in _ALWAYS_COUNTED} | analysis.drops(),
    }


class _Waiting:
    """Facts that wait until there are enough of them to be judged in one go."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._steps: list[Facts] = []
        self._rows = 0

    def add(self, facts: Facts) -> None:
        """Take one step's facts."""
        rows = len(facts.heartbeats) + len(facts.sessions) + len(facts.flows)
        if rows:
            self._steps.append(facts)
            self._rows += rows

    def judge(self, at_least: int = 0) -> None:
        """Judge what waits, if there are so many rows of it."""
        if self._steps and self._rows >= at_least:
            self._analysis.add(_together(self._steps))
            self._steps.clear()
            self._rows = 0


class _Span:
    """From the first to the last packet."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._last_ns = 0

    def add(self, batch: FrameBatch) -> None:
        """Take the times of a batch."""
        if not len(batch.frames):
            return
        times = batch.frames["time_ns"]
        first_ns, last_ns = int(times.min()), int(times.max())
        self._first_ns = first_ns if self._first_ns is None else min(self._first_ns, first_ns)
        self._last_ns = max(self._last_ns, last_ns)

    def seconds(self) -> float:
        """0 without packets."""
        return 0.0 if self._first_ns is None else (self._last_ns - self._first_ns) / 1e9


def _utc(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest_ns // 1000:06}Z"
