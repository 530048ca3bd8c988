"""The table of flows: which one a packet belongs to, when one ends, and how many are held.

Flows wait in four lists by what is known of them. Each list has its own idle time; a flow is looked at when it has been
listed for that long, and listed anew if it was active since: it ends between one and two idle times after its last
packet, and nothing is moved for a packet. When the table is full, the first flow of the first list that has one goes,
unless it was active since it was listed (then the next one's turn comes, for a few). The same happens among those that
hold something when all flows together hold too much.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from hbids.decode.reference.flow import Flow, Standing
from hbids.decode.reference.flow_key import Key, Packet
from hbids.decode.reference.run import Run
from hbids.facts import EndReason

__all__ = ["FlowTable"]

SWEEP_NS = 1_000_000_000
SECOND_CHANCES = 8
"""Flows that were active since they were listed, passed over when one must go."""


class FlowTable:
    """All live flows."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._flows: dict[Key, Flow] = {}
        self._lists: tuple[OrderedDict[int, Flow], ...] = tuple(OrderedDict() for _ in Standing)
        limits = run.limits
        self._timeouts_ns = (
            limits.closed_timeout_ns,
            limits.opening_timeout_ns,
            limits.plain_timeout_ns,
            limits.tls_timeout_ns,
        )
        self._holders: tuple[OrderedDict[int, tuple[Flow, int]], ...] = tuple(OrderedDict() for _ in Standing)
        """Flows that hold something beyond what every flow takes, and when they were listed."""
        self._clock_ns: int | None = None
        self._next_sweep_ns = 0

    def tick(self) -> None:
        """Let packet time go on; it never goes back. Ends flows that have been idle for too long."""
        now = self._run.time_ns
        if self._clock_ns is None:
            self._clock_ns, self._next_sweep_ns = now, now + SWEEP_NS
        self._clock_ns = max(self._clock_ns, now)
        if self._clock_ns < self._next_sweep_ns:
            return
        self._next_sweep_ns = self._clock_ns + SWEEP_NS
        for flows, timeout_ns in zip(self._lists, self._timeouts_ns, strict=True):
            while flows:
                flow = next(iter(flows.values()))
                if flow.listed_ns + timeout_ns > self._clock_ns:
                    break
                if flow.touched_ns + timeout_ns <= self._clock_ns:
                    self._end(flow, EndReason.TIMEOUT)
                else:
                    self._relist(flow)

    def packet(self, packet: Packet, wire_bytes: int) -> None:
        """Give a packet to its flow."""
        key, side = Key.of(packet)
        flow = self._flows.get(key)
        if flow is not None and flow.is_replaced_by(side, packet):
            self._end(flow, EndReason.REUSED)
            flow = None
        if flow is None:
            flow = self._open(key, packet)
        flow.packet(side, packet, wire_bytes)
        self._touch(flow)
        self._charge(flow)

    def __len__(self) -> int:
        return len(self._flows)

    def finish(self, most: int) -> None:
        """End so many flows, in the order they began; the clock starts anew after the last."""
        for flow in list(islice(self._flows.values(), most)):
            self._end(flow, EndReason.CAPTURE_END)
        if not self._flows:
            self._clock_ns = None

    def _open(self, key: Key, packet: Packet) -> Flow:
        if len(self._flows) >= max(1, self._run.limits.flows):
            self._evict()
        self._run.counters["flows"] += 1
        flow = Flow(self._run, self._run.counters["flows"], key, packet)
        flow.touched_ns = flow.listed_ns = self._clock_ns or 0
        self._flows[key] = flow
        self._lists[flow.standing][flow.flow_id] = flow
        return flow

    def _evict(self) -> None:
        """Make room for one flow."""
        for chance in range(SECOND_CHANCES + 1):
            flow = next(next(iter(flows.values())) for flows in self._lists if flows)
            active = flow.touched_ns - flow.listed_ns >= SWEEP_NS
            if not active or chance == SECOND_CHANCES:
                self._run.counters["flows_evicted"] += 1
                self._end(flow, EndReason.EVICTED)
                return
            self._relist(flow)

    def _touch(self, flow: Flow) -> None:
        """Note that a flow was active, and put it where it belongs by what is known of it now."""
        flow.touched_ns = self._clock_ns or 0
        if flow.current_standing() is not flow.standing:
            self._holders[flow.standing].pop(flow.flow_id, None)
            self._relist(flow)

    def _charge(self, flow: Flow) -> None:
        """Account for what a flow holds now. If all flows together hold too much, those end that have held something
        for longest, in the order in which a full table ends them."""
        held, holders = flow.state_bytes(), self._holders[flow.standing]
        self._run.state_bytes += held - flow.charged_bytes
        flow.charged_bytes = held
        if not held:
            holders.pop(flow.flow_id, None)
        elif flow.flow_id not in holders:
            holders[flow.flow_id] = flow, flow.touched_ns
        while self._run.state_bytes > self._run.limits.state_bytes_total:
            self._evict_holder()

    def _evict_holder(self) -> None:
        for chance in range(SECOND_CHANCES + 1):
            flow, listed_ns = next(next(iter(holders.values())) for holders in self._holders if holders)
            if flow.touched_ns - listed_ns < SWEEP_NS or chance == SECOND_CHANCES:
                self._run.counters["flows_evicted"] += 1
                self._end(flow, EndReason.EVICTED)
                return
            holders = self._holders[flow.standing]
            del holders[flow.flow_id]
            holders[flow.flow_id] = flow, self._clock_ns or 0

    def _relist(self, flow: Flow) -> None:
        """Move a flow to the end of its list."""
        del self._lists[flow.standing][flow.flow_id]
        flow.listed_ns = self._clock_ns or 0
        flow.standing = flow.current_standing()
        self._lists[flow.standing][flow.flow_id] = flow

    def _end(self, flow: Flow, reason: EndReason) -> None:
        del self._flows[flow.key]
        del self._lists[flow.standing][flow.flow_id]
        self._holders[flow.standing].pop(flow.flow_id, None)
        self._run.state_bytes -= flow.charged_bytes
        flow.end(reason)
