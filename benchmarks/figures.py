"""From costs to the figures that count, each with its aim."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.measure import Cost

__all__ = ["NATIVE", "Figure", "Results", "figures"]

NATIVE = "hbids native"

_MEASURABLE_S = 0.02
"""A program's start varies by about this much; what is left of less after taking the start off is noise."""


@dataclass(slots=True)
class Results:
    """Costs by capture and program, in the order of the rounds: programs of one round ran one after the other."""

    costs: dict[str, dict[str, list[Cost]]] = field(default_factory=dict)

    def add(self, capture: str, program: str, cost: Cost) -> None:
        """Keep one run."""
        self.costs.setdefault(capture, {}).setdefault(program, []).append(cost)

    def cpu_s(self, capture: str, program: str) -> float:
        """Median of the whole process."""
        return median(cost.cpu_s for cost in self.costs[capture][program])

    def reading_cpu_s(self, capture: str, program: str) -> list[float]:
        """By round, without what the same program needs for the small capture: without its start."""
        start_s = self.cpu_s("small", program)
        return [cost.cpu_s - start_s for cost in self.costs[capture][program]]

    def peak_rss_bytes(self, capture: str, program: str) -> float:
        """Median."""
        return median(cost.peak_rss_bytes for cost in self.costs[capture][program])

    def ratio(self, capture: str, program: str, other: str) -> float:
        """CPU of ``program`` over CPU of ``other``, whole processes: median of the ratios of the rounds."""
        pairs = zip(self.costs[capture][program], self.costs[capture][other], strict=True)
        return median(one.cpu_s / two.cpu_s for one, two in pairs)

    def reading_ratio(self, capture: str, program: str, other: str) -> float | None:
        """The same without the start of either; None when a round's reading is too little to tell from noise."""
        ones, twos = self.reading_cpu_s(capture, program), self.reading_cpu_s(capture, other)
        if min(*ones, *twos) < _MEASURABLE_S:
            return None
        return median(one / two for one, two in zip(ones, twos, strict=True))


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, None when it is too small to tell; ``at_most`` and ``at_least`` say what is aimed for."""

    name: str
    value: float | None
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one, or without a value."""
        if self.value is None:
            return None
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least


def figures(results: Results, flows: int) -> list[Figure]:
    """What the runs say; ``flows`` is how many live at once in ``short``. Programs that were not there are left out.

    The aims speak of whole processes. Reading alone (:meth:`Results.reading_cpu_s`) tells the decoder from its start.
    """
    found = []
    for capture, suricata_aim in (("bulk", 6), ("short", 50)):
        programs = results.costs[capture]
        if "tcpdump" in programs:
            name = f"{capture}: CPU native / tcpdump"
            found.append(Figure(name, results.ratio(capture, NATIVE, "tcpdump"), "x", at_most=0.5))
            found.append(Figure(f"{name}, reading", results.reading_ratio(capture, NATIVE, "tcpdump"), "x"))
        if "Suricata" in programs:
            name = f"{capture}: CPU Suricata / native"
            found.append(Figure(name, results.ratio(capture, "Suricata", NATIVE), "x", at_least=suricata_aim))
            found.append(Figure(f"{name}, reading", results.reading_ratio(capture, "Suricata", NATIVE), "x"))
    for capture in ("bulk-sample", "short-sample"):
        for program in ("hbids reference", "dpkt loop"):
            name = f"{capture}: CPU {program} / native, reading"
            found.append(Figure(name, results.reading_ratio(capture, program, NATIVE), "x"))
    peak_mb = results.peak_rss_bytes("bulk", NATIVE) / 1e6
    growth_bytes = results.peak_rss_bytes("short", NATIVE) - results.peak_rss_bytes("small", NATIVE)
    return [
        *found,
        Figure("bulk: native peak memory", peak_mb, "MB", at_most=100),
        Figure("short: native memory a live flow", growth_bytes / flows, "bytes", at_most=400),
        Figure("small: CPU native", results.cpu_s("small", NATIVE), "s", at_most=0.4),
    ]
