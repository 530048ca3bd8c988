"""Facts to running statistics: what happened to each endpoint in this run, and who has asked and taken how much."""

from hbids.stats.endpoints import EndpointLedger
from hbids.stats.exposure import EXPOSURE_TIMES, ExposureTimeline
from hbids.stats.refusals import RefusalFinder
from hbids.stats.shapes import FlowShapes
from hbids.stats.statistics import Statistics

__all__ = ["EXPOSURE_TIMES", "EndpointLedger", "ExposureTimeline", "FlowShapes", "RefusalFinder", "Statistics"]
