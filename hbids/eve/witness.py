"""What EVE tells of flows, event by event, as what the rest of hbids reads: frames for the engine, and rows of
facts."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from hbids.eve import hearsay, sizes
from hbids.eve.anomalies import Anomalies, heartbeat_sid
from hbids.eve.blindness import Blindness
from hbids.eve.conversations import Conversations
from hbids.eve.flows import MOST_COUNT, MOST_PORT, FlowKey, counts_of, key_of, way_of
from hbids.eve.hello import session_of
from hbids.eve.netflow import OneWayFlows
from hbids.eve.pieces import Frame
from hbids.eve.progress import Progress
from hbids.eve.quiet import OwnFlowIds, QuietFlows
from hbids.eve.seconds import Seconds
from hbids.eve.segment import LINK_TYPE_ETHERNET, find_segment
from hbids.eve.sieve import Stop
from hbids.eve.told import Told, key_of_row
from hbids.eve.values import address_of, bytes_of, number_of, object_of, text_of, time_ns_of
from hbids.eve.values import time_ns as parse_time
from hbids.facts import Direction, EndReason, Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hbids.config import Eve
    from hbids.eve.conversation import Conversation
    from hbids.eve.slice import Slice
    from hbids.facts import Rows

__all__ = ["Witness"]

_OUR_SIDS = range(1_016_900, 1_017_000)
_HELLOS = (1016920, *range(1016930, 1016934))
"""Those of them that tell of hellos; the others tell of heartbeats."""
_OUR_OVERFLOW, _OUR_INVALID, _OUR_MISMATCH = 1016910, 1016911, 1016912
_TIME_AT = len('{"timestamp":"')
_TIME_END = _TIME_AT + len("2026-11-23T17:50:59.567938+0000")
"""Of lines that look as Suricata writes them."""


class Witness:
    """Takes events, gives frames and rows. Bounded by ``limits``; whatever is not used is counted."""

    def __init__(self, limits: Eve, engine: str, *, tells_all: bool = False) -> None:
        """``engine`` names the engine whose sieve is taken. ``tells_all``: rows of all sessions are wanted, not only of
        those that heartbeats concern."""
        self.counters: Counter[str] = Counter()
        self.told = Told(2 * limits.flows)
        self.blindness = Blindness()
        self.anomalies = Anomalies()
        self._one_way_flows = OneWayFlows(limits)
        self.progress = Progress()
        self.seconds = Seconds()
        own = OwnFlowIds()
        self.quiet = QuietFlows(limits, engine, self.seconds, self.progress, own, self.counters, tells_all=tells_all)
        self._own_flow_ids = own
        self._conversations = Conversations(
            limits, self.seconds, self.progress, self.told, self.quiet, own, self.counters
        )
        self._kinds: Counter[str] = Counter()
        self._events = 0
        """That were parsed."""
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

    @property
    def kinds(self) -> Counter[str]:
        """Events that were read, by type; see :func:`~hbids.eve.silence.silence`."""
        return self._kinds + Counter(self.quiet.events)

    # --- in ---

    def ignore(self, flow_ids: Iterable[int]) -> None:
        """An earlier run has said all of these flows."""
        self.progress.ignored = set(flow_ids)
        for flow_id in flow_ids:
            self.quiet.leave(flow_id)

    def read(self, lines: bytes, end: int) -> None:
        """Take whole lines, whatever they hold; those that end behind ``end`` are left out."""
        self.quiet.begin_block()
        at = 0
        while (found := self.quiet.sift(lines, at, end))[0] != Stop.END:
            stop, start, behind = found
            self._conversations.events = self._events + sum(self.quiet.events.values())
            if stop == Stop.SECOND:
                at = start
                self._see(parse_time(lines[start + _TIME_AT : start + _TIME_END].decode()) or 0)
            else:
                at = behind
                self._take_line(lines[start:behind])

    def _take_line(self, line: bytes) -> None:
        """Whatever stands before its first brace is left out."""
        try:
            event = orjson.loads(line[max(0, line.find(b"{")) :])
        except orjson.JSONDecodeError:
            event = None
        if isinstance(event, dict):
            self.take(event)
        else:
            self.counters["eve_lines_broken"] += 1

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event, whatever it holds."""
        kind = text_of(event, "event_type")
        reader = self._readers.get(kind)
        time_ns = time_ns_of(event, "timestamp")
        if reader is None or time_ns is None:
            self.counters["eve_events_ignored"] += 1
            return
        if self.progress.ignored and self.progress.is_over(event):
            if kind == "flow":
                self.quiet.join(event["flow_id"])
            return
        self._kinds[kind] += 1
        self._events += 1
        self._conversations.events += 1
        if kind != "stats":  # which have the clock on the wall, also over old captures
            self._see(time_ns)
        reader(event, time_ns)

    @property
    def joined(self) -> int:
        """How often a flow went on, or was told of beside, under another flow_id."""
        return self._conversations.joined

    def _see(self, time_ns: int) -> None:
        if self.seconds.strikes(time_ns):
            self._read_one_way_flows(time_ns)
            self._conversations.let_go(time_ns)
            self.quiet.let_go()
            self.seconds.close(tick=bool(self.progress))
        self.seconds.see(time_ns)

    # --- out ---

    def slices(self) -> list[Slice]:
        """What there is by now, of seconds that are over; whoever takes it judges it before saying where reading
        stands."""
        slices = self.seconds.slices()
        for each in slices:
            for key in each.done:
                self._end(key)
        return slices

    def corrected(self, facts: Facts) -> Facts:
        """Facts of the engine with what EVE knows better."""
        for row in facts.flows:
            if row["end_reason"] != EndReason.CHECKPOINT:
                key = key_of_row(row)
                told = self.told.of(key)
                if told is None or row["end_time_ns"] >= told.first.start_ns:  # else of one before it
                    self._end(key)
        return self.told.correct(facts)

    def flows(self) -> Rows:
        """Flows without heartbeats that have ended."""
        return self.quiet.flows()

    def release(self, silent_ns: int = 0) -> None:
        """There are no more events, or none for so long: nothing is held back any longer, and flows that were closed
        before are over."""
        self._read_one_way_flows()
        self._conversations.release()
        self.quiet.release()
        self.seconds.close(tick=bool(self.progress), silent_ns=silent_ns)

    def oldest_place(self, start: int) -> Any:
        """Where reading must begin again, so that nothing is lost that is known of flows now, but for what was read
        before ``start``; None: where it is."""
        self.progress.forget_places(start)
        places = (self.progress.oldest_place(), self.quiet.oldest_place(start))
        return min((place for place in places if place is not None), key=itemgetter(0), default=None)

    def _end(self, key: FlowKey | int) -> None:
        """All is said of a flow."""
        self.progress.forget(key)
        told = self.told.of(key) if isinstance(key, FlowKey) else None
        if told is not None:
            for flow_id in told.conversation.tellers.flow_ids:
                self.progress.end(flow_id)

    # --- events ---

    def _read_alert(self, event: Mapping[str, Any], time_ns: int) -> None:
        sid = number_of(object_of(event, "alert"), "signature_id") or 0
        if sid not in _OUR_SIDS and sid not in hearsay.EVENTS:
            return  # of something else, or of nobody knows what
        packet = bytes_of(event, "packet")
        self._kinds["heartbeat alerts"] += 1
        self._kinds["with packet"] += bool(packet)
        conversation = self._conversations.of(event, time_ns)
        if conversation is not None:
            self._hear_of(sid, conversation, event, time_ns)
            self._conversations.hear(conversation, _shown(event, packet, conversation, time_ns))

    def _hear_of(self, sid: int, conversation: Conversation, event: Mapping[str, Any], time_ns: int) -> None:
        """A rule, or an anomaly that means the same, says something of a flow."""
        conversation.word(text_of(event, "app_proto") or text_of(object_of(event, "anomaly"), "app_proto"))
        if conversation.words_until_ns is not None and time_ns <= conversation.words_until_ns:
            return
        if conversation.counts_then is None and sid not in _HELLOS and object_of(event, "flow"):
            conversation.counts_then = conversation.tellers.counts()
        conversation.said_overflow |= sid == _OUR_OVERFLOW or sid in hearsay.ASKED
        conversation.said_invalid |= sid == _OUR_INVALID or sid in hearsay.INVALID
        conversation.said_leak |= sid == _OUR_MISMATCH or sid in hearsay.LEAKED

    def _read_packet(self, event: Mapping[str, Any], time_ns: int) -> None:
        frame = _frame(event, bytes_of(event, "packet"), time_ns)
        if frame is None:
            self.counters["eve_events_useless"] += 1
            return
        conversation = self._conversations.of(event, time_ns)
        if conversation is not None:
            teller = number_of(event, "flow_id") or 0
            frames = conversation.packet(frame, _way(event, conversation), teller)
            self._conversations.hear(conversation, frames)

    def _read_frame(self, event: Mapping[str, Any], time_ns: int) -> None:
        if text_of(object_of(event, "frame"), "type") != "heartbeat":
            return
        conversation = self._conversations.of(event, time_ns)
        if conversation is not None:
            self._conversations.hear(conversation, sizes.record(event, conversation, time_ns))

    def _read_tls(self, event: Mapping[str, Any], time_ns: int) -> None:
        flow_id, key = number_of(event, "flow_id"), key_of(event)
        if flow_id is None or key is None:
            self.counters["eve_events_useless"] += 1
            return
        conversation = self._conversations.known(flow_id, key)
        if conversation is not None and not conversation.playing:
            conversation.tls = session_of(object_of(event, "tls"), time_ns)
            conversation.word("tls")
        elif conversation is None or Direction.TO_SERVER not in conversation.hellos_seen:
            self.quiet.take_tls(event, time_ns)

    def _read_flow(self, event: Mapping[str, Any], time_ns: int) -> None:
        key, flow_id = key_of(event), number_of(event, "flow_id")
        if key is None or flow_id is None:
            self.counters["eve_events_useless"] += 1
            return
        conversation = self._conversations.known(flow_id, key)
        if conversation is not None:
            conversation.word(text_of(event, "app_proto"))
            self._conversations.hear_end(flow_id, conversation, event, time_ns)
            return
        self.quiet.count(counts_of(object_of(event, "flow"), time_ns))
        if text_of(event, "app_proto") == "tls":
            self.quiet.take_flow(flow_id, key, event, time_ns)

    def _read_netflow(self, event: Mapping[str, Any], time_ns: int) -> None:
        flow_id, key = number_of(event, "flow_id"), key_of(event)
        if flow_id is None or key is None:
            self.counters["eve_events_useless"] += 1
        else:
            self._one_way_flows.take(flow_id, key, event, time_ns)
            self._read_one_way_flows(time_ns)

    def _read_one_way_flows(self, now_ns: int | None = None) -> None:
        """Those that have waited long enough, or all; unless ``flow`` events say the same."""
        if self.kinds["flow"]:
            self._one_way_flows.forget()
        for time_ns, event in self._one_way_flows.over(now_ns):
            self._read_flow(event, time_ns)

    def _read_anomaly(self, event: Mapping[str, Any], time_ns: int) -> None:
        anomaly = object_of(event, "anomaly")
        self.anomalies.count(anomaly)
        sid = heartbeat_sid(anomaly)
        if sid is None:
            self.counters["eve_anomalies"] += 1
            return
        conversation = self._conversations.of(event, time_ns)
        if conversation is not None:
            self._hear_of(sid, conversation, event, time_ns)

    def _read_stats(self, event: Mapping[str, Any], time_ns: int) -> None:
        self.blindness.read(event, time_ns)


