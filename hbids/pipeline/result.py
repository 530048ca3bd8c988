"""What a run hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.facts import Facts, Finding, Rows

if TYPE_CHECKING:
    from hbids.capture import Problem
    from hbids.pipeline.analysis import Analysis
    from hbids.stats.history import History

__all__ = ["Result", "together", "totals"]

_ALWAYS_COUNTED = ("packets", "bytes", "flows")


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
    history: History | None = None
    """When it was asked for."""

    def keep(self, steps: list[Facts]) -> None:
        """Put the tables of all steps together."""
        facts = together(steps)
        self.heartbeats = facts.heartbeats[facts.heartbeats["is_final"] == 1]
        self.sessions, self.flows = facts.sessions, facts.flows

    def summary(self) -> dict[str, Any]:
        """The totals of the run, as docs/eve.md describes them."""
        return {"engine": self.engine, "sources": self.sources, **self.totals}


def together(steps: list[Facts]) -> Facts:
    """The facts of all steps as those of one."""
    if len(steps) == 1:
        return steps[0]
    return Facts(*(_joined([getattr(facts, name) for facts in steps]) for name in Facts.__slots__))


def _joined(tables: list[Rows]) -> Rows:
    """As bytes: numpy copies structured rows field by field, which takes ten times as long."""
    return np.concatenate([np.ascontiguousarray(table).view(np.uint8) for table in tables]).view(tables[0].dtype)


def totals(analysis: Analysis, endpoints: list[dict[str, Any]], counters: dict[str, int]) -> dict[str, Any]:
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
