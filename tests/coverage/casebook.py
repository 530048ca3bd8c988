"""How cases of coverage are written down.

A case is traffic as a span port may show it, and all that hbids must say of it, so that whatever else it said would be
wrong. Cases stand in groups, one file a group; docs/coverage.md is written from them (`make docs`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from hbids.facts import Verdict
from tests.capture.build import Frame
from tests.support.conversation import Conversation, frames_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.pipeline import Result

Traffic = Conversation | list[Conversation] | list[Frame]
Build = Callable[[], Traffic]
SERVER = "10.0.0.2:443"
"""Where conversations go by default."""
EXPOSURE = 1016500
"""The inventory: fires wherever a server accepts heartbeats, and is therefore left out of every case."""
LEAK = (1016001, 1016100, 1016102)
"""The attempt, the leak as soon as it is one, its total."""
TWO_LEAKS = (*LEAK, 1016102)
"""The same source again, with the total of both."""
SIMULATED = "simulated"
"""Bytes written by the builders of tests/support."""


class Said(NamedTuple):
    """What hbids says of some traffic."""

    alerts: dict[int, int]
    """How often each signature fired, without the inventory."""
    verdicts: dict[str, str]
    """Of every endpoint above ``clear``."""
    leaked_bytes: int
    leaked_bytes_estimated: int
    counted: dict[str, int]
    """What was left out or given up, by counter."""


def said(result: Result) -> Said:
    summary = result.summary()
    return Said(
        {int(sid): times for sid, times in summary["alerts"].items() if int(sid) != EXPOSURE},
        {_name(endpoint): endpoint["verdict"] for endpoint in summary["endpoints"]},
        summary["leaked_bytes"],
        summary["leaked_bytes_estimated"],
        {counter: times for counter, times in summary["drops"].items() if times},
    )


def _name(endpoint: Mapping[str, Any]) -> str:
    if endpoint["role"] == "client":
        return f"{endpoint['ip']} (client)"
    return f"{endpoint['ip']}:{endpoint['port']}" if endpoint["port"] else endpoint["ip"]


@dataclass(frozen=True, eq=False)
class Case:
    """Traffic and what hbids must say of it."""

    item: str
    """What the port shows, in words."""
    build: Build
    says: Said
    made_by: str
    """:data:`SIMULATED`, or what the bytes come from."""
    confidence: str | None
    """Of every alert; None where the signatures' own stands."""

    @cached_property
    def frames(self) -> list[Frame]:
        """Built once for both engines."""
        traffic = self.build()
        if isinstance(traffic, Conversation):
            return traffic.frames()
        conversations = [part for part in traffic if isinstance(part, Conversation)]
        return frames_of(*conversations) if conversations else [part for part in traffic if isinstance(part, Frame)]


@dataclass
class Group:
    """Cases of one kind."""

    title: str
    introduction: str
    made_by: str = SIMULATED
    endpoint: str = SERVER
    """Whom the cases are about where nothing else is said."""
    cases: list[Case] = field(default_factory=list)

    def case(
        self,
        item: str,
        *alerts: int,
        verdict: Verdict = Verdict.EXPOSED,
        endpoint: str | None = None,
        others: Mapping[str, Verdict] | None = None,
        leaked: int = 0,
        estimated: int = 0,
        counted: Mapping[str, int] | None = None,
        made_by: str | None = None,
        confidence: str | None = None,
    ) -> Callable[[Build], Build]:
        """Write down a case: an alert as often as it is named, ``verdict`` that of ``endpoint``."""
        verdicts = {endpoint or self.endpoint: verdict, **(others or {})}
        words = {name: each.word for name, each in verdicts.items() if each is not Verdict.CLEAR}
        says = Said(dict(sorted(Counter(alerts).items())), words, leaked, estimated, dict(counted or {}))

        def register(build: Build) -> Build:
            self.cases.append(Case(item, build, says, made_by or self.made_by, confidence))
            return build

        return register

    def leak(
        self, item: str, *more: int, counted: Mapping[str, int] | None = None, made_by: str | None = None
    ) -> Callable[[Build], Build]:
        """A case that is told as any leak of 16,384 bytes is."""
        return self.case(item, *LEAK, *more, verdict=Verdict.LEAKED, leaked=0x4000, counted=counted, made_by=made_by)
