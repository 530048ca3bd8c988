"""Flows that do not look like their service's, where no heartbeat can be seen.

What it sees
    ``anomaly_flows`` flows of one shape (bytes and packets each way) to one TLS service within a day, more than
    ``anomaly_deviations`` robust standard deviations above the median of the days before, by one source (1016400), or
    by several who have ``anomaly_flows_per_source`` each (1016401). Only flows without visible heartbeats count.
Why it matters
    A harvest repeats one exchange. Where nobody reads records (flow logs of peers, sealed protocols, captures of
    headers alone) its flows still are as alike as no client's are, and there are many of them.
Evidence
    Counters of flows alone, compared with the service's own last four weeks (``--state``): medians and median absolute
    deviations, no model from elsewhere.
Limits
    A suspicion, not a harm: the verdict of an endpoint is not touched. Says nothing of services known for less than
    ``anomaly_days``. A load test, a new monitor or a client that loops look the same; a harvest through one long
    connection, or slower than ``anomaly_flows`` a day, is not seen.
"""

from __future__ import annotations

from hbids.config import Thresholds
from hbids.detect.common import Step, describe, flow_context
from hbids.facts import Direction, Finding, Reach, Series, Verdict

__all__ = ["AnomalyDetector"]

ONE_SOURCE, SEVERAL_SOURCES = 1016400, 1016401


class AnomalyDetector:
    """See the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        """Statistics draw the line."""

    def update(self, step: Step) -> list[Finding]:
        """Tell what flows are out of line."""
        shapes = step.shapes
        columns = (shapes.rows, shapes.flows, shapes.sources, shapes.usual_flows, shapes.shapes)
        return [_finding(step, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _finding(step: Step, index: int, flows: int, sources: int, usual_flows: int, shape: int) -> Finding:
    row = step.flows[index]
    names = ("bytes_to_server", "bytes_to_client", "packets_to_server", "packets_to_client")
    numbers = {name: int(row[name]) for name in names}
    return Finding(
        ONE_SOURCE if sources == 1 else SEVERAL_SOURCES,
        int(row["end_time_ns"]),
        flow_context(row),
        Direction.TO_CLIENT,
        Direction.TO_SERVER,
        Verdict.CLEAR,
        describe(row) | numbers | {"flows": flows, "usual_flows": usual_flows, "sources": sources},
        Series(Reach.BEHAVIOUR, "flows", (shape,)),
    )
