"""The ledger: one entry for each endpoint that was asked, leaked, or agrees to heartbeats."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Any

import numpy as np

from hbids.facts import (
    ABSENT,
    PROTOCOL_EAPOL,
    Direction,
    Facts,
    Finding,
    Kind,
    Rows,
    TlsStart,
    Transport,
    Verdict,
)
from hbids.measures import is_sealed, leaked_bytes, leaked_bytes_estimated, overread_bytes

__all__ = ["EndpointLedger"]

MOST_ENDPOINTS = 1_000_000
"""Entries of about 600 bytes; more endpoints with heartbeats than the internet is known to have."""
MOST_SOURCES = 10_000
"""Source addresses kept by name for each endpoint."""
_PROTOCOL_NAMES = {6: "tcp", 17: "udp", PROTOCOL_EAPOL: "eapol"}
_CARRIERS = (TlsStart.OPENVPN, TlsStart.EAP)
"""Protocols that carry TLS all along, and are what an operator knows the endpoint by."""
_NEVER_NS = np.iinfo(np.int64).max

Key = tuple[bytes, int, Direction, int, Transport]
"""Address, port (0 for a client, whose ports mean nothing), which side it is, IP protocol (TCP and UDP have ports of
their own) and kind of records."""


@dataclass(slots=True)
class Entry:
    """What happened to one endpoint."""

    verdict: Verdict = Verdict.CLEAR
    heartbeat_requests: int = 0
    overread_requests: int = 0
    sealed_requests: int = 0
    leaking_answers: int = 0
    leaked_bytes: int = 0
    leaked_bytes_estimated: int = 0
    first_ns: int = _NEVER_NS
    last_ns: int = -1
    sources: dict[str, None] = field(default_factory=dict)
    tools: dict[str, None] = field(default_factory=dict)
    accepts_heartbeat_extension: bool | None = None

    def seen(self, time_ns: int) -> None:
        """Something happened at this time."""
        self.first_ns = min(self.first_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)


class EndpointLedger:
    """Counts from rows, judges from findings."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self.dropped = 0
        """Endpoints that found no room."""
        self.sources_dropped = 0
        """Findings whose source found none."""
        self._refused: dict[tuple[bytes, int], None] = {}
        """Servers that were offered the extension and did not accept it."""
        self._carriers: dict[Key, TlsStart] = {}
        """Of the servers that have one, and of their clients in EAP; other clients may use others, too."""

    def add_facts(self, facts: Facts) -> None:
        """Count the final heartbeat rows and the accepted extensions of one step."""
        heartbeats = facts.heartbeats[facts.heartbeats["is_final"] == 1]
        if len(heartbeats):
            self._count(heartbeats)
        for row in facts.sessions[facts.sessions["heartbeat_accepted"] >= 0]:
            entry = self._entry(_server_key(row))
            if entry is not None:
                entry.accepts_heartbeat_extension = True
                entry.seen(int(row["time_ns"]))
        for row in facts.sessions[np.isin(facts.sessions["start"], _CARRIERS)]:
            keys = [_server_key(row), _client_key(row)] if row["start"] == TlsStart.EAP else [_server_key(row)]
            if len(self._carriers) < MOST_ENDPOINTS:
                self._carriers |= dict.fromkeys(keys, TlsStart(int(row["start"])))
        offered, accepted = facts.sessions["heartbeat_offered"], facts.sessions["heartbeat_accepted"]
        for row in facts.sessions[(offered >= 0) & (accepted == ABSENT)]:
            if len(self._refused) < MOST_ENDPOINTS:
                self._refused[_server_key(row)[:2]] = None

    def add_finding(self, finding: Finding) -> None:
        """Raise the verdict, note source and tools."""
        entry = self._entries.get(_finding_key(finding))
        if entry is None:
            return
        entry.verdict = max(entry.verdict, finding.verdict)
        if finding.verdict > Verdict.EXPOSED:
            flow = finding.flow
            source = flow.server_ip if finding.victim == Direction.TO_CLIENT else flow.client_ip
            if source in entry.sources or len(entry.sources) < MOST_SOURCES:
                entry.sources[source] = None
            else:
                self.sources_dropped += 1
        for tool in finding.context.get("tools", ()):
            entry.tools[tool] = None

    def endpoints(self) -> list[dict[str, Any]]:
        """Every endpoint above ``clear``, worst first; times in nanoseconds."""
        found = [(key, entry) for key, entry in self._entries.items() if entry.verdict > Verdict.CLEAR]
        for key, entry in found:
            if key[2] == Direction.TO_SERVER and key[:2] in self._refused:
                entry.accepts_heartbeat_extension = entry.accepts_heartbeat_extension or False
        found.sort(key=lambda item: (-item[1].verdict, -_leaked(item[1]), item[0]))
        return [_told(key, entry, self._carriers.get(key)) for key, entry in found]

    def _count(self, rows: Rows) -> None:
        sealed, overread = is_sealed(rows), overread_bytes(rows)
        exact, estimated = leaked_bytes(rows), leaked_bytes_estimated(rows)
        for index in range(len(rows)):
            row = rows[index]
            answer = row["kind"] == Kind.RESPONSE
            to_server = row["direction"] == Direction.TO_SERVER
            # A request speaks of the endpoint it goes to, an answer of the one it comes from.
            key = _server_key(row) if to_server != answer else _client_key(row)
            entry = self._entry(key)
            if entry is None:
                continue
            entry.seen(int(row["time_ns"]))
            entry.seen(int(row["end_time_ns"]))
            if answer:
                leaks = exact[index] + estimated[index] > 0
                entry.leaking_answers += int(leaks)
                entry.leaked_bytes += int(exact[index])
                entry.leaked_bytes_estimated += int(estimated[index])
            elif sealed[index]:
                entry.sealed_requests += 1
            elif row["kind"] == Kind.REQUEST:
                entry.heartbeat_requests += 1
                entry.overread_requests += int(overread[index] > 0)

    def _entry(self, key: Key) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MOST_ENDPOINTS:
                self.dropped += 1
                return None
            entry = self._entries[key] = Entry()
        return entry


