"""What EVE tells of flows, event by event, as what the rest of hbids reads: frames for the engine, and rows of
facts."""

from __future__ import annotations

from collections import Counter, OrderedDict
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from hbids.eve.blindness import Blindness
from hbids.eve.bulk import FLOW_LINE, HEAD, Fields, flow_rows
from hbids.eve.conversation import Conversation, Frame
from hbids.eve.flows import MOST_COUNT, MOST_PORT, TCP, FlowKey, counts_of, key_by_way, key_of, vlan_of, way_of
from hbids.eve.hearsay import ASKED, EVENTS, LEAKED, answer_row, request_row
from hbids.eve.hello import session_of
from hbids.eve.rows import flow_row, session_row
from hbids.eve.segment import find_segment
from hbids.eve.slice import Slice
from hbids.eve.told import Told, key_of_row
from hbids.eve.values import address_of, bytes_of, number_of, object_of, text_of, time_ns_of
from hbids.eve.values import time_ns as parse_time
from hbids.facts import (
    Direction,
    EndReason,
    Facts,
)
from hbids.measures import unasked_bytes_estimated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hbids.config import Eve
    from hbids.facts import Rows

__all__ = ["Witness"]

_OUR_SIDS = range(1_016_900, 1_017_000)
_OUR_OVERFLOW, _OUR_MISMATCH = 1016910, 1016912
_OWN_FLOW_IDS = 1 << 62
"""Flows that never go through an engine are numbered from here, so that nothing is joined that does not belong."""
_RECORD_HEADER = b"\x18\x03\x03"
_END_REASONS = {"timeout": EndReason.TIMEOUT, "tcp_reuse": EndReason.REUSED}
_CONCERNS_HEARTBEATS = tuple(
    [before + b"15" + behind for before in (b"-", b",") for behind in (b"-", b",", b'"')] + [b'"exts"']
)
"""In JA3's text, or the lists of Suricata 8: perhaps the extension. Plain words are found faster than a pattern."""
_SECOND_NS = 1_000_000_000
_SECONDS_DIGITS = len("2026-11-23T17:50:59")
_MOST_LATE_S = 60
"""Threads of Suricata are behind each other; what is older than that is another log."""
_MOST_SLICE_BYTES = 1 << 22
"""Of the frames of one second; what is more is told in pieces."""
_LINK_TYPE_ETHERNET = 1
_TICK = bytes(12) + b"\x88\xb5"
"""A frame of an ethertype for experiments (IEEE 802), which only tells the engine the time."""


