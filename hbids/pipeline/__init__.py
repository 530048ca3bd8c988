"""The corridor: the one place beside ``cli`` that joins the rooms. Frames come in from ``capture``, ``decode`` makes
facts of them, ``stats`` counts, ``detect`` makes findings, and whoever called gets all of it. One file for each way in;
right of the facts all are the same :class:`Analysis`."""

from __future__ import annotations

from hbids.pipeline.analysis import Analysis
from hbids.pipeline.keeper import Keeper
from hbids.pipeline.offline import replay
from hbids.pipeline.result import Result

__all__ = ["Analysis", "Keeper", "Result", "replay"]
