"""What a sensor knows of itself at a moment, and how fast its numbers grow: what ``--top`` shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hbids.cli.verdict import HARMLESS
from hbids.facts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.eve.sinks.outbox import OutboxCounts

__all__ = ["View", "sentence"]

_WORDS = [verdict.word for verdict in sorted(Verdict, reverse=True) if verdict != Verdict.CLEAR]


@dataclass(frozen=True, slots=True)
class View:
    """One moment."""

    summary: Mapping[str, Any]
    sinks: Mapping[str, OutboxCounts]
    running_s: float
    """How long the sensor has been running."""
    before: View | None = None
    """The moment that rates are measured from."""

    def rate(self, *path: str) -> float:
        """How much a number of the summary grows in a second."""
        if self.before is None or self.running_s <= self.before.running_s:
            return 0.0
        grown = _number(self.summary, path) - _number(self.before.summary, path)
        return grown / (self.running_s - self.before.running_s)

    def unseen(self) -> list[tuple[str, float]]:
        """Counters of what is being left out and matters, with their rates, the fastest first."""
        rates = [(name, self.rate("drops", name)) for name in self.summary["drops"] if name not in HARMLESS]
        return sorted(((name, rate) for name, rate in rates if rate > 0), key=lambda item: -item[1])

    def verdicts(self) -> dict[str, int]:
        """Endpoints by verdict, the gravest first, also those of which there are none."""
        counts = Counter(endpoint["verdict"] for endpoint in self.summary["endpoints"])
        return {word: counts[word] for word in _WORDS}


def _number(summary: Mapping[str, Any], path: tuple[str, ...]) -> int:
    value: Any = summary
    for name in path:
        value = value.get(name, 0)
    return int(value)


def sentence(view: View) -> str:
    """A moment in a line."""
    summary = view.summary
    found = ", ".join(f"{count:,} {word}" for word, count in view.verdicts().items() if count)
    unseen = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in view.unseen()[:3])
    failing = ", ".join(f"{name} ({counts.failure})" for name, counts in view.sinks.items() if counts.failure)
    parts = [
        f"{view.rate('packets'):,.0f} packets/s",
        f"{view.rate('bytes') * 8 / 1e6:,.1f} Mbit/s",
        f"{summary['tls_sessions'] + summary['dtls_sessions']:,} TLS sessions",
        f"{summary['heartbeats']['overread_requests']:,} over-reads",
        f"endpoints: {found or 'none above clear'}",
        f"alerts: {sum(summary['alerts'].values()):,}",
        f"not seen: {unseen or 'nothing'}",
        f"failing: {failing}" if failing else "",
    ]
    return "; ".join(part for part in parts if part)
