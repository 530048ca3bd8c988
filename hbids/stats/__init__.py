"""Facts to running statistics. Today: what happened to each endpoint."""

from hbids.stats.endpoints import EndpointLedger

__all__ = ["EndpointLedger"]