def _shown(event: Mapping[str, Any], packet: bytes, conversation: Conversation, time_ns: int) -> Iterator[Frame]:
    """What an alert shows of its flow: a packet, a stream, or a record."""
    payload = bytes_of(event, "payload")
    frame = _frame(event, packet, time_ns)
    way = way_of(event) or _way(event, conversation)
    if frame is not None and not text_of(event, "pkt_src").startswith("stream"):  # those Suricata made itself
        yield from conversation.packet(frame, way, number_of(event, "flow_id") or 0)
    if payload and event.get("stream") == 1:
        near = find_segment(frame.link_type, packet) if frame is not None else None
        yield from conversation.stream(payload, way, time_ns, near)
    if not (packet or payload):
        yield from sizes.record(event, conversation, time_ns)


def _way(event: Mapping[str, Any], conversation: Conversation) -> Direction:
    return conversation.way_of((address_of(event, "src_ip"), number_of(event, "src_port", MOST_PORT) or 0))


def _frame(event: Mapping[str, Any], packet: bytes, time_ns: int) -> Frame | None:
    if not packet:
        return None
    link_type = number_of(object_of(event, "packet_info"), "linktype", 0xFFFF)
    number = number_of(event, "pcap_cnt", MOST_COUNT) or 0
    return Frame(time_ns, LINK_TYPE_ETHERNET if link_type is None else link_type, len(packet), packet, number)