class Witness:
    """Takes events, gives frames and rows. Bounded by ``limits``; whatever is not used is counted."""

    def __init__(self, limits: Eve) -> None:
        self._limits = limits
        self.counters: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        """Packets, bytes and flows, of the flow events that were read."""
        self.kinds: Counter[str] = Counter()
        """Events that were read, by type; see :func:`~hbids.eve.silence.silence`."""
        self.now_ns = 0
        """Of the latest event."""
        self._conversations: OrderedDict[int, Conversation] = OrderedDict()
        """By Suricata's flow_id."""
        self._waiting: OrderedDict[int, int] = OrderedDict()
        """Those of them that hold something back, in the order in which they began to; how many events were read
        then."""
        self._events = 0
        self._held_bytes = 0
        self._sessions: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        """``tls`` events of flows that have not shown a heartbeat, for a while: since when, and the line."""
        self._others: set[int] = set()
        """Flows of conversations that are not TLS by Suricata's word."""
        self._flow_lines: list[Fields] = []
        self.tells_all = False
        """Rows of all sessions are wanted, not only of those that heartbeats concern."""
        self.told = Told(2 * limits.flows)
        self.blindness = Blindness()
        self.place: Any = (0, [])
        """Where reading stood before the events that are taken now: from there on all must be read again to know what
        is known of the flows they speak of."""
        self._since: dict[FlowKey | int, Any] = {}
        """Where the flows began of which something is still to come; those that only wait, by flow_id."""
        self.ended: dict[int, int] = {}
        """Flows with heartbeats of which all is said, by Suricata's flow_id; how far reading was then."""
        self.ignored: set[int] = set()
        """Flows of which an earlier run has said all, though it did not say how far it had read."""
        self._frames: list[Frame] = []
        self._heartbeat_rows: list[Rows] = []
        self._session_rows: list[Rows] = []
        self._done: list[FlowKey | int] = []
        """Flows of which all is said."""
        self._slices: list[Slice] = []
        """Of seconds that are over."""
        self._second = self._slice_bytes = 0
        self._flow_rows: list[Rows] = []
        self._next_flow_id = _OWN_FLOW_IDS
        self._moment = b""
        self._first_ns: int | None = None
        self._readers: dict[str, Callable[[Mapping[str, Any], int], None]] = {
            "alert": self._read_alert,
            "packet": self._read_packet,
            "frame": self._read_frame,
            "tls": self._read_tls,
            "flow": self._read_flow,
            "netflow": self._read_netflow,
            "anomaly": self._read_anomaly,
            "stats": self._read_stats,
        }

    # --- in ---

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event, whatever it holds."""
        reader = self._readers.get(text_of(event, "event_type"))
        time_ns = time_ns_of(event, "timestamp")
        if reader is None or time_ns is None:
            self.counters["eve_events_ignored"] += 1
            return
        if self.ignored and self._is_ignored(event):
            return
        self._events += 1
        self.kinds[text_of(event, "event_type")] += 1
        if text_of(event, "event_type") != "stats":  # which have the clock on the wall, also over old captures
            self._see_time(time_ns)
        reader(event, time_ns)

    def _is_ignored(self, event: Mapping[str, Any]) -> bool:
        flow_id = number_of(event, "flow_id")
        if flow_id not in self.ignored:
            return False
        if text_of(event, "event_type") == "flow":
            self.ignored.discard(flow_id)
        return True

    def _see(self, moment: bytes) -> None:
        if moment[:_SECONDS_DIGITS] != self._moment:
            self._moment = moment[:_SECONDS_DIGITS]
            time_ns = parse_time(moment.decode())
            if time_ns is not None:
                self._see_time(time_ns)

    def _see_time(self, time_ns: int) -> None:
        self._first_ns = time_ns if self._first_ns is None else min(self._first_ns, time_ns)
        second = time_ns // _SECOND_NS
        if not 0 <= self._second - second <= _MOST_LATE_S or self._slice_bytes > _MOST_SLICE_BYTES:
            self._let_go()
            self._close_slice()
            self._second = second
        self.now_ns = max(self.now_ns, time_ns)

    def _emit(self, frames: Iterable[Frame]) -> None:
        before = len(self._frames)
        self._frames += frames
        self._slice_bytes += sum(len(frame.data) for frame in self._frames[before:])

    def _close_slice(self) -> None:
        """What was learnt in a second belongs together, however many lines are read at once: so the order in which
        things are told depends on the events alone."""
        if self._frames or self._since:
            self._frames.append(Frame(self.now_ns, _LINK_TYPE_ETHERNET, len(_TICK), _TICK))
        if self._frames or self._heartbeat_rows or self._session_rows or self._done:
            self._slices.append(Slice(self._frames, self._heartbeat_rows, self._session_rows, self._done))
            self._frames, self._heartbeat_rows, self._session_rows, self._done = [], [], [], []
            self._slice_bytes = 0

    @property
    def seconds(self) -> float:
        """From the first to the last event."""
        return 0.0 if self._first_ns is None else (self.now_ns - self._first_ns) / 1e9

    def take_tls(self, line: bytes) -> bool:
        """Take a line that is a ``tls`` event, if it looks as Suricata writes it."""
        head = HEAD.match(line)
        if head is None:
            return False
        flow_id = int(head[2])
        if flow_id in self._conversations or flow_id in self.ignored:
            return False
        self._see(head[1])
        self._events += 1
        self.kinds["tls"] += 1
        self._sessions[flow_id] = self.now_ns, line
        self._since.setdefault(flow_id, self.place)
        if len(self._sessions) > self._limits.sessions:
            self._tell_session(next(iter(self._sessions)))
        return True

    def take_flow(self, line: bytes) -> bool:
        """Take a line that is a ``flow`` event of TLS, likewise."""
        found = FLOW_LINE.match(line)
        if found is None:
            return False
        flow_id = int(found[2])
        if flow_id in self._conversations or flow_id in self.ignored:
            return False
        self._see(found[1])
        self._events += 1
        self.kinds["flow"] += 1
        self._tell_session(flow_id)
        self._flow_lines.append(found.groups())
        return True

    @property
    def knows_other_flows(self) -> bool:
        """Of some that have shown a heartbeat Suricata does not say that they are TLS."""
        return bool(self._others)

    def knows(self, flow_id: int) -> bool:
        """Whether more about this flow matters."""
        return flow_id in self._conversations or flow_id in self._sessions

    # --- out ---

    def slices(self) -> list[Slice]:
        """What there is by now, of seconds that are over; whoever takes it judges it before saying where reading
        stands."""
        slices, self._slices = self._slices, []
        for each in slices:
            for key in each.done:
                self._end(key)
        return slices

    def _end(self, key: FlowKey | int) -> None:
        """All is said of a flow."""
        self._since.pop(key, None)
        told = self.told.of(key) if isinstance(key, FlowKey) else None
        if told is not None:
            self.ended[told.flow_id] = self.place[0]

    def flows(self) -> Rows:
        """Flows without heartbeats that have ended."""
        flows, self._flow_rows = self._flow_rows, []
        lines, self._flow_lines = self._flow_lines, []
        if lines:
            flows.append(flow_rows(lines, self._next_flow_id))
            self._next_flow_id += len(lines)
            self._add_totals(flows[-1])
        return np.concatenate(flows) if flows else Facts.empty().flows

    def oldest_place(self) -> Any:
        """Where reading must begin again, so that nothing is lost that is known of flows now; None: where it is."""
        return min(self._since.values(), key=itemgetter(0), default=None)

    def forget_places(self, before: int) -> None:
        """It is not worth to read again what was read so early."""
        self._since = {key: place for key, place in self._since.items() if place[0] >= before}

    def corrected(self, facts: Facts) -> Facts:
        """Facts of the engine with what EVE knows better."""
        for row in facts.flows:
            if row["end_reason"] != EndReason.CHECKPOINT:
                key = key_of_row(row)
                told = self.told.of(key)
                if told is None or row["end_time_ns"] >= told.first.start_ns:  # else of one before it
                    self._end(key)
        return self.told.correct(facts)

    def release(self) -> None:
        """There are no more events, or none for a while: nothing is held back any longer."""
        for flow_id in list(self._waiting):
            self._play(flow_id)
        while self._sessions:
            self._tell_session(next(iter(self._sessions)))
        self._close_slice()

    # --- events ---

    def _read_alert(self, event: Mapping[str, Any], time_ns: int) -> None:
        packet, payload = bytes_of(event, "packet"), bytes_of(event, "payload")
        sid = number_of(object_of(event, "alert"), "signature_id") or 0
        if sid not in _OUR_SIDS and sid not in EVENTS:
            return  # of something else, or of nobody knows what
        self.kinds["heartbeat alerts"] += 1
        self.kinds["with packet"] += bool(packet)
        found = self._conversation(event, time_ns)
        if found is None:
            return
        flow_id, conversation = found
        conversation.said_overflow |= sid == _OUR_OVERFLOW or sid in ASKED
        conversation.said_leak |= sid == _OUR_MISMATCH or sid in LEAKED
        conversation.word(text_of(event, "app_proto"))
        if text_of(event, "app_proto") == "tls":
            self._others.discard(flow_id)
        frame = self._frame(event, packet, time_ns)
        way = way_of(event) or self._way(event, conversation)
        before = conversation.held_bytes
        if frame is not None and not text_of(event, "pkt_src").startswith("stream"):  # those Suricata made itself
            self._emit(conversation.packet(frame, way))
        if payload and event.get("stream") == 1:
            near = find_segment(frame.link_type, packet) if frame is not None else None
            self._emit(conversation.stream(payload, way, time_ns, near))
        if not (packet or payload):
            self._read_record(event, conversation, time_ns)
        self._held_bytes += conversation.held_bytes - before
        self._hold(flow_id, conversation)

    def _read_packet(self, event: Mapping[str, Any], time_ns: int) -> None:
        frame = self._frame(event, bytes_of(event, "packet"), time_ns)
        found = self._conversation(event, time_ns) if frame is not None else None
        if frame is None or found is None:
            self.counters["eve_events_useless"] += 1
            return
        flow_id, conversation = found
        before = conversation.held_bytes
        self._emit(conversation.packet(frame, self._way(event, conversation)))
        self._held_bytes += conversation.held_bytes - before
        self._hold(flow_id, conversation)

    def _read_frame(self, event: Mapping[str, Any], time_ns: int) -> None:
        if text_of(object_of(event, "frame"), "type") != "heartbeat":
            return
        found = self._conversation(event, time_ns)
        if found is not None:
            self._read_record(event, found[1], time_ns)

    def _read_record(self, event: Mapping[str, Any], conversation: Conversation, time_ns: int) -> None:
        frame = object_of(event, "frame")
        way = way_of(frame)
        offset, length = number_of(frame, "stream_offset", MOST_COUNT), number_of(frame, "length", MOST_PORT)
        if way is None or offset is None or length is None or text_of(frame, "type") != "heartbeat":
            return
        body = bytes_of(frame, "payload")[:length]
        data = _RECORD_HEADER + length.to_bytes(2) + body + bytes(length - len(body))
        self._emit(conversation.record(offset, data, way, time_ns))

    def _read_tls(self, event: Mapping[str, Any], time_ns: int) -> None:
        flow_id, key = number_of(event, "flow_id"), key_of(event)
        if flow_id is None or key is None:
            self.counters["eve_events_useless"] += 1
            return
        conversation = self._conversations.get(flow_id)
        if conversation is not None and not conversation.playing:
            conversation.tls = session_of(object_of(event, "tls"), time_ns)
            conversation.word("tls")
        elif conversation is None or Direction.TO_SERVER not in conversation.hellos_seen:
            self._tell_tls(event, time_ns)

    def _tell_tls(self, event: Mapping[str, Any], time_ns: int) -> None:
        """Of a flow without heartbeats so far."""
        key = key_of(event)
        if key is not None:
            session = session_of(object_of(event, "tls"), time_ns)
            self._session_rows.append(session_row(key, vlan_of(event), self._own_flow_id(), session))

    def _read_flow(self, event: Mapping[str, Any], time_ns: int) -> None:
        flow, key, flow_id = object_of(event, "flow"), key_of(event), number_of(event, "flow_id")
        if key is None or flow_id is None:
            self.counters["eve_events_useless"] += 1
            return
        counts = counts_of(flow, time_ns)
        end_ns = max(counts.start_ns, time_ns_of(flow, "end") or time_ns)
        self.totals["flows"] += 1
        self.totals["packets"] += counts.packets_to_server + counts.packets_to_client
        self.totals["bytes"] += counts.bytes_to_server + counts.bytes_to_client
        self._others.discard(flow_id)
        conversation = self._conversations.pop(flow_id, None)
        if conversation is not None:
            conversation.word(text_of(event, "app_proto"))
            self.told.note(key, counts, event, flow_id, conversation)
            self._release(flow_id, conversation)
            self._emit(conversation.end(end_ns))
            self._tell_hearsay(key, event, conversation, end_ns)
            if key.protocol != TCP or not conversation.is_tls:  # else when the engine has said its last of it
                self._done.append(key)
        elif text_of(event, "app_proto") == "tls":
            self._tell_session(flow_id)
            reason = _END_REASONS.get(text_of(flow, "reason"), EndReason.CAPTURE_END)
            if text_of(flow, "state") == "closed":
                reason = EndReason.RST if object_of(event, "tcp").get("rst") is True else EndReason.FIN
            self._flow_rows.append(flow_row(key, vlan_of(event), self._own_flow_id(), counts, end_ns, reason))

    def _read_netflow(self, event: Mapping[str, Any], time_ns: int) -> None:
        """One for each direction, which flow events have together."""

    def _read_anomaly(self, event: Mapping[str, Any], time_ns: int) -> None:
        self.counters["eve_anomalies"] += 1

    def _read_stats(self, event: Mapping[str, Any], time_ns: int) -> None:
        self.blindness.read(object_of(event, "stats"))

    # --- conversations ---

    def _conversation(self, event: Mapping[str, Any], time_ns: int) -> tuple[int, Conversation] | None:
        flow_id = number_of(event, "flow_id")
        if flow_id is None:
            self.counters["eve_events_useless"] += 1
            return None
        flow = object_of(event, "flow")
        conversation = self._conversations.get(flow_id)
        if conversation is None:
            waiting = self._sessions.pop(flow_id, None)
            tls = self._parsed(waiting[1]) if waiting else {}
            place = self._since.pop(flow_id, self.place)
            key = key_of(tls) or key_of(flow, event) or key_by_way(event)
            if key is None:
                self.counters["eve_events_useless"] += 1
                return None
            session = session_of(object_of(tls, "tls"), time_ns_of(tls, "timestamp") or waiting[0]) if waiting else None
            conversation = Conversation(*key, start_ns=time_ns, tls=session)
            conversation.word("tls" if session else "")
            self._make_room()
            if session is None:
                self._others.add(flow_id)
            self._since.setdefault(key, place)
            self._conversations[flow_id] = conversation
            self.told.note(key, counts_of(flow, time_ns), event, flow_id, conversation)
        self._conversations.move_to_end(flow_id)
        if flow:
            key = FlowKey(conversation.client, conversation.server, conversation.protocol)
            self.told.note(key, counts_of(flow, time_ns), event, flow_id, conversation)
        return flow_id, conversation

    def _make_room(self) -> None:
        if len(self._conversations) >= self._limits.flows:
            flow_id, oldest = self._conversations.popitem(last=False)
            self._others.discard(flow_id)
            self.counters["eve_flows_evicted"] += 1
            self._release(flow_id, oldest)
            self._emit(oldest.end(self.now_ns))

    def _hold(self, flow_id: int, conversation: Conversation) -> None:
        if conversation.playing:
            return
        self._waiting.setdefault(flow_id, self._events)
        if conversation.has_streams or conversation.held_bytes > self._limits.held_bytes:
            self._play(flow_id)
        while self._held_bytes > self._limits.held_bytes_total and self._waiting:
            self.counters["eve_flows_hurried"] += 1
            self._play(next(iter(self._waiting)))

    def _let_go(self) -> None:
        """Of what has waited long enough, also for threads of Suricata that lag behind others."""
        while self._waiting:
            flow_id, events = next(iter(self._waiting.items()))
            waited_ns = self.now_ns - (self._conversations[flow_id].first_held_ns or 0)
            if waited_ns < self._limits.hold_ns or self._events - events < self._limits.hold_events:
                break
            self._play(flow_id)
        while self._sessions:
            flow_id = next(iter(self._sessions))
            if self.now_ns - self._sessions[flow_id][0] < self._limits.session_wait_ns:
                break
            self._tell_session(flow_id)

    def _play(self, flow_id: int) -> None:
        self._release(flow_id, self._conversations[flow_id])

    def _release(self, flow_id: int, conversation: Conversation) -> None:
        self._held_bytes -= conversation.held_bytes
        self._waiting.pop(flow_id, None)
        self._emit(conversation.play(self.now_ns))
        if conversation.tls is not None and not conversation.hellos_seen:
            key = FlowKey(conversation.client, conversation.server, conversation.protocol)
            vlan = self.told.vlan(key)
            self._session_rows.append(session_row(key, vlan, self._own_flow_id(), conversation.tls))

    def _tell_hearsay(self, key: FlowKey, event: Mapping[str, Any], conversation: Conversation, end_ns: int) -> None:
        """Of a flow that is over, and of which nothing was shown."""
        told = self.told.of(key)
        if conversation.evidence != "eve-flow" or key.protocol != TCP or told is None:
            return
        flow_id, vlan, tls = self._own_flow_id(), vlan_of(event), conversation.tls
        asked_ns = max(told.first.start_ns, min(conversation.start_ns, end_ns))
        if conversation.said_overflow:
            self._heartbeat_rows.append(request_row(key, vlan, flow_id, told.first, tls, asked_ns))
        if conversation.said_overflow or conversation.said_leak:
            counts, times_ns = (told.first, told.latest), (asked_ns, max(asked_ns, end_ns))
            row = answer_row(key, vlan, flow_id, counts, tls, times_ns)
            if unasked_bytes_estimated(row)[0]:
                self._heartbeat_rows.append(row)
        self._next_flow_id += 1  # for the answer's number

    def _tell_session(self, flow_id: int) -> None:
        found = self._sessions.pop(flow_id, None)
        if found is None:
            return
        self._done.append(flow_id)
        time_ns, line = found
        if self.tells_all or any(word in line for word in _CONCERNS_HEARTBEATS):
            event = self._parsed(line)
            self._tell_tls(event, time_ns_of(event, "timestamp") or time_ns)
        else:
            self.totals["tls_sessions"] += 1

    def _parsed(self, line: bytes) -> Mapping[str, Any]:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.counters["eve_lines_broken"] += 1
            return {}
        return event if isinstance(event, dict) else {}

    def _add_totals(self, flows: Rows) -> None:
        self.totals["flows"] += len(flows)
        for what in ("packets", "bytes"):
            self.totals[what] += int(flows[f"{what}_to_server"].sum() + flows[f"{what}_to_client"].sum())

    def _own_flow_id(self) -> int:
        self._next_flow_id += 1
        return self._next_flow_id

    def _way(self, event: Mapping[str, Any], conversation: Conversation) -> Direction:
        return conversation.way_of((address_of(event, "src_ip"), number_of(event, "src_port", MOST_PORT) or 0))

    def _frame(self, event: Mapping[str, Any], packet: bytes, time_ns: int) -> Frame | None:
        if not packet:
            return None
        link_type = number_of(object_of(event, "packet_info"), "linktype", 0xFFFF)
        number = number_of(event, "pcap_cnt", MOST_COUNT) or 0
        return Frame(time_ns, _LINK_TYPE_ETHERNET if link_type is None else link_type, len(packet), packet, number)
