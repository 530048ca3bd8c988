"""From costs to the figures that count, each with its aim."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.content import Content
    from benchmarks.measure import Cost

__all__ = ["MEASURABLE_S", "NATIVE", "SAMPLES", "Figure", "Results", "Round", "figures"]

NATIVE = "hbids native"
SAMPLES = {"bulk-sample": "bulk", "short-sample": "short"}
"""What slow programs read in place of the whole."""

MEASURABLE_S = 0.02
"""A program's start varies by about this much; what is left of less after taking the start off is noise."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a program cost on a capture, and right before on the small one: mostly its start."""

    start: Cost
    whole: Cost

    @property
    def reading_s(self) -> float:
        """CPU without the start."""
        return self.whole.cpu_s - self.start.cpu_s


@dataclass(slots=True)
class Results:
    """Rounds by capture and program. In each round the programs ran one after the other."""

    contents: dict[str, Content]
    rounds: dict[str, dict[str, list[Round]]] = field(default_factory=dict)

    def add(self, capture: str, program: str, measured: Round) -> None:
        """Keep a round."""
        self.rounds.setdefault(capture, {}).setdefault(program, []).append(measured)

    def starts(self) -> dict[str, list[Cost]]:
        """All runs on the small capture, by program."""
        found: dict[str, list[Cost]] = {}
        for programs in self.rounds.values():
            for program, rounds in programs.items():
                found.setdefault(program, []).extend(one.start for one in rounds)
        return found

    def peak_rss_bytes(self, capture: str, program: str) -> float:
        """Median."""
        return median(one.whole.peak_rss_bytes for one in self.rounds[capture][program])

    def whole_ratio(self, capture: str, program: str, other: str) -> float:
        """CPU of ``program`` over CPU of ``other``, whole processes: median of the ratios of the rounds."""
        pairs = zip(self.rounds[capture][program], self.rounds[capture][other], strict=True)
        return median(one.whole.cpu_s / two.whole.cpu_s for one, two in pairs)

    def reading_ratio(self, capture: str, program: str, other: str) -> float | None:
        """The same for reading alone; None when that is too little to tell from noise."""
        if self.reading_ns_a_packet(capture, program) is None or self.reading_ns_a_packet(capture, other) is None:
            return None
        pairs = zip(self.rounds[capture][program], self.rounds[capture][other], strict=True)
        return median(one.reading_s / two.reading_s for one, two in pairs)

    def reading_ns_a_packet(self, capture: str, program: str) -> float | None:
        """Median; None when a round's reading is too little to tell from noise."""
        readings = [one.reading_s for one in self.rounds[capture][program]]
        if min(readings) < MEASURABLE_S:
            return None
        return median(readings) / self.contents[capture].packets * 1e9

    def sample_ratio(self, sample: str, program: str) -> float | None:
        """CPU a packet of a slow program on the sample over native's on the whole capture, without their starts."""
        slow, fast = self.reading_ns_a_packet(sample, program), self.reading_ns_a_packet(SAMPLES[sample], NATIVE)
        return None if slow is None or fast is None else slow / fast


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


def figures(results: Results) -> list[Figure]:
    """What the rounds say; programs that were not there are left out.

    The aims speak of whole processes. Reading alone tells the decoder from the start of the program around it.
    """
    found = []
    for capture, suricata_aim in (("bulk", 6), ("short", 50)):
        programs = results.rounds[capture]
        if "tcpdump" in programs:
            name = f"{capture}: CPU native / tcpdump"
            found.append(Figure(name, results.whole_ratio(capture, NATIVE, "tcpdump"), "x", at_most=0.5))
            found.append(Figure(f"{name}, reading", results.reading_ratio(capture, NATIVE, "tcpdump"), "x"))
        if "Suricata" in programs:
            name = f"{capture}: CPU Suricata / native"
            found.append(Figure(name, results.whole_ratio(capture, "Suricata", NATIVE), "x", at_least=suricata_aim))
            found.append(Figure(f"{name}, reading", results.reading_ratio(capture, "Suricata", NATIVE), "x"))
    for sample, capture in SAMPLES.items():
        for program in results.rounds[sample]:
            name = f"{capture}: CPU a packet {program} / native, reading"
            found.append(Figure(name, results.sample_ratio(sample, program), "x"))
    starts = results.starts()[NATIVE]
    growth_bytes = results.peak_rss_bytes("short", NATIVE) - median(start.peak_rss_bytes for start in starts)
    return [
        *found,
        Figure("bulk: native peak memory", results.peak_rss_bytes("bulk", NATIVE) / 1e6, "MB", at_most=100),
        Figure(
            "short: native memory a live flow", growth_bytes / results.contents["short"].flows, "bytes", at_most=400
        ),
        Figure("small: CPU native", median(start.cpu_s for start in starts), "s", at_most=0.4),
    ]
