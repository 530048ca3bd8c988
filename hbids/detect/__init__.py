"""Facts to findings. One file a detector; its docstring is its page of documentation.

Detectors say what they find; the discipline decides what of it is told. Those of heartbeats judge one row at a time,
and only rows that bring something new (:class:`~hbids.detect.common.News`), with what was counted up to it. The others
look at a step of facts as a whole. :data:`DETECTORS` lists all in the order in which they look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.detect.anomaly import AnomalyDetector
from hbids.detect.common import Step, forgotten, news_of
from hbids.detect.discipline import Discipline
from hbids.detect.evasion import EvasionDetector
from hbids.detect.exposure import ExposureDetector
from hbids.detect.flood import FloodDetector
from hbids.detect.harvest import HarvestDetector
from hbids.detect.leak import LeakDetector, TotalDetector
from hbids.detect.request import RequestDetector
from hbids.detect.sealed import CrowdDetector, SealedDetector
from hbids.detect.tool import ToolRecogniser
from hbids.detect.unanswered import UnansweredDetector
from hbids.detect.unasked import UnaskedDetector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from hbids.config import Thresholds
    from hbids.detect.common import News
    from hbids.detect.discipline import Current
    from hbids.facts import Finding, Tallies
    from hbids.state import Part

    class NewsDetector(Protocol):
        """What detectors of heartbeats have in common."""

        def judge(self, news: News) -> list[Finding]:
            """Judge one row."""

    class StepDetector(Protocol):
        """What the other detectors have in common."""

        def update(self, step: Step) -> list[Finding]:
            """Look at the facts of one step; the findings come in the order of the rows."""


__all__ = ["DETECTORS", "Detection", "Step"]

_OF_HEARTBEATS: tuple[Callable[[Thresholds], NewsDetector], ...] = (
    RequestDetector,
    SealedDetector,
    LeakDetector,
    UnaskedDetector,
    HarvestDetector,
    TotalDetector,
    FloodDetector,
)
_OF_STEPS: dict[str, Callable[[Thresholds], StepDetector]] = {
    "sessions": ExposureDetector,
    "in flight": CrowdDetector,
    "unanswered": UnansweredDetector,
    "flows": EvasionDetector,
    "shapes": AnomalyDetector,
}
"""By what they speak of, each thing in an order of its own: requests in flight in that of their answers, those left
unanswered in that in which their flows end."""

DETECTORS = (*_OF_HEARTBEATS, *_OF_STEPS.values())


class Detection:
    """All detectors, and the discipline in which they speak."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._of_heartbeats: list[NewsDetector] = [detector(thresholds) for detector in _OF_HEARTBEATS]
        self._of_steps: dict[str, StepDetector] = {name: detector(thresholds) for name, detector in _OF_STEPS.items()}
        self._tools = ToolRecogniser()
        self._discipline = Discipline(thresholds)

    @property
    def forgotten(self) -> int:
        """What was once remembered and had to make room."""
        return sum(map(forgotten, [*self._of_steps.values(), self._tools, self._discipline]))

    def find(self, step: Step, tallies: Tallies) -> dict[str, list[Finding]]:
        """All that is found in a step, by what it speaks of."""
        self._tools.remember(step.sessions)
        found = {
            "heartbeats": [
                finding
                for news in news_of(step.heartbeats, tallies)
                for detector in self._of_heartbeats
                for finding in detector.judge(news)
            ]
        }
        found |= {name: detector.update(step) for name, detector in self._of_steps.items()}
        return {name: self._tools.attribute(name, findings) for name, findings in found.items()}

    def tell(self, found: dict[str, list[Finding]]) -> list[Finding]:
        """The findings to tell of it, in the order of time; within a packet, as detectors look."""
        told = [finding for name, findings in found.items() for finding in self._discipline.tell(name, findings)]
        return sorted(told, key=lambda finding: finding.time_ns)

    def parts(self) -> dict[str, Part]:
        """What must not be forgotten from run to run."""
        return self._discipline.parts()

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        self._discipline.restore(parts)

    def totals(self, current: Current) -> list[Finding]:
        """What remains to be told at the end of a run; ``current`` gives the numbers of a finding's series by now."""
        return self._discipline.totals(current)
