"""The flows that have shown a heartbeat and go on: which there are, whoever tells of them, and how long their packets
are held back."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from hbids.eve import hearsay, sizes
from hbids.eve.conversation import Conversation
from hbids.eve.flows import TCP, counts_of, key_by_way, key_of
from hbids.eve.rows import session_row
from hbids.eve.segment import LINK_TYPE_ETHERNET, find_segment
from hbids.eve.tellers import ends_of
from hbids.eve.values import bytes_of, number_of, object_of, text_of, time_ns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hbids.config import Eve
    from hbids.eve.flows import FlowKey
    from hbids.eve.pieces import Frame
    from hbids.eve.progress import Progress
    from hbids.eve.quiet import OwnFlowIds, QuietFlows
    from hbids.eve.seconds import Seconds
    from hbids.eve.tellers import Ends
    from hbids.eve.told import Told

__all__ = ["Conversations"]

_FAR_BYTES = 1 << 24
"""What a flow may go on by while nobody tells of it, as a restart takes; one in 256 flows begins so near to another."""
_SKEW_NS = 100_000_000
"""Between the clocks of two sensors, at most."""


class Conversations:
    """Conversations by what names their flows to everybody, and by the flow_ids of those who tell of them; in bounded
    number and with bounded bytes. That of which nothing was said for longest goes first."""

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
        self.joined = 0
        """How often a flow went on, or was told of beside, under another flow_id."""
        self._open: OrderedDict[Conversation, None] = OrderedDict()
        self._over: OrderedDict[Conversation, None] = OrderedDict()
        """The latest of those that have ended: another sensor may still tell of them."""
        self._by_flow_id: dict[int, Conversation] = {}
        """Of both."""
        self._by_ends: dict[Ends, Conversation] = {}
        """The latest between these endpoints, of both."""
        self._waiting: OrderedDict[Conversation, int] = OrderedDict()
        """Those that hold something back, in the order in which they began to; how many events were read then."""
        self._lingering: OrderedDict[Conversation, int | None] = OrderedDict()
        """Those that are over for some who tell of them, but may go on; when the first event after that came."""
        self._held_bytes = 0

    # --- who is meant ---

    def __contains__(self, flow_id: int) -> bool:
        return flow_id in self._by_flow_id

    def known(self, flow_id: int, key: FlowKey | None) -> Conversation | None:
        """That of a flow_id, unless another run has given it to a flow with other endpoints."""
        conversation = self._by_flow_id.get(flow_id)
        if conversation is None or key is None or ends_of(key) == conversation.ends:
            return conversation
        self._counters["eve_flow_ids_reused"] += 1
        self._forget_flow_ids(conversation, (flow_id,))
        return None

    def of(self, event: Mapping[str, Any], time_ns: int) -> Conversation | None:
        """That of an event of a heartbeat, which may be the first; None where it cannot be told of, or was told."""
        flow_id = number_of(event, "flow_id")
        if flow_id is None:
            self._counters["eve_events_useless"] += 1
            return None
        flow = object_of(event, "flow")
        conversation = self.known(flow_id, key_of(event))
        if conversation is None:
            conversation = self._joined(flow_id, event, time_ns) or self._begun(flow_id, event, time_ns)
            if conversation is None:
                self._counters["eve_events_useless"] += 1
                return None
            self.note(flow_id, conversation, event, time_ns)
        if conversation.is_over:
            self._counters["eve_events_seen_twice"] += 1
            return None
        conversation.tellers.latest_ns = max(conversation.tellers.latest_ns, time_ns)
        self._open.move_to_end(conversation)
        if flow:
            self.note(flow_id, conversation, event, time_ns)
        return conversation

    def note(self, flow_id: int, conversation: Conversation, event: Mapping[str, Any], time_ns: int) -> None:
        """An event says how much has gone each way."""
        if not conversation.is_over:
            counts = conversation.tellers.note(flow_id, counts_of(object_of(event, "flow"), time_ns))
            key = key_of(event) if text_of(event, "event_type") == "flow" else None
            self._told.note(key or conversation.key, counts, event, flow_id, conversation)

    def _joined(self, flow_id: int, event: Mapping[str, Any], time_ns: int) -> Conversation | None:
        """That of which another has told so far."""
        key = key_of(event)
        conversation = self._by_ends.get(ends_of(key)) if key is not None else None
        if conversation is None or not self._is_the_same(conversation, event, time_ns):
            return None
        self._name(flow_id, conversation)
        if not conversation.is_over:
            self._join(flow_id, conversation, event, time_ns)
        return conversation

    def _join(self, flow_id: int, conversation: Conversation, event: Mapping[str, Any], time_ns: int) -> None:
        tellers = conversation.tellers
        began_ns = time_ns if tellers.are_over else min(time_ns, tellers.latest_ns)
        gone = tellers.begin(flow_id, time_ns_of(object_of(event, "flow"), "start") or began_ns)
        self._forget_flow_ids(conversation, gone)
        self._lingering.pop(conversation, None)
        self.joined += 1

    def _is_the_same(self, conversation: Conversation, event: Mapping[str, Any], time_ns: int) -> bool:
        """An event under another flow_id speaks of the flow of a conversation: it began before that was last heard of.
        What began later goes on where the last packet was, or is another flow between the same ports."""
        latest_ns = conversation.tellers.latest_ns
        start_ns = time_ns_of(object_of(event, "flow"), "start")
        if (start_ns or time_ns) <= latest_ns:
            return True
        link_type = number_of(object_of(event, "packet_info"), "linktype", 0xFFFF)
        segment = find_segment(LINK_TYPE_ETHERNET if link_type is None else link_type, bytes_of(event, "packet"))
        ahead_bytes = conversation.bytes_ahead(segment) if segment is not None else None
        if conversation.is_over:
            is_repeated = ahead_bytes is not None and -_FAR_BYTES < ahead_bytes <= 0
            return is_repeated and time_ns - latest_ns < _SKEW_NS
        if ahead_bytes is not None:
            return 0 <= ahead_bytes < _FAR_BYTES
        return start_ns is None or conversation.protocol != TCP or conversation in self._lingering

    def _begun(self, flow_id: int, event: Mapping[str, Any], time_ns: int) -> Conversation | None:
        woken, told_from = self._quiet.wake(flow_id), self._progress.forget(flow_id)
        key, session, place = woken or (key_of(object_of(event, "flow"), event) or key_by_way(event), None, told_from)
        if key is None:
            return None
        conversation = Conversation(*key, start_ns=time_ns, tls=session)
        conversation.tellers.begin(flow_id, time_ns)
        conversation.word("tls" if session else "")
        if len(self._open) >= self._limits.flows:
            self._counters["eve_flows_evicted"] += 1
            self._end(next(iter(self._open)))
        self._progress.begin(key, place)
        self._open[conversation] = None
        self._by_ends[conversation.ends] = conversation
        self._name(flow_id, conversation)
        return conversation

    def _name(self, flow_id: int, conversation: Conversation) -> None:
        self._quiet.leave(flow_id)
        self._by_flow_id[flow_id] = conversation

    # --- what is said ---

    def hear(self, conversation: Conversation, frames: Iterable[Frame]) -> None:
        """What a conversation makes of an event: frames for the engine, unless it holds back what they come of."""
        before = conversation.held_bytes
        self._seconds.emit(frames)
        self._held_bytes += conversation.held_bytes - before
        if not conversation.playing:
            self._hold(conversation)

    def hear_end(self, flow_id: int, conversation: Conversation, event: Mapping[str, Any], time_ns: int) -> None:
        """A ``flow`` event. Suricata ends with all its flows, and the next run may see them go on; a sensor may lose a
        flow that another one still sees."""
        if conversation.is_over:
            self._counters["eve_events_seen_twice"] += 1
            return
        flow, key = object_of(event, "flow"), key_of(event)
        if key is not None and key != conversation.key and conversation.evidence == "eve-flow":
            place = self._progress.forget(conversation.key)
            conversation.client, conversation.server = key.client, key.server
            self._progress.begin(key, place)
        self.note(flow_id, conversation, event, time_ns)
        end_ns = max(conversation.tellers.start_ns, time_ns_of(flow, "end") or time_ns)
        conversation.tellers.latest_ns = max(conversation.tellers.latest_ns, end_ns)
        conversation.tellers.end(flow_id)
        is_interrupted = text_of(flow, "reason") == "shutdown" and text_of(flow, "state") != "closed"
        if conversation.tellers.are_over and not is_interrupted:
            self._end(conversation)
            return
        if conversation.tellers.are_over:
            self._tell_estimates(conversation)
        self._lingering.setdefault(conversation, None)

    # --- what is held back ---

    def let_go(self, next_ns: int) -> None:
        """Of what has waited long enough, also for threads of Suricata that lag behind others; before an event of
        another second."""
        now_ns = self._seconds.now_ns
        while self._waiting:
            conversation, events = next(iter(self._waiting.items()))
            waited_ns = now_ns - (conversation.first_held_ns or 0)
            if waited_ns < self._limits.hold_ns or self.events - events < self._limits.hold_events:
                break
            self._play(conversation)
        for conversation, since_ns in list(self._lingering.items()):
            if since_ns is None:
                self._lingering[conversation] = next_ns
            elif now_ns - since_ns >= self._limits.rejoin_ns:
                self._end(conversation)

    def release(self) -> None:
        """Hold nothing back, and wait for nobody."""
        for conversation in list(self._waiting):
            self._play(conversation)
        for conversation in list(self._lingering):
            self._end(conversation)

    def _hold(self, conversation: Conversation) -> None:
        self._waiting.setdefault(conversation, self.events)
        if conversation.has_streams or conversation.held_bytes > self._limits.held_bytes:
            self._play(conversation)
        while self._held_bytes > self._limits.held_bytes_total and self._waiting:
            self._counters["eve_flows_hurried"] += 1
            self._play(next(iter(self._waiting)))

    def _play(self, conversation: Conversation) -> None:
        self._held_bytes -= conversation.held_bytes
        self._waiting.pop(conversation, None)
        self._seconds.emit(conversation.play(self._seconds.now_ns))
        if conversation.tls is not None and not conversation.hellos_seen and not conversation.session_told:
            conversation.session_told = True
            key = conversation.key
            row = session_row(key, self._told.vlan(key), self._own_flow_ids.take(), conversation.tls)
            self._seconds.learnt.sessions.append(row)

    # --- the end ---

    def _end(self, conversation: Conversation) -> None:
        """A flow is over, for all who tell of it."""
        del self._open[conversation]
        self._lingering.pop(conversation, None)
        self._quiet.count(conversation.tellers.counts())
        self._tell_estimates(conversation)
        self._seconds.emit(conversation.end(conversation.tellers.latest_ns))
        if conversation.protocol != TCP or not conversation.is_tls:  # else when the engine has said its last of it
            self._seconds.learnt.done.append(conversation.key)
        conversation.is_over = True
        self._over[conversation] = None
        if len(self._over) > self._limits.flows:
            self._forget(self._over.popitem(last=False)[0])

    def _tell_estimates(self, conversation: Conversation) -> None:
        """What nobody has shown of a flow by now, each part once."""
        self._play(conversation)
        told = self._told.of(conversation.key)
        if told is None or told.conversation is not conversation:
            return
        end_ns = conversation.tellers.latest_ns
        if conversation.evidence == "eve-flow":
            rows = hearsay.rows_of(told, self._own_flow_ids.take(2), end_ns)
            self._seconds.learnt.heartbeats.extend(rows)
        elif conversation.evidence == "eve-frame":
            self._seconds.emit(sizes.rest_of_answer(told, end_ns))
        conversation.forget_words(end_ns)

    def _forget(self, conversation: Conversation) -> None:
        self._forget_flow_ids(conversation, conversation.tellers.flow_ids)
        if self._by_ends.get(conversation.ends) is conversation:
            del self._by_ends[conversation.ends]

    def _forget_flow_ids(self, conversation: Conversation, flow_ids: Iterable[int]) -> None:
        for flow_id in flow_ids:
            if self._by_flow_id.get(flow_id) is conversation:
                self._quiet.join(flow_id)
                del self._by_flow_id[flow_id]
