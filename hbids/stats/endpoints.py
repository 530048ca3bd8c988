"""The ledger of a run: one entry for each endpoint that was asked, leaked, or agrees to heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hbids.facts import ABSENT, PROTOCOL_EAPOL, Direction, Kind, TlsStart, Transport, Verdict
from hbids.keyed import MOST_ENTRIES, KeyedTable, fingerprint, keys_from
from hbids.networks import Networks
from hbids.parties import address_words, of_rows, victim_key, words_text
from hbids.stats.roster import Roster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from hbids.facts import Finding, Rows
    from hbids.keyed import Flags, Integers, Keys
    from hbids.measures import Measured
    from hbids.parties import Parties

__all__ = ["EndpointLedger", "Place", "place_of"]

MOST_ENDPOINTS = 262_144
"""Entries of about 130 bytes and their sources; more endpoints with heartbeats than the internet is known to have."""
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
    ("verdict", "u1"),
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
        self._entries = _Entries(_FIELDS, MOST_ENDPOINTS)
        self._roster = Roster(MOST_ENDPOINTS)
        self._refused: set[Endpoint] = set()
        """Servers that were offered the extension and did not accept it."""
        self._carriers: dict[Endpoint, TlsStart] = {}
        """Of the servers that have one, and of their clients in EAP; other clients may use others, too."""

    @property
    def dropped(self) -> int:
        """Endpoints that had to make room for others."""
        return self._entries.evicted

    @property
    def sources_dropped(self) -> int:
        """Times that a source found no room, or had to make room for others."""
        return self._roster.dropped

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
        self._roster.add(parties.endpoints, parties.sources)

    def add_findings(self, findings: Sequence[Finding]) -> None:
        """Raise verdicts, note sources and tools. What says nothing of harm changes nothing."""
        for start in range(0, len(findings), MOST_ENTRIES):
            self._add_findings(
                [each for each in findings[start : start + MOST_ENTRIES] if each.verdict > Verdict.CLEAR]
            )

    def _add_findings(self, findings: Sequence[Finding]) -> None:
        if not findings:
            return
        keys = [victim_key(finding) for finding in findings]
        victims = keys_from(keys)
        verdicts = np.array([finding.verdict for finding in findings], np.uint8)
        np.maximum.at(self._entries.rows["verdict"], self._entries.locate(victims), verdicts)
        harm = np.flatnonzero(verdicts > Verdict.EXPOSED).tolist()
        if harm:
            sources = np.array([address_words(_source(findings[index])) for index in harm], np.uint64)
            self._roster.add(fingerprint(*victims)[harm], (sources[:, 0], sources[:, 1]))
        for index in harm:
            context = findings[index].context
            if "tool_class" in context:
                names = self._entries.tools.setdefault(keys[index], {}).setdefault(context["tool_class"], {})
                names |= dict.fromkeys(context.get("tools", ()))

    def endpoints(self) -> list[tuple[Endpoint, dict[str, Any]]]:
        """Every endpoint above ``clear``, worst first, by its key; times in nanoseconds."""
        rows = self._entries.used
        rows = rows[(rows["verdict"] > Verdict.CLEAR) & (rows["known"] > 0)]
        found = sorted(rows, key=lambda row: (-int(row["verdict"]), -_leaked(row), _place(row)))
        sources = self._roster.of(fingerprint(*keys_from([_words(row) for row in found])))
        return [(_words(row), self._told(row, by)) for row, by in zip(found, sources, strict=True)]

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

    def _told(self, row: np.void, sources: Sequence[tuple[int, int]]) -> dict[str, Any]:
        endpoint = _words(row)
        carrier, tools = self._carriers.get(endpoint), self._entries.tools.get(endpoint, {})
        accepts: bool | None = bool(row["accepts"]) or None
        if accepts is None and endpoint in self._refused:
            accepts = False
        return {
            **place_of(*endpoint)._asdict(),
            "carrier": carrier.name.lower() if carrier else None,
            "verdict": Verdict(int(row["verdict"])).word,
            **{name: int(row[name]) for name in _COUNTS},
            "first_seen": int(row["first_ns"]),
            "last_seen": int(row["last_ns"]),
            "sources": [words_text(*source) for source in sources],
            "authorized_scanners": {"sources": [], **{name: int(row[apart]) for name, apart in _TO_SCANNERS.items()}},
            "tools": [name for names in tools.values() for name in names],
            "tool_classes": {tool_class: list(names) for tool_class, names in tools.items()},
            "accepts_heartbeat_extension": accepts,
        }


class _Entries(KeyedTable):
    """With what has no fixed size."""

    def __init__(self, fields: Sequence[tuple[Any, ...]], capacity: int) -> None:
        super().__init__(fields, capacity)
        self.tools: dict[Endpoint, dict[str, dict[str, None]]] = {}
        """Names by class, in the order in which they were recognised."""

    def forget(self, rows: npt.NDArray[np.void]) -> None:
        for row in rows:
            self.tools.pop(_words(row), None)


def _source(finding: Finding) -> str:
    """The address of who did it."""
    flow = finding.flow
    return flow.server_ip if finding.victim == Direction.TO_CLIENT else flow.client_ip


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
