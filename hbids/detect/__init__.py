"""Facts to findings. One file a detector; its docstring is its page of documentation.

A detector is fed the facts of one step at a time and keeps what little it must remember. :data:`DETECTORS` lists them
in the order in which they look at each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.detect.evasion import EvasionDetector
from hbids.detect.exposure import ExposureDetector
from hbids.detect.flood import FloodDetector
from hbids.detect.harvest import HarvestDetector
from hbids.detect.leak import LeakDetector
from hbids.detect.request import RequestDetector
from hbids.detect.sealed import SealedDetector
from hbids.detect.unanswered import UnansweredDetector
from hbids.detect.unasked import UnaskedDetector

if TYPE_CHECKING:
    from typing import Protocol

    from hbids.config import Thresholds
    from hbids.facts import Facts, Finding

    class Detector(Protocol):
        """What all detectors have in common."""

        def update(self, facts: Facts) -> list[Finding]:
            """Look at the facts of one step."""


__all__ = ["DETECTORS", "open_detectors"]

DETECTORS = (
    RequestDetector,
    LeakDetector,
    UnaskedDetector,
    SealedDetector,
    HarvestDetector,
    FloodDetector,
    UnansweredDetector,
    EvasionDetector,
    ExposureDetector,
)


def open_detectors(thresholds: Thresholds) -> list[Detector]:
    """One fresh detector of each kind."""
    return [detector(thresholds) for detector in DETECTORS]
