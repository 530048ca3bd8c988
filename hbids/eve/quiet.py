"""Flows of TLS without heartbeats, which most are: sessions that wait whether one comes, and flows that ended without.

All that is asked of them is what they look like, so lines that look as Suricata writes them go through a sieve and are
not parsed."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from hbids.eve.flows import counts_of, key_of, vlan_of
from hbids.eve.hello import session_of
from hbids.eve.rows import flow_row, flow_rows, session_row
from hbids.eve.sieve import SIFTED_DTYPE, Session, open_sieve
from hbids.eve.values import object_of, text_of, time_ns_of
from hbids.facts import EndReason, Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.config import Eve
    from hbids.eve.flows import FlowCounts, FlowKey
    from hbids.eve.hello import TlsSession
    from hbids.eve.progress import Progress
    from hbids.eve.seconds import Seconds
    from hbids.facts import Rows

__all__ = ["OwnFlowIds", "QuietFlows"]

_OWN_FLOW_IDS = 1 << 62
_END_OF_TIME_NS = (1 << 63) - 1
_END_REASONS = {"timeout": EndReason.TIMEOUT, "tcp_reuse": EndReason.REUSED}


class OwnFlowIds:
    """Numbers of flows that never go through an engine, far from those of flows that do, so that nothing is joined that
    does not belong."""

    def __init__(self) -> None:
        self._next = _OWN_FLOW_IDS

    def take(self, count: int = 1) -> int:
        """The first of so many."""
        first = self._next
        self._next += count
        return first


class QuietFlows:
    """``tls`` and ``flow`` events of flows without heartbeats. Sessions wait, in bounded number, and are told of in the
    end: as rows those that concern heartbeats, the others as a number."""

    def __init__(
        self,
        limits: Eve,
        engine: str,
        seconds: Seconds,
        progress: Progress,
        own_flow_ids: OwnFlowIds,
        counters: Counter[str],
        *,
        tells_all: bool,
    ) -> None:
        """``engine`` names that whose sieve is taken; with ``tells_all`` there are rows of all sessions."""
        self._limits = limits
        self._sieve = open_sieve(engine, limits, tells_all=tells_all)
        self._seconds = seconds
        self._progress = progress
        self._own_flow_ids = own_flow_ids
        self._counters = counters
        self._totals: Counter[str] = Counter()
        self._places: OrderedDict[int, Any] = OrderedDict()
        """Where sessions wait from."""
        self._flow_rows: list[Rows] = []

    @property
    def totals(self) -> Counter[str]:
        """Packets, bytes and flows, of all flow events, and sessions without a row."""
        *_, sessions, tls13 = self._sieve.counts()
        return self._totals + Counter(tls_sessions=sessions, tls13_sessions=tls13)

    @property
    def events(self) -> dict[str, int]:
        """How many went through the sieve, by type."""
        _, tls, flow, *_ = self._sieve.counts()
        return {"tls": tls, "flow": flow}

    @property
    def lines(self) -> int:
        """How many were read, of any kind."""
        return self._sieve.counts()[0]

    # --- in ---

    def sift(self, lines: bytes, start: int, end: int) -> tuple[int, int, int]:
        """See :meth:`~hbids.eve.sieve.Sieve.sift`."""
        found = self._sieve.sift(lines, start, end, self._progress.place[0], self._seconds.now_ns)
        self._tell_sessions()  # before where they waited from is forgotten
        return found

    def begin_block(self) -> None:
        """What is read now stands behind another place than what was read before."""
        oldest = self._sieve.oldest_place(0)
        while self._places and (oldest is None or next(iter(self._places)) < oldest):
            self._places.popitem(last=False)
        self._places[self._progress.place[0]] = self._progress.place

    def take_tls(self, event: Mapping[str, Any], time_ns: int) -> None:
        """A ``tls`` event that was parsed, which does not wait."""
        key = key_of(event)
        if key is not None:
            session = session_of(object_of(event, "tls"), time_ns)
            row = session_row(key, vlan_of(event), self._own_flow_ids.take(), session)
            self._seconds.learnt.sessions.append(row)

    def take_flow(self, flow_id: int, key: FlowKey, event: Mapping[str, Any], time_ns: int) -> None:
        """A ``flow`` event of TLS that was parsed."""
        flow = object_of(event, "flow")
        counts = counts_of(flow, time_ns)
        end_ns = max(counts.start_ns, time_ns_of(flow, "end") or time_ns)
        self._sieve.tell(flow_id)
        self._tell_sessions()
        reason = _END_REASONS.get(text_of(flow, "reason"), EndReason.CAPTURE_END)
        if text_of(flow, "state") == "closed":
            reason = EndReason.RST if object_of(event, "tcp").get("rst") is True else EndReason.FIN
        row = flow_row(key, vlan_of(event), self._own_flow_ids.take(), counts, end_ns, reason)
        self._flow_rows.append(row)

    def count(self, counts: FlowCounts) -> None:
        """A flow has ended, with a heartbeat or without."""
        self._totals["flows"] += 1
        self._totals["packets"] += counts.packets_to_server + counts.packets_to_client
        self._totals["bytes"] += counts.bytes_to_server + counts.bytes_to_client

    # --- out ---

    def wake(self, flow_id: int) -> tuple[FlowKey, TlsSession, Any] | None:
        """The session of a flow that shows a heartbeat now, and where that waited from."""
        waiting = self._sieve.claim(flow_id)
        if waiting is None:
            return None
        session = Session(*waiting)
        event = self._parsed(session.line)
        key = key_of(event)
        tls = session_of(object_of(event, "tls"), time_ns_of(event, "timestamp") or session.time_ns)
        return (key, tls, self._places.get(session.place)) if key is not None else None

    def leave(self, flow_id: int) -> None:
        """A flow is not among the quiet ones: all its events are to be parsed."""
        self._sieve.know(flow_id)

    def join(self, flow_id: int) -> None:
        """It is over; another may get its number."""
        self._sieve.forget(flow_id)

    def let_go(self) -> None:
        """Tell of sessions that have waited long enough."""
        self._sieve.tell_since(self._seconds.now_ns - self._limits.session_wait_ns)
        self._tell_sessions()

    def release(self) -> None:
        """Tell of all sessions."""
        self._sieve.tell_since(_END_OF_TIME_NS)
        self._tell_sessions()

    def flows(self) -> Rows:
        """Rows of those that have ended since this was asked last."""
        flows, self._flow_rows = self._flow_rows, []
        sifted = np.frombuffer(self._sieve.flows(), SIFTED_DTYPE)
        if len(sifted):
            self._totals["flows"] += len(sifted)
            for what in ("packets", "bytes"):
                self._totals[what] += int((sifted[f"{what}_to_server"] + sifted[f"{what}_to_client"]).sum())
            flows.append(flow_rows(sifted, self._own_flow_ids.take(len(sifted))))
        return np.concatenate(flows) if len(flows) > 1 else flows[0] if flows else Facts.empty().flows

    def oldest_place(self, start: int) -> Any:
        """Where the oldest session waits from that came behind ``start``; None if none does."""
        place = self._sieve.oldest_place(start)
        return None if place is None else self._places.get(place)

    # --- inside ---

    def _tell_sessions(self) -> None:
        for told in self._sieve.told():
            session = Session(*told)
            self._progress.begin(session.flow_id, self._places.get(session.place))
            self._seconds.learnt.done.append(session.flow_id)
            event = self._parsed(session.line)
            self.take_tls(event, time_ns_of(event, "timestamp") or session.time_ns)

    def _parsed(self, line: bytes) -> Mapping[str, Any]:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            self._counters["eve_lines_broken"] += 1
            return {}
        return event if isinstance(event, dict) else {}
