"""Connections through the whole program: written to a capture file, replayed, judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hbids
from tests.support.conversation import frames_of, write_pcap

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hbids.config import Config
    from hbids.facts import Finding
    from hbids.pipeline import Result
    from tests.support.conversation import Conversation


def judge(folder: Path, engine: str, *conversations: Conversation, config: Config | None = None) -> Result:
    result = hbids.replay(write_pcap(folder / "made.pcap", frames_of(*conversations)), engine=engine, config=config)
    assert result.engine == engine
    return result


def alerts(result: Result) -> dict[int, int]:
    """How often each signature fired."""
    return {int(sid): count for sid, count in result.summary()["alerts"].items()}


def findings_of(result: Result, sids: Iterable[int]) -> list[Finding]:
    wanted = set(sids)
    return [finding for finding in result.findings if finding.sid in wanted]
