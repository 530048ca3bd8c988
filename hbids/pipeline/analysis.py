"""Facts to findings and totals."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.detect import Detection, Step
from hbids.facts import Direction, Facts, Finding, Kind, Rows, Transport
from hbids.keyed import MOST_ENTRIES, keys_from
from hbids.measures import Measured
from hbids.pipeline.surroundings import Surroundings
from hbids.stats import EXPOSURE_TIMES, EndpointLedger, ExposureTimeline, FlowShapes, RefusalFinder, Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hbids.config import Config
    from hbids.state import Part
    from hbids.stats.history import History

__all__ = ["Analysis"]

_TLS_1_3 = 0x0304


class Analysis:
    """Facts to findings and totals: what all ways of use share, however the facts arrive."""

    def __init__(
        self,
        config: Config,
        on_finding: Callable[[Finding], None],
        history: History | None = None,
        on_found: Callable[[Finding], None] | None = None,
    ) -> None:
        """``on_finding`` gets what is told; ``on_found`` all that is found of ours, before it is decided what of it is
        told."""
        self._surroundings = Surroundings(config)
        scanners = self._surroundings.scanners
        self.statistics = Statistics(config.memory, config.thresholds, scanners)
        self.shapes = FlowShapes(config.memory, config.thresholds)
        self._detection = Detection(config.thresholds, config.signatures)
        self._ledger = EndpointLedger(scanners)
        self._exposure = ExposureTimeline(config.memory.endpoints, config.disclosure_ns)
        self._refusals = RefusalFinder(config.thresholds.unanswered_wait_ns)
        self._on_finding, self._on_found = on_finding, on_found
        self._history = history
        self.alerts: Counter[int] = Counter()
        self.heartbeats: Counter[str] = Counter(requests=0, responses=0, sealed=0, overread_requests=0, malformed=0)
        self.sessions: Counter[str] = Counter(tls=0, dtls=0)
        self.victims_outside_home = 0
        """Findings about endpoints elsewhere."""
        self.tls13_sessions = 0

    def add(self, facts: Facts) -> None:
        """Take one step's facts."""
        nothing = Facts.empty()
        if len(facts.sessions):
            for transport in Transport:
                count = np.count_nonzero(facts.sessions["transport"] == transport)
                self.sessions[transport.name.lower()] += int(count)
            self.tls13_sessions += int(np.count_nonzero(facts.sessions["tls_version"] == _TLS_1_3))
            for start in range(0, len(facts.sessions), MOST_ENTRIES):
                sessions = facts.sessions[start : start + MOST_ENTRIES]
                self._surroundings.learn(sessions)
                self._ledger.add_sessions(sessions)
                self._exposure.add_sessions(sessions)
                self._judge(nothing.heartbeats, sessions, nothing.flows)
        for heartbeats in self.statistics.pieces(facts.heartbeats):
            self._judge(heartbeats, nothing.sessions, nothing.flows)
        for start in range(0, len(facts.flows), MOST_ENTRIES):
            self._judge(nothing.heartbeats, nothing.sessions, facts.flows[start : start + MOST_ENTRIES])

    def spares(self, ip: str) -> str:
        """See :meth:`~hbids.pipeline.surroundings.Surroundings.spares`."""
        return self._surroundings.spares(ip)

    def finish(self) -> None:
        """Tell what remains to be told."""
        for finding in self._detection.totals(self.statistics.current):
            self._tell(finding)

    def adopt(self, config: Config) -> None:
        """Judge by the thresholds, signatures and surroundings of another configuration; what is remembered stays."""
        self._exposure.adopt(config.disclosure_ns, instead_of=self._surroundings.disclosure_ns)
        self._surroundings = self._surroundings.adopt(config)
        self.statistics.scanners = self._ledger.scanners = self._surroundings.scanners
        self._refusals.wait_ns = config.thresholds.unanswered_wait_ns
        self.statistics.thresholds = self.shapes.thresholds = config.thresholds
        self._detection.adopt(config.thresholds, config.signatures)

    def parts(self) -> dict[str, Part]:
        """What the next run shall know of this one."""
        parts = self.statistics.parts() | self.shapes.parts() | self._exposure.parts()
        return parts | self._detection.parts()

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        self.statistics.restore(parts)
        self.shapes.restore(parts)
        self._exposure.restore(parts)
        self._detection.restore(parts)

    def _judge(self, heartbeats: Rows, sessions: Rows, flows: Rows) -> None:
        measured = Measured(heartbeats)
        tallies = self.statistics.count(measured)
        if self._history:
            self._history.add(measured, sessions, flows)
        if len(heartbeats):
            self._count(measured)
            self._ledger.add_heartbeats(measured)
            self._ledger.add_newcomers(measured.parties[tallies.newcomers])
            self._exposure.add_leaks(measured, tallies.leaks)
            self._refusals.add_requests(measured)
        self._exposure.add_refusals(self._refusals.refusals(flows))
        found = self._detection.find(Step(measured, sessions, flows, self.shapes.count(flows)), tallies)
        for name, findings in found.items():
            found[name] = [finding for finding in findings if self._is_ours(finding)]
            for finding in found[name]:
                self._surroundings.mark(finding)
                if self._on_found:
                    self._on_found(finding)
            self._ledger.add_findings(found[name])
        for finding in self._detection.tell(found):
            self._tell(finding)

    def _is_ours(self, finding: Finding) -> bool:
        is_client = finding.victim == Direction.TO_CLIENT
        ours = self._surroundings.is_home(finding.flow.client_ip if is_client else finding.flow.server_ip)
        self.victims_outside_home += not ours
        return ours

    def _tell(self, finding: Finding) -> None:
        self.alerts[finding.sid] += 1
        self._on_finding(finding)

    def endpoints(self) -> list[dict[str, Any]]:
        """As in the summary."""
        is_home = self._surroundings.is_home
        known = [(key, endpoint) for key, endpoint in self._ledger.endpoints() if is_home(endpoint["ip"])]
        keys = keys_from([key for key, _ in known])
        exposures, sources = self._exposure.exposures(keys), self.statistics.endpoints.sources_of(keys)
        for (_, endpoint), exposure, leaked_to in zip(known, exposures, sources, strict=True):
            self._surroundings.describe(endpoint)
            endpoint |= {"leaked_to": leaked_to, "exposure": exposure}
            for place, names in ((endpoint, ("first_seen", "last_seen")), (exposure, EXPOSURE_TIMES)):
                for name in names:
                    place[name] = None if place[name] is None else _utc(place[name])
        return [endpoint for _, endpoint in known]

    def drops(self) -> dict[str, int]:
        """What this side of the facts left out."""
        dropped = {
            "detectors_forgot": self._detection.forgotten + self._refusals.forgotten,
            "endpoints_dropped": self._ledger.dropped,
            "findings_disabled": self._detection.disabled,
            "heartbeats_repeated": self.statistics.repeated,
            "sources_dropped": self._ledger.sources_dropped,
            "statistics_forgot": self.statistics.evicted + self.shapes.evicted + self._exposure.evicted,
            "tls13_sessions": self.tls13_sessions,
            "victims_outside_home": self.victims_outside_home,
        }
        return {name: count for name, count in dropped.items() if count}

    def _count(self, heartbeats: Measured) -> None:
        final, kinds = heartbeats.final, heartbeats.rows["kind"]
        clear = final & ~heartbeats.sealed
        self.heartbeats["sealed"] += int(np.count_nonzero(final & heartbeats.sealed))
        for name, kind in (("requests", Kind.REQUEST), ("responses", Kind.RESPONSE), ("malformed", Kind.MALFORMED)):
            self.heartbeats[name] += int(np.count_nonzero(clear & (kinds == kind)))
        self.heartbeats["overread_requests"] += int(np.count_nonzero(final & (heartbeats.overread > 0)))


def _utc(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest_ns // 1000:06}Z"