def _server_key(row: np.void) -> Key:
    return row["server_addr"].tobytes(), int(row["server_port"]), Direction.TO_SERVER, *_over(row)


def _client_key(row: np.void) -> Key:
    return row["client_addr"].tobytes(), 0, Direction.TO_CLIENT, *_over(row)


def _over(row: np.void) -> tuple[int, Transport]:
    return int(row["protocol"]), Transport(int(row["transport"]))


def _finding_key(finding: Finding) -> Key:
    over = finding.flow.protocol, Transport[finding.context["transport"].upper()]
    if finding.victim == Direction.TO_CLIENT:
        return _packed(finding.flow.client_ip), 0, Direction.TO_CLIENT, *over
    return _packed(finding.flow.server_ip), finding.flow.server_port, Direction.TO_SERVER, *over


def _packed(text: str) -> bytes:
    packed = ip_address(text).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def _leaked(entry: Entry) -> int:
    return entry.leaked_bytes + entry.leaked_bytes_estimated


def _told(key: Key, entry: Entry, carrier: TlsStart | None) -> dict[str, Any]:
    address = IPv6Address(key[0])
    return {
        "ip": str(address.ipv4_mapped or address),
        "port": key[1],
        "role": "server" if key[2] == Direction.TO_SERVER else "client",
        "protocol": _PROTOCOL_NAMES.get(key[3], str(key[3])),
        "transport": key[4].name.lower(),
        "carrier": carrier.name.lower() if carrier else None,
        "verdict": entry.verdict.word,
        "heartbeat_requests": entry.heartbeat_requests,
        "overread_requests": entry.overread_requests,
        "sealed_requests": entry.sealed_requests,
        "leaking_answers": entry.leaking_answers,
        "leaked_bytes": entry.leaked_bytes,
        "leaked_bytes_estimated": entry.leaked_bytes_estimated,
        "first_seen": entry.first_ns,
        "last_seen": entry.last_ns,
        "sources": list(entry.sources),
        "tools": list(entry.tools),
        "accepts_heartbeat_extension": entry.accepts_heartbeat_extension,
    }
