"""Flows of TLS without heartbeats, which most are: sessions that wait whether one comes, and flows that ended without.

All that is asked of them is what they look like, so lines that look as Suricata writes them are not parsed."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from hbids.eve.bulk import Fields, flow_rows
from hbids.eve.flows import counts_of, key_of, vlan_of
from hbids.eve.hello import session_of
from hbids.eve.rows import flow_row, session_row
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
_END_REASONS = {"timeout": EndReason.TIMEOUT, "tcp_reuse": EndReason.REUSED}
_CONCERNS_HEARTBEATS = tuple(
    [before + b"15" + behind for before in (b"-", b",") for behind in (b"-", b",", b'"')] + [b'"exts"']
)
"""In JA3's text, or the lists of Suricata 8: perhaps the extension. Plain words are found faster than a pattern."""


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
        self, limits: Eve, seconds: Seconds, progress: Progress, own_flow_ids: OwnFlowIds, counters: Counter[str]
    ) -> None:
        self._limits = limits
        self._seconds = seconds
        self._progress = progress
        self._own_flow_ids = own_flow_ids
        self._counters = counters
        self.tells_all = False
        """Rows of all sessions are wanted, not only of those that heartbeats concern."""
        self.totals: Counter[str] = Counter()
        """Packets, bytes and flows, of all flow events, and sessions without a row."""
        self._sessions: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        """Since when they wait, and the line; by Suricata's flow_id."""
        self._flow_lines: list[Fields] = []
        self._flow_rows: list[Rows] = []

    def __contains__(self, flow_id: int) -> bool:
        """A session waits."""
        return flow_id in self._sessions

    # --- in ---

    def take_tls_line(self, flow_id: int, line: bytes) -> None:
        """A ``tls`` event."""
        self._sessions[flow_id] = self._seconds.now_ns, line
        self._progress.begin(flow_id)
        if len(self._sessions) > self._limits.sessions:
            self._tell_session(next(iter(self._sessions)))

    def take_flow_line(self, flow_id: int, fields: Fields) -> None:
        """A ``flow`` event of TLS."""
        self._tell_session(flow_id)
        self._flow_lines.append(fields)

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
        self._tell_session(flow_id)
        reason = _END_REASONS.get(text_of(flow, "reason"), EndReason.CAPTURE_END)
        if text_of(flow, "state") == "closed":
            reason = EndReason.RST if object_of(event, "tcp").get("rst") is True else EndReason.FIN
        row = flow_row(key, vlan_of(event), self._own_flow_ids.take(), counts, end_ns, reason)
        self._flow_rows.append(row)

    def count(self, counts: FlowCounts) -> None:
        """A flow has ended, with a heartbeat or without."""
        self.totals["flows"] += 1
        self.totals["packets"] += counts.packets_to_server + counts.packets_to_client
        self.totals["bytes"] += counts.bytes_to_server + counts.bytes_to_client

    # --- out ---

    def wake(self, flow_id: int) -> tuple[FlowKey, TlsSession] | None:
        """The session of a flow that shows a heartbeat now."""
        waiting = self._sessions.pop(flow_id, None)
        if waiting is None:
            return None
        event = self._parsed(waiting[1])
        key = key_of(event)
        session = session_of(object_of(event, "tls"), time_ns_of(event, "timestamp") or waiting[0])
        return (key, session) if key is not None else None

    def let_go(self) -> None:
        """Tell of sessions that have waited long enough."""
        while self._sessions:
            flow_id = next(iter(self._sessions))
            if self._seconds.now_ns - self._sessions[flow_id][0] < self._limits.session_wait_ns:
                break
            self._tell_session(flow_id)

    def release(self) -> None:
        """Tell of all sessions."""
        while self._sessions:
            self._tell_session(next(iter(self._sessions)))

    def flows(self) -> Rows:
        """Rows of those that have ended since this was asked last."""
        flows, self._flow_rows = self._flow_rows, []
        lines, self._flow_lines = self._flow_lines, []
        if lines:
            rows = flow_rows(lines, self._own_flow_ids.take(len(lines)))
            self.totals["flows"] += len(rows)
            for what in ("packets", "bytes"):
                self.totals[what] += int(rows[f"{what}_to_server"].sum() + rows[f"{what}_to_client"].sum())
            flows.append(rows)
        return np.concatenate(flows) if flows else Facts.empty().flows

    # --- inside ---

    def _tell_session(self, flow_id: int) -> None:
        found = self._sessions.pop(flow_id, None)
        if found is None:
            return
        self._seconds.learnt.done.append(flow_id)
        time_ns, line = found
        if self.tells_all or any(word in line for word in _CONCERNS_HEARTBEATS):
            event = self._parsed(line)
            self.take_tls(event, time_ns_of(event, "timestamp") or time_ns)
        else:
            self.totals["tls_sessions"] += 1

    def _parsed(self, line: bytes) -> Mapping[str, Any]:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            self._counters["eve_lines_broken"] += 1
            return {}
        return event if isinstance(event, dict) else {}
