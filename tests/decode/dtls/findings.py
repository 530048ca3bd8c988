"""What detectors make of datagrams."""

from __future__ import annotations

from hbids.config import Config
from hbids.facts import Finding, Verdict
from hbids.pipeline import Analysis
from tests.capture.build import Frame
from tests.support.conversation import batch_of
from tests.support.decoding import all_facts, engine_called
from tests.support.dtls import Exchange


def findings(engine_name: str, frames: list[Frame]) -> list[tuple[int, Verdict]]:
    """What the detectors make of frames: signature and verdict."""
    found: list[Finding] = []
    analysis = Analysis(Config(), found.append)
    analysis.add(all_facts(engine_called(engine_name), [batch_of(frames)]))
    analysis.finish()
    return [(finding.sid, finding.verdict) for finding in found]


def graver_than_exposed(engine_name: str, *exchanges: Exchange) -> list[int]:
    frames = [frame for exchange in exchanges for frame in exchange.frames]
    return [sid for sid, verdict in findings(engine_name, frames) if verdict > Verdict.EXPOSED]
