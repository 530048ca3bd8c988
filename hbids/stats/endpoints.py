"""The ledger of a run: one entry for each endpoint that was asked, leaked, or agrees to heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hbids.facts import ABSENT, PROTOCOL_EAPOL, Direction, Kind, TlsStart, Transport, Verdict
from hbids.keyed import KeyedTable, keys_from
from hbids.networks import Networks
from hbids.parties import address_words, of_rows, victim_key, words_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.facts import Finding, Rows
    from hbids.keyed import Flags, Integers, Keys
    from hbids.measures import Measured
    from hbids.parties import Parties

__all__ = ["EndpointLedger", "Place", "place_of"]

MOST_ENDPOINTS = 262_144
"""Entries of about 130 bytes and their sources; more endpoints with heartbeats than the internet is known to have."""
MOST_SOURCES = 10_000
"""Source addresses kept by name for each endpoint."""
_PROTOCOL_NAMES = {6: "tcp", 17: "udp", PROTOCOL_EAPOL: "eapol"}
_CARRIERS = (TlsStart.OPENVPN, TlsStart.EAP)
"""Protocols that carry TLS all along, and are what an operator knows the endpoint by."""
_NEVER_NS = np.iinfo(np.int64).max

_COUNTS = (
    "heartbeat_requests",
    "overread_requests",
    "sealed_requests",
    "leaking_answers",
    "leaked_bytes",
    "leaked_bytes_estimated",
)
_TO_SCANNERS = {name: f"{name}_to_scanners" for name in _COUNTS[3:]}
"""What of the leaks went to authorized scanners."""
_FIELDS = [
    ("last_ns", "<i8"),
    ("first_ns", "<i8"),
    ("known", "u1"),
    ("accepts", "u1"),
    *((name, "<i8") for name in (*_COUNTS, *_TO_SCANNERS.values())),
]


Endpoint = tuple[int, int, int]
"""The words of its key."""


class Place(NamedTuple):
    """What an endpoint is called by; the words of every output."""

    ip: str
    port: int
    role: str
    protocol: str
    transport: str

    @classmethod
    def of(cls, endpoint: Mapping[str, Any]) -> Place:
        """Of an entry of the summary."""
        return cls(*(endpoint[name] for name in cls._fields))


def place_of(high: int, low: int, last: int) -> Place:
    """Of the words of a key."""
    return Place(
        words_text(high, low),
        last & 0xFFFF,
        "server" if last >> 16 & 0xFF == Direction.TO_SERVER else "client",
        _PROTOCOL_NAMES.get(last >> 32, str(last >> 32)),
        Transport(last >> 24 & 0xFF).name.lower(),
    )


class EndpointLedger:
    """Counts from rows, judges from findings."""

    def __init__(self, scanners: Networks | None = None) -> None:
        """``scanners`` are our own: what leaked to them is counted, and also told apart."""
        self.scanners = scanners or Networks(())
        """May be replaced at any time."""
        self._entries = KeyedTable(_FIELDS, MOST_ENDPOINTS)
        self._verdicts: dict[Endpoint, Verdict] = {}
        self._sources: dict[Endpoint, dict[tuple[int, int], None]] = {}
        self._full: list[int] = []
        """Fingerprints of endpoints that have no room for more sources."""
        self._tools: dict[Endpoint, dict[str, dict[str, None]]] = {}
        """Names by class, in the order in which they were recognised."""
        self.sources_dropped = 0
        """Times that a source found no room."""
        self._refused: set[Endpoint] = set()
        """Servers that were offered the extension and did not accept it."""
        self._carriers: dict[Endpoint, TlsStart] = {}
        """Of the servers that have one, and of their clients in EAP; other clients may use others, too."""

    @property
    def dropped(self) -> int:
        """Endpoints that had to make room for others."""
        return self._entries.evicted

    def add_heartbeats(self, heartbeats: Measured) -> None:
        """Count the messages that have ended."""
        final = np.flatnonzero(heartbeats.final)
        if not len(final):
            return
        rows, answers, sealed = heartbeats.rows, heartbeats.answers[final], heartbeats.sealed[final]
        clear = ~answers & ~sealed & (rows["kind"][final] == Kind.REQUEST)
        counts: tuple[Flags | Integers, ...] = (
            clear,
            clear & (heartbeats.overread[final] > 0),
            ~answers & sealed,
            heartbeats.leaks[final],
            heartbeats.leaked[final],
            heartbeats.leaked_estimated[final],
        )
        times_ns, parties = (rows["time_ns"][final], rows["end_time_ns"][final]), heartbeats.parties[final]
        named = dict(zip(_COUNTS, counts, strict=True))
        if self.scanners:
            authorized = self.scanners.have(parties.sources)
            named |= {apart: named[name] * authorized for name, apart in _TO_SCANNERS.items()}
        self._count(parties.victims, *times_ns, named)

    def add_sessions(self, sessions: Rows) -> None:
        """Note who accepts the extension, and who does not."""
        accepted = sessions[sessions["heartbeat_accepted"] >= 0]
        if len(accepted):
            victims = of_rows(accepted, np.ones(len(accepted), bool)).victims
            numbers = self._count(victims, accepted["time_ns"], accepted["time_ns"], {})
            self._entries.rows["accepts"][numbers] = 1
        for row in sessions[np.isin(sessions["start"], _CARRIERS)]:
            ends = (True, False) if row["start"] == TlsStart.EAP else (True,)
            for server in ends:
                victims = of_rows(row.reshape(1), np.array([server])).victims
                if len(self._carriers) < MOST_ENDPOINTS:
                    self._carriers[_key(victims)] = TlsStart(int(row["start"]))
        refused = sessions[(sessions["heartbeat_offered"] >= 0) & (sessions["heartbeat_accepted"] == ABSENT)]
        if len(refused) and len(self._refused) < MOST_ENDPOINTS:
            victims = of_rows(refused, np.ones(len(refused), bool)).victims
            self._refused |= set(zip(*(words.tolist() for words in victims), strict=True))

    def add_newcomers(self, parties: Parties) -> None:
        """Note who did something worth telling."""
        full = np.isin(parties.endpoints, self._full)
        self.sources_dropped += int(np.count_nonzero(full))
        parties = parties[~full]
        columns = [words.tolist() for words in (*parties.victims, *parties.sources)]
        for mark, address, low, last, *source in zip(parties.endpoints.tolist(), *columns, strict=True):
            self._note_source((address, low, last), (source[0], source[1]))
            if len(self._sources[address, low, last]) >= MOST_SOURCES:
                self._full.append(mark)

    def add_finding(self, finding: Finding) -> None:
        """Raise the verdict, note source and tools. What says nothing of harm changes nothing."""
        if finding.verdict == Verdict.CLEAR:
            return
        endpoint = victim_key(finding)
        self._verdicts[endpoint] = max(self._verdicts.get(endpoint, Verdict.CLEAR), finding.verdict)
        if finding.verdict > Verdict.EXPOSED:
            flow = finding.flow
            source = flow.server_ip if finding.victim == Direction.TO_CLIENT else flow.client_ip
            self._note_source(endpoint, address_words(source))
        if "tool_class" in finding.context:
            names = self._tools.setdefault(endpoint, {}).setdefault(finding.context["tool_class"], {})
            names |= dict.fromkeys(finding.context.get("tools", ()))

    def endpoints(self) -> list[tuple[Endpoint, dict[str, Any]]]:
        """Every endpoint above ``clear``, worst first, by its key; times in nanoseconds."""
        found = [(verdict, self._entries.rows[number]) for verdict, number in self._judged()]
        found.sort(key=lambda each: (-each[0], -_leaked(each[1]), _place(each[1])))
        return [(_words(row), self._told(verdict, row)) for verdict, row in found]

    def _judged(self) -> list[tuple[Verdict, int]]:
        judged = [(endpoint, verdict) for endpoint, verdict in self._verdicts.items() if verdict > Verdict.CLEAR]
        numbers = self._entries.find(keys_from([endpoint for endpoint, _ in judged])).tolist()
        return [(verdict, number) for (_, verdict), number in zip(judged, numbers, strict=True) if number >= 0]

    def _count(
        self, victims: Keys, first_ns: Integers, last_ns: Integers, counts: dict[str, Flags | Integers]
    ) -> Integers:
        numbers = self._entries.locate(victims)
        groups = self._entries.groups(numbers)
        rows = self._entries.rows[groups.members]
        rows["first_ns"][rows["known"] == 0] = _NEVER_NS
        rows["known"] = 1
        rows["first_ns"] = np.minimum(rows["first_ns"], -groups.largest(-first_ns))
        rows["last_ns"] = np.maximum(rows["last_ns"], groups.largest(last_ns))
        for name, values in counts.items():
            rows[name] += groups.sums(values.astype(np.int64))
        self._entries.rows[groups.members] = rows
        return numbers

    def _note_source(self, endpoint: Endpoint, source: tuple[int, int]) -> None:
        known = self._sources.setdefault(endpoint, {})
        if source in known or len(known) < MOST_SOURCES:
            known[source] = None
        else:
            self.sources_dropped += 1

    def _told(self, verdict: Verdict, row: np.void) -> dict[str, Any]:
        endpoint = _words(row)
        carrier, tools = self._carriers.get(endpoint), self._tools.get(endpoint, {})
        accepts: bool | None = bool(row["accepts"]) or None
        if accepts is None and endpoint in self._refused:
            accepts = False
        return {
            **place_of(*endpoint)._asdict(),
            "carrier": carrier.name.lower() if carrier else None,
            "verdict": verdict.word,
            **{name: int(row[name]) for name in _COUNTS},
            "first_seen": int(row["first_ns"]),
            "last_seen": int(row["last_ns"]),
            "sources": [words_text(*source) for source in self._sources.get(endpoint, ())],
            "authorized_scanners": {"sources": [], **{name: int(row[apart]) for name, apart in _TO_SCANNERS.items()}},
            "tools": [name for names in tools.values() for name in names],
            "tool_classes": {tool_class: list(names) for tool_class, names in tools.items()},
            "accepts_heartbeat_extension": accepts,
        }


def _key(victims: Keys) -> Endpoint:
    """The key of the one row there is."""
    first, second, third = (int(words[0]) for words in victims)
    return first, second, third


def _words(row: np.void) -> Endpoint:
    high, low, last = row["key"].tolist()
    return high, low, last


def _leaked(row: np.void) -> int:
    return int(row["leaked_bytes"] + row["leaked_bytes_estimated"])


def _place(row: np.void) -> tuple[bytes, int, int, int]:
    """For the order among equals: address, port, side, and over what."""
    last = int(row["key"][2])
    return row["key"][:2].tobytes(), last & 0xFFFF, last >> 16 & 0xFF, last >> 24
