"""The flows that have shown a heartbeat and go on: which there are, and how long their packets are held back."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from hbids.eve.conversation import Conversation
from hbids.eve.flows import counts_of, key_by_way, key_of
from hbids.eve.rows import session_row
from hbids.eve.values import number_of, object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hbids.config import Eve
    from hbids.eve.pieces import Frame
    from hbids.eve.progress import Progress
    from hbids.eve.quiet import OwnFlowIds, QuietFlows
    from hbids.eve.seconds import Seconds
    from hbids.eve.told import Told

__all__ = ["Conversations"]


class Conversations:
    """Conversations by Suricata's flow_id, in bounded number and with bounded bytes; that of which nothing was said for
    longest goes first."""

    def __init__(
        self,
        limits: Eve,
        seconds: Seconds,
        progress: Progress,
        told: Told,
        quiet: QuietFlows,
        own_flow_ids: OwnFlowIds,
        counters: Counter[str],
    ) -> None:
        self._limits = limits
        self._seconds = seconds
        self._progress = progress
        self._told = told
        self._quiet = quiet
        self._own_flow_ids = own_flow_ids
        self._counters = counters
        self.events = 0
        """That were read so far."""
        self._open: OrderedDict[int, Conversation] = OrderedDict()
        self._waiting: OrderedDict[int, int] = OrderedDict()
        """Those of them that hold something back, in the order in which they began to; how many events were read
        then."""
        self._held_bytes = 0

    def __contains__(self, flow_id: int) -> bool:
        return flow_id in self._open

    def get(self, flow_id: int) -> Conversation | None:
        """The conversation of a flow, if it has one."""
        return self._open.get(flow_id)

    def of(self, event: Mapping[str, Any], time_ns: int) -> tuple[int, Conversation] | None:
        """That of an event of a heartbeat, which may be the first."""
        flow_id = number_of(event, "flow_id")
        if flow_id is None:
            self._counters["eve_events_useless"] += 1
            return None
        flow = object_of(event, "flow")
        conversation = self._open.get(flow_id)
        if conversation is None:
            conversation = self._begin(flow_id, event, time_ns)
            if conversation is None:
                self._counters["eve_events_useless"] += 1
                return None
            self._told.note(conversation.key, counts_of(flow, time_ns), event, flow_id, conversation)
        self._open.move_to_end(flow_id)
        if flow:
            self._told.note(conversation.key, counts_of(flow, time_ns), event, flow_id, conversation)
        return flow_id, conversation

    def hear(self, flow_id: int, conversation: Conversation, frames: Iterable[Frame]) -> None:
        """What a conversation makes of an event: frames for the engine, unless it holds back what they come of."""
        before = conversation.held_bytes
        self._seconds.emit(frames)
        self._held_bytes += conversation.held_bytes - before
        if not conversation.playing:
            self._hold(flow_id, conversation)

    def end(self, flow_id: int) -> Conversation | None:
        """The flow is over; nothing is held back of it any longer."""
        conversation = self._open.pop(flow_id, None)
        if conversation is not None:
            self._quiet.join(flow_id)
            self._play(flow_id, conversation)
        return conversation

    def let_go(self) -> None:
        """Of what has waited long enough, also for threads of Suricata that lag behind others."""
        while self._waiting:
            flow_id, events = next(iter(self._waiting.items()))
            waited_ns = self._seconds.now_ns - (self._open[flow_id].first_held_ns or 0)
            if waited_ns < self._limits.hold_ns or self.events - events < self._limits.hold_events:
                break
            self._play(flow_id, self._open[flow_id])

    def release(self) -> None:
        """Hold nothing back."""
        for flow_id in list(self._waiting):
            self._play(flow_id, self._open[flow_id])

    # --- inside ---

    def _begin(self, flow_id: int, event: Mapping[str, Any], time_ns: int) -> Conversation | None:
        told_from = self._progress.forget(flow_id)
        woken = self._quiet.wake(flow_id)
        key, session, place = woken or (key_of(object_of(event, "flow"), event) or key_by_way(event), None, told_from)
        if key is None:
            return None
        conversation = Conversation(*key, start_ns=time_ns, tls=session)
        conversation.word("tls" if session else "")
        self._make_room()
        self._progress.begin(key, place)
        self._quiet.leave(flow_id)
        self._open[flow_id] = conversation
        return conversation

    def _make_room(self) -> None:
        if len(self._open) >= self._limits.flows:
            flow_id, oldest = self._open.popitem(last=False)
            self._quiet.join(flow_id)
            self._counters["eve_flows_evicted"] += 1
            self._play(flow_id, oldest)
            self._seconds.emit(oldest.end(self._seconds.now_ns))

    def _hold(self, flow_id: int, conversation: Conversation) -> None:
        self._waiting.setdefault(flow_id, self.events)
        if conversation.has_streams or conversation.held_bytes > self._limits.held_bytes:
            self._play(flow_id, conversation)
        while self._held_bytes > self._limits.held_bytes_total and self._waiting:
            self._counters["eve_flows_hurried"] += 1
            hurried = next(iter(self._waiting))
            self._play(hurried, self._open[hurried])

    def _play(self, flow_id: int, conversation: Conversation) -> None:
        self._held_bytes -= conversation.held_bytes
        self._waiting.pop(flow_id, None)
        self._seconds.emit(conversation.play(self._seconds.now_ns))
        if conversation.tls is not None and not conversation.hellos_seen and not conversation.session_told:
            conversation.session_told = True
            key = conversation.key
            row = session_row(key, self._told.vlan(key), self._own_flow_ids.take(), conversation.tls)
            self._seconds.learnt.sessions.append(row)
