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
    from hbids.detect.user import UserDetection
    from hbids.facts import Finding
    from hbids.state import Part
    from hbids.tallies import Tallies
    from hbids.user_signatures import UserSignatures

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

OF_USER = "user"
"""Findings of the user's own signatures."""

DETECTORS = (*_OF_HEARTBEATS, *_OF_STEPS.values())


class Detection:
    """All detectors, and the discipline in which they speak."""

    def __init__(self, thresholds: Thresholds, signatures: UserSignatures | None = None) -> None:
        self._of_heartbeats: list[NewsDetector] = [detector(thresholds) for detector in _OF_HEARTBEATS]
        self._of_steps: dict[str, StepDetector] = {name: detector(thresholds) for name, detector in _OF_STEPS.items()}
        self._tools = ToolRecogniser()
        self._discipline = Discipline(thresholds)
        self._disabled = signatures.disabled if signatures else frozenset()
        self._user = _user_detection(thresholds, signatures)
        self.disabled = 0
        """Findings of signatures that the user has switched off."""

    @property
    def forgotten(self) -> int:
        """What was once remembered and had to make room."""
        of_user = self._user.forgotten if self._user else 0
        return sum(map(forgotten, [*self._of_steps.values(), self._tools, self._discipline])) + of_user

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
        found = {name: self._tools.attribute(name, findings) for name, findings in found.items()}
        return found | {OF_USER: self._user.find(step)} if self._user else found

    def tell(self, found: dict[str, list[Finding]]) -> list[Finding]:
        """The findings to tell of it, in the order of time; within a packet, as detectors look."""
        told = []
        for name, findings in found.items():
            if self._user and name == OF_USER:
                told += self._user.tell(findings)
            else:
                told += self._discipline.tell(name, self._enabled(findings))
        return sorted(told, key=lambda finding: finding.time_ns)

    def _enabled(self, findings: list[Finding]) -> list[Finding]:
        if not self._disabled:
            return findings
        enabled = [finding for finding in findings if finding.sid not in self._disabled]
        self.disabled += len(findings) - len(enabled)
        return enabled

    def adopt(self, thresholds: Thresholds, signatures: UserSignatures | None) -> None:
        """Judge by other thresholds and signatures from now on; what is remembered stays, but of signatures that users
        wrote."""
        self._of_heartbeats = [detector(thresholds) for detector in _OF_HEARTBEATS]  # which remember nothing
        for detector in self._of_steps.values():
            if isinstance(detector, UnansweredDetector):
                detector.thresholds = thresholds
        self._discipline.adopt(thresholds)
        self._disabled = signatures.disabled if signatures else frozenset()
        self._user = _user_detection(thresholds, signatures)

    def parts(self) -> dict[str, Part]:
        """What must not be forgotten from run to run."""
        return self._discipline.parts() | self._tools.parts()

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        self._discipline.restore(parts)
        self._tools.restore(parts)

    def totals(self, current: Current) -> list[Finding]:
        """What remains to be told at the end of a run; ``current`` gives the numbers of a finding's series by now."""
        totals = [finding for finding in self._discipline.totals(current) if finding.sid not in self._disabled]
        if self._user:
            totals = sorted([*totals, *self._user.totals()], key=lambda finding: finding.time_ns)
        return totals


def _user_detection(thresholds: Thresholds, signatures: UserSignatures | None) -> UserDetection | None:
    if not signatures or not signatures.added:
        return None
    from hbids.detect.user import UserDetection

    return UserDetection(thresholds, signatures.added)
