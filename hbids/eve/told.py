"""What EVE said of flows that the engine has rows of, to put right what the engine cannot know."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hbids.eve.flows import TCP, FlowCounts, FlowKey, vlan_of
from hbids.facts import (
    FLOW_DTYPE,
    HEARTBEAT_DTYPE,
    NO_VERSION,
    NO_VLAN,
    NOT_COUNTED,
    NOT_SEEN,
    SESSION_DTYPE,
    Direction,
    Facts,
)
from hbids.parties import address_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hbids.eve.conversation import Conversation
    from hbids.facts import FlowContext, Rows

__all__ = ["Told", "ToldFlow", "key_of_row"]


class ToldFlow(NamedTuple):
    """What was last said of a flow."""

    first: FlowCounts
    """When a heartbeat was first told of."""
    latest: FlowCounts
    vlan: tuple[int, ...]
    flow_id: int
    conversation: Conversation


class Told:
    """Flows by their endpoints, the latest of each; that of which nothing was said for longest goes first."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._flows: OrderedDict[FlowKey, ToldFlow] = OrderedDict()

    def note(
        self, key: FlowKey, counts: FlowCounts, event: Mapping[str, Any], flow_id: int, conversation: Conversation
    ) -> None:
        """Something new was said of a flow."""
        before = self._flows.get(key)
        first = before.first if before is not None and before.conversation is conversation else counts
        self._flows[key] = ToldFlow(first, counts, vlan_of(event), flow_id, conversation)
        self._flows.move_to_end(key)
        if len(self._flows) > self._entries:
            self._flows.popitem(last=False)

    def of(self, key: FlowKey) -> ToldFlow | None:
        """What was said of a flow."""
        return self._flows.get(key)

    def vlan(self, key: FlowKey) -> tuple[int, ...]:
        """Of a flow, outermost first."""
        flow = self._flows.get(key)
        return () if flow is None else flow.vlan

    def evidence(self, context: FlowContext, time_ns: int) -> str:
        """What a finding about a flow rests on. Of one that a run before knew, it was packets, or there were none."""
        client, server = (context.client_ip, context.client_port), (context.server_ip, context.server_port)
        flow = self._flows.get(FlowKey(client, server, context.protocol))
        flow = flow or self._flows.get(FlowKey(server, client, context.protocol))
        if flow is None:
            return "eve-alert"
        counted_from_ns = flow.conversation.counted_from_ns
        is_counted = counted_from_ns is not None and time_ns >= counted_from_ns
        return "eve-flow" if is_counted else flow.conversation.evidence

    def correct(self, facts: Facts) -> Facts:
        """Facts of the engine with what EVE knows better: the flow as Suricata counted it, and what of a hello was made
        up. A session whose hellos both were made is left out: there is a row of its ``tls`` event."""
        made = [self._is_made(row) for row in facts.sessions]
        sessions = facts.sessions[~np.array(made, bool)] if any(made) else facts.sessions
        return Facts(
            self._corrected(facts.heartbeats, HEARTBEAT_DTYPE, _correct_heartbeat),
            self._corrected(sessions, SESSION_DTYPE, _correct_session),
            self._corrected(facts.flows, FLOW_DTYPE, _correct_flow),
        )

    def _is_made(self, session: np.void) -> bool:
        flow = self._flows.get(key_of_row(session))
        return flow is not None and session["protocol"] == TCP and not flow.conversation.hellos_seen

    def _corrected(self, rows: Rows, dtype: np.dtype[np.void], correct: Callable[[Any, ToldFlow], None]) -> Rows:
        if not len(rows):
            return rows
        rows = rows.astype(dtype, copy=True)
        for row in rows:
            flow = self._flows.get(key_of_row(row))
            if flow is not None:
                correct(row, flow)
        return rows


def _correct_heartbeat(row: Any, told: ToldFlow) -> None:
    _correct_counts(row, told, told.first)
    row["flow_start_ns"] = min(told.first.start_ns, row["time_ns"])
    row["packet_number"] = 0


def _correct_flow(row: Any, told: ToldFlow) -> None:
    _correct_counts(row, told, told.latest)
    row["time_ns"] = min(told.latest.start_ns, row["end_time_ns"])
    if told.conversation.evidence == "eve-frame":
        row["gaps_to_server"] = row["gaps_to_client"] = NOT_COUNTED


def _correct_counts(row: Any, told: ToldFlow, counts: FlowCounts) -> None:
    _correct_vlan(row, told)
    for name in FlowCounts._fields[1:]:
        row[name] = max(int(row[name]), getattr(counts, name))


def _correct_session(row: Any, told: ToldFlow) -> None:
    _correct_vlan(row, told)
    seen, tls = told.conversation.hellos_seen, told.conversation.tls
    if Direction.TO_SERVER not in seen and row["protocol"] == TCP:
        row["client_record_version"] = NO_VERSION
        row["client_version"] = tls.client_version if tls else NO_VERSION
        row["client_hello_length"], row["heartbeat_offered"] = NOT_SEEN, tls.heartbeat_offered if tls else NOT_SEEN
        row["ja3"], row["ja4"] = (tls.ja3.encode(), tls.ja4.encode()) if tls else (b"", b"")


def _correct_vlan(row: Any, told: ToldFlow) -> None:
    row["vlan"] = NO_VLAN
    row["vlan"][: len(told.vlan)] = told.vlan


def key_of_row(row: np.void) -> FlowKey:
    """Of any table of facts."""
    client, server = row["client_addr"].tobytes(), row["server_addr"].tobytes()
    return FlowKey(
        (address_text(client), int(row["client_port"])),
        (address_text(server), int(row["server_port"])),
        int(row["protocol"]),
    )
