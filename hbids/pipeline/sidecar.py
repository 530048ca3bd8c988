"""Suricata's EVE events: the way in of ``hbids sidecar``."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from hbids.capture import Problem
from hbids.config import Config
from hbids.decode.engine import open_engine
from hbids.eve.file import Place
from hbids.eve.hearsay import UNKNOWN_LENGTHS
from hbids.eve.lines import events_in
from hbids.eve.witness import Witness
from hbids.pipeline.analysis import Analysis
from hbids.pipeline.keeper import Keeper
from hbids.pipeline.result import Result, together, totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hbids.facts import Facts, Finding
    from hbids.state import Part
    from hbids.stats.history import History

__all__ = ["Sidecar"]

_REMEMBERED = "eve"
"""The part of a state that says where reading stood."""


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
    ) -> None:
        """``may_save`` says whether what was told is out. Raises EngineUnavailable and UserInputError as
        :func:`~hbids.pipeline.replay` does."""
        config = config or Config()
        self._engine = open_engine(engine, config.limits)
        self._on_finding = on_finding
        self._facts_sink = facts_sink
        self._limits = config.eve
        self._started = time.monotonic(), time.process_time()
        self._final_places: list[Place] | None = None
        self._history = _new_history(config) if history else None
        self._analysis = Analysis(config, self._tell, self._history)
        self.witness = Witness(config.eve)
        self.sources: list[str] = []
        """What is read, for the summary."""
        self.counts: Counter[str] = Counter(lines=0, bytes=0)
        """Of what was read."""
        self.places: list[Place] = []
        """Where the run before stood, by its state; then where this one stands."""
        self._keeper = Keeper(state, self, config, may_save) if state is not None else None

    def read(self, lines: bytes, places: list[Place] | None = None) -> None:
        """Take whole lines; ``places`` says where reading stood before them."""
        witness = self.witness
        witness.place = self.counts["bytes"], self.places if places is None else places
        for event in events_in(lines, witness.knows, self.counts):
            witness.take(event)
        self._judge()

    def stands(self, places: list[Place], *, save: bool = False) -> None:
        """All before these places has been read. Saves the state when it is time, or at once; alerts are out by
        then."""
        self.places = places
        if self._keeper and save:
            self._keeper.save()
        elif self._keeper:
            self._keeper.save_now_and_then()

    def rest(self) -> None:
        """Nothing has come for a while: do not hold anything back."""
        self.witness.release()
        self._judge()

    def summary(self) -> dict[str, Any]:
        """The summary so far."""
        return self._so_far().summary()

    def adopt(self, config: Config) -> None:
        """Judge by another configuration from now on, one that :meth:`Config.reloaded` gave."""
        self._analysis.adopt(config)

    def finish(self, problems: Iterable[Problem] = ()) -> Result:
        """Tell what remains to be told."""
        self._final_places = self._safe_places()
        self.rest()
        for facts in self._engine.finish():
            self._add(self.witness.corrected(facts))
        self._analysis.finish()
        problems = [*problems, *(self._keeper.close() if self._keeper else [])]
        result = self._so_far()
        result.problems += problems
        return result

    def _so_far(self) -> Result:
        result = Result(self._engine.name, list(self.sources), history=self._history)
        result.endpoints = self._analysis.endpoints()
        result.totals = totals(self._analysis, result.endpoints, self._counters())
        result.totals["eve"] = {"lines": self.counts["lines"], "bytes": self.counts["bytes"]}
        result.totals["seconds"] = {
            "capture": self.witness.seconds,
            "wall": round(time.monotonic() - self._started[0], 6),
            "cpu": round(time.process_time() - self._started[1], 6),
        }
        return result

    # --- what is kept in the state ---

    def parts(self) -> dict[str, Part]:
        """What the next run shall know of this one: all that was judged, and from where to read on. Flows of which
        something is still to come are read again from their beginning; what was counted of them counts once."""
        places = self._safe_places() if self._final_places is None else self._final_places
        return self._analysis.parts() | {_REMEMBERED: {"places": [place._asdict() for place in places]}}

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        self._analysis.restore(parts)
        kept = parts.get(_REMEMBERED)
        documents: list[dict[str, Any]] = kept["places"] if isinstance(kept, dict) else []
        self.places = [place for document in documents if (place := Place.of(document)) is not None]

    def _safe_places(self) -> list[Place]:
        while (oldest := self.witness.oldest_place()) is not None:
            bytes_then: int = oldest[0]
            places: list[Place] = oldest[1]
            if self.counts["bytes"] - bytes_then <= self._limits.reread_bytes:
                return places
            self.witness.forget_oldest_place()
        return self.places

    # --- events to findings ---

    def _judge(self) -> None:
        frames = self.witness.frames()
        facts = [self.witness.rows()]
        if len(frames.frames):
            facts.append(self.witness.corrected(self._engine.feed(frames)))
        self._add(together(facts))

    def _add(self, facts: Facts) -> None:
        if not facts.row_count:
            return
        if self._facts_sink:
            self._facts_sink(facts)
        self._analysis.add(facts)

    def _tell(self, finding: Finding) -> None:
        evidence, _ = self.witness.told.evidence(finding.flow)
        finding.context["evidence"] = evidence
        if evidence == "eve-flow":
            for name in UNKNOWN_LENGTHS:
                finding.context.pop(name, None)
        if self._on_finding:
            self._on_finding(finding)

    def _counters(self) -> dict[str, int]:
        """Of Suricata's flows, of its events, and of the engine; what only feeding the engine makes is left out."""
        engine = {name: count for name, count in self._engine.counters().items() if name not in ("not_ip", "flows")}
        counters = engine | {name: self.witness.totals[name] for name in ("packets", "bytes", "flows")}
        dropped = self.witness.counters + Counter(
            eve_lines_broken=self.counts["broken"],
            eve_lines_too_long=self.counts["too_long"],
            eve_files_lost=self.counts["files_lost"],
        )
        return counters | dropped | self.witness.blindness.drops()


def _new_history(config: Config) -> History:
    from hbids.stats.history import History

    return History(config.report)
