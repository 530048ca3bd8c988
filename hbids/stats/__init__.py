"""Facts to running statistics: what happened to each endpoint in this run, and who has asked and taken how much."""

from hbids.stats.endpoints import EndpointLedger
from hbids.stats.shapes import FlowShapes
from hbids.stats.statistics import Statistics

__all__ = ["EndpointLedger", "FlowShapes", "Statistics"]
