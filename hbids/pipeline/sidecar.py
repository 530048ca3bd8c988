"""Suricata's EVE events: the way in of ``hbids sidecar``."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.capture import Problem
from hbids.config import Config
from hbids.decode.engine import open_engine
from hbids.eve.file import Place
from hbids.eve.flows import FlowKey
from hbids.eve.hearsay import UNKNOWN_LENGTHS
from hbids.eve.inbox import Mark
from hbids.eve.silence import silence
from hbids.eve.slice import in_order
from hbids.eve.told import key_of_row
from hbids.eve.witness import Witness
from hbids.facts import EndReason, Facts
from hbids.pipeline.analysis import Analysis
from hbids.pipeline.keeper import Keeper
from hbids.pipeline.result import Result, together, totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hbids.facts import Finding, Rows
    from hbids.pipeline.feedback import Feedback
    from hbids.state import Part
    from hbids.stats.history import History

__all__ = ["Sidecar"]

_REMEMBERED = "eve"
"""The part of a state that says where reading stood."""
_OFFENDERS = "offenders"
"""And that which says of whom Suricata was told."""

_LET_GO_S = 1.0
"""How often a run without a state lets go of what it needs no more."""
_CLOSED_TIMEOUT_NS = 1_000_000_000
"""Suricata says when a flow is over, and sends nothing after it."""
_KINDS = ("alert", "packet", "frame", "tls", "flow", "netflow", "anomaly", "stats")


class Sidecar:
    """EVE lines to findings. Right of the facts it is what replay is; the engine reads the flows that EVE tells of."""

    def __init__(
        self,
        *,
        config: Config | None = None,
        engine: str = "auto",
        on_finding: Callable[[Finding], None] | None = None,
        facts_sink: Callable[[Facts], None] | None = None,
        state: str | os.PathLike[str] | None = None,
        history: bool = False,
        may_save: Callable[[], bool] | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        """``may_save`` says whether what was told is out; ``feedback`` tells Suricata of offenders. Raises
        EngineUnavailable and UserInputError as :func:`~hbids.pipeline.replay` does."""
        config = config or Config()
        limits = replace(config.limits, closed_timeout_ns=min(_CLOSED_TIMEOUT_NS, config.limits.closed_timeout_ns))
        self._engine = open_engine(engine, limits)
        self._on_finding = on_finding
        self._facts_sink = facts_sink
        self._limits = config.eve
        self._started = time.monotonic(), time.process_time()
        self._final_place: tuple[int, list[Place | Mark]] | None = None
        self._history = _new_history(config) if history else None
        self._feedback = feedback
        self._analysis = Analysis(config, self._tell, self._history, self._look_for_offenders if feedback else None)
        self._judged: Counter[tuple[FlowKey, int]] = Counter()
        """Rows of heartbeats that were judged, by flow and its start, of flows that go on."""
        self._to_skip: dict[tuple[FlowKey, int], int] = {}
        """So many of them an earlier run has judged."""
        self.witness = Witness(config.eve, self._engine.name, tells_all=facts_sink is not None or history)
        self.sources: list[str] = []
        """What is read, for the summary."""
        self.witness.seconds.on_over = self._judge_slices
        self.counts: Counter[str] = Counter(lines=0, bytes=0)
        """Of what was read."""
        self.following: dict[str, float] = {}
        """How far reading is behind writing, and what it met, for the summary."""
        self.places: list[Place | Mark] = []
        """Where the run before stood, by its state; then where this one stands."""
        self.needed: list[Place | Mark] = []
        """What lies behind these is still needed, should this run be cut short; what lies before is not."""
        self._needed_s = time.monotonic()
        self._may_let_go = may_save or (lambda: True)
        self.until_ns = 0
        """Time of the last event of the run before; 0 if nobody knows."""
        self._keeper = Keeper(state, self, config, may_save) if state is not None else None

    def read(self, lines: bytes, places: list[Place | Mark] | None = None, *, end: int | None = None) -> None:
        """Take whole lines, up to ``end`` if that is given; ``places`` says where reading stood before them."""
        end = len(lines) if end is None else end
        self.witness.progress.place = self.counts["bytes"], self.places if places is None else places
        self.witness.read(lines, end)
        self.counts["bytes"] += end
        self.counts["lines"] = self.witness.quiet.lines
        self._judge_flows()

    def stands(self, places: list[Place | Mark], *, save: bool = False) -> None:
        """All before these places has been read. Saves the state when it is time, or at once; alerts are out by
        then."""
        self.places = places
        is_safe = True
        if self._keeper and save:
            self._keeper.save()
        elif self._keeper:
            is_safe = self._keeper.save_now_and_then()
        elif any(isinstance(place, Mark) for place in places):
            is_safe = time.monotonic() - self._needed_s >= _LET_GO_S and self._may_let_go()
        if is_safe:
            self._needed_s = time.monotonic()
            self.needed = self._safe_place()[1]

    def read_each_line_once(self) -> None:
        """What was judged by an earlier run is known by where that stood, and not by the flows that it counted."""
        self._analysis.statistics.take_all_as_new()

    def read_on_within_flows(self) -> None:
        """No line comes a second time, so that nothing of it was judged before."""
        self._to_skip.clear()

    def rest(self) -> None:
        """Nothing has come for as long as anything is held back: hold it back no longer."""
        self.witness.release(self._limits.hold_ns)
        self._judge_flows()

    def silence(self) -> list[str]:
        """What Suricata should say and does not."""
        return silence(self.counts["lines"], self.witness.kinds)

    def summary(self) -> dict[str, Any]:
        """The summary so far."""
        return self._so_far().summary()

    def adopt(self, config: Config) -> None:
        """Judge by another configuration from now on, one that :meth:`Config.reloaded` gave."""
        self._analysis.adopt(config)
        if self._feedback:
            self._feedback.spare(self._analysis.spares)

    def finish(self, problems: Iterable[Problem] = (), *, goes_on: bool = False) -> Result:
        """Tell what remains to be told. Where another run ``goes_on`` reading, it goes on with the flows that are open
        now: what is told of them here counts as judged, but none as over."""
        self._final_place = self._safe_place()
        ended = dict(self.witness.progress.ended)
        self.witness.release()
        self._judge_flows()
        for facts in map(self.witness.corrected, self._engine.finish()):
            self._add(Facts(self._unjudged(facts.heartbeats), facts.sessions, facts.flows))
        self._analysis.finish()
        if self._feedback:
            self._feedback.close()
        if goes_on:
            self.witness.progress.ended = ended
        problems = [*problems, *(self._keeper.close() if self._keeper else [])]
        self.needed = self._final_place[1] if self._keeper else self.places
        result = self._so_far()
        result.problems += problems
        return result

    def _so_far(self) -> Result:
        result = Result(self._engine.name, list(self.sources), history=self._history)
        result.endpoints = self._analysis.endpoints()
        result.totals = totals(self._analysis, result.endpoints, self._counters())
        quiet = self.witness.quiet.totals
        result.totals["tls_sessions"] += quiet["tls_sessions"]
        if quiet["tls13_sessions"]:
            drops = result.totals["drops"]
            drops["tls13_sessions"] = drops.get("tls13_sessions", 0) + quiet["tls13_sessions"]
        result.totals["eve"] = {
            "lines": self.counts["lines"],
            "bytes": self.counts["bytes"],
            "events": {kind: self.witness.kinds[kind] for kind in _KINDS if self.witness.kinds[kind]},
            "anomalies": self.witness.anomalies.by_name(),
            "runs": self.witness.blindness.runs,
            "joined": self.witness.joined,
            **self.following,
        }
        if self._feedback:
            result.totals["feedback"] = self._feedback.summary()
        result.totals["seconds"] = {
            "capture": self.witness.seconds.span_s,
            "wall": round(time.monotonic() - self._started[0], 6),
            "cpu": round(time.process_time() - self._started[1], 6),
        }
        return result

    # --- what is kept in the state ---

    def parts(self) -> dict[str, Part]:
        """What the next run shall know of this one: all that was judged, and from where to read on. Flows of which
        something is still to come are read again from their beginning, but for the rows that were judged; flows that
        have ended since then are not read again."""
        bytes_then, places = self._safe_place() if self._final_place is None else self._final_place
        ended = self.witness.progress.ended
        self.witness.progress.ended = ended = {flow_id: at for flow_id, at in ended.items() if at >= bytes_then}
        judged = self._judged + Counter(self._to_skip)
        kept = {
            "places": [place._asdict() for place in places],
            "until_ns": self.witness.seconds.now_ns or self.until_ns,
            "ended": [[flow_id, at - bytes_then] for flow_id, at in ended.items()],
            "judged": [
                [*key.client, *key.server, key.protocol, start_ns, count] for (key, start_ns), count in judged.items()
            ],
        }
        offenders: dict[str, Part] = {_OFFENDERS: {"known": self._feedback.document()}} if self._feedback else {}
        return self._analysis.parts() | {_REMEMBERED: kept} | offenders

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        self._analysis.restore(parts)
        kept = parts.get(_REMEMBERED)
        if isinstance(kept, dict):
            self.places = [
                place for document in kept["places"] if (place := Place.of(document) or Mark.of(document)) is not None
            ]
            self.until_ns = kept.get("until_ns", 0)
            self.witness.progress.ended = dict(kept["ended"])
            self.witness.ignore(self.witness.progress.ended)
            self._to_skip = {
                (FlowKey((client, port), (server, service), protocol), start_ns): count
                for client, port, server, service, protocol, start_ns, count in kept["judged"]
            }

        known = parts.get(_OFFENDERS)
        if self._feedback and isinstance(known, dict):
            self._feedback.restore(known["known"], self._analysis.spares)

    def _safe_place(self) -> tuple[int, list[Place | Mark]]:
        oldest: tuple[int, list[Place | Mark]] | None = self.witness.oldest_place(
            max(0, self.counts["bytes"] - self._limits.reread_bytes)
        )
        return oldest or (self.counts["bytes"], self.places)

    # --- events to findings ---

    def _judge_slices(self) -> None:
        for piece in self.witness.slices():
            facts = [piece.facts()]
            if piece.frames:
                facts.append(self.witness.corrected(self._engine.feed(piece.batch())))
            self._judge_facts(in_order(together(facts)))

    def _judge_flows(self) -> None:
        nothing = Facts.empty()
        self._add(Facts(nothing.heartbeats, nothing.sessions, self.witness.flows()))

    def _judge_facts(self, facts: Facts) -> None:
        self._add(Facts(self._unjudged(facts.heartbeats), facts.sessions, facts.flows))
        for row in facts.flows:
            if row["end_reason"] != EndReason.CHECKPOINT:
                key = key_of_row(row), int(row["time_ns"])
                self._judged.pop(key, None)
                self._to_skip.pop(key, None)

    def _unjudged(self, heartbeats: Rows) -> Rows:
        """Heartbeats without the rows that an earlier run has judged."""
        fresh = np.ones(len(heartbeats), bool)
        for index, row in enumerate(heartbeats):
            key = key_of_row(row), int(row["flow_start_ns"])
            self._judged[key] += 1
            if len(self._judged) > self._limits.flows:
                del self._judged[next(iter(self._judged))]
            if self._to_skip.get(key, 0) > 0:
                self._to_skip[key] -= 1
                fresh[index] = False
        return heartbeats[fresh]

    def _add(self, facts: Facts) -> None:
        if not facts.row_count:
            return
        if self._facts_sink:
            self._facts_sink(facts)
        self._analysis.add(facts)
        if self._feedback:
            self._feedback.follow(facts.heartbeats, self._analysis.spares)

    def _look_for_offenders(self, finding: Finding) -> None:
        assert self._feedback is not None
        evidence = self.witness.told.evidence(finding.flow, finding.time_ns)
        self._feedback.take(finding, evidence, self._analysis.spares)

    def _tell(self, finding: Finding) -> None:
        evidence = self.witness.told.evidence(finding.flow, finding.time_ns)
        finding.context["evidence"] = evidence
        if evidence == "eve-flow":
            for name in UNKNOWN_LENGTHS:
                finding.context.pop(name, None)
        if self._on_finding:
            self._on_finding(finding)

    def _counters(self) -> dict[str, int]:
        """Of Suricata's flows, of its events, and of the engine; what only feeding the engine makes is left out."""
        engine = {name: count for name, count in self._engine.counters().items() if name not in ("not_ip", "flows")}
        counters = engine | {name: self.witness.quiet.totals[name] for name in ("packets", "bytes", "flows")}
        dropped = self.witness.counters + Counter(
            eve_lines_too_long=self.counts["too_long"],
            eve_files_lost=self.counts["files_lost"],
            eve_lines_dropped=self.counts["dropped"],
            eve_away_s=self.counts["away_s"],
        )
        return counters | dropped | self.witness.blindness.drops()


def _new_history(config: Config) -> History:
    from hbids.stats.history import History

    return History(config.report)
