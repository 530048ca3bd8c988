"""What was told of an endpoint, in memory and in the state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hbids.facts import Direction, Finding, FlowContext, Reach, Series, Verdict

__all__ = ["Story", "StoryKey", "Tale", "document_of", "story_of"]

StoryKey = tuple[str, str, int, int, int]
"""What was looked at, address, port (0 for a client), which side it is, IP protocol."""


@dataclass(slots=True)
class Tale:
    """What was told of one signature and verdict at one endpoint."""

    latest: Finding
    """Of those that have come farthest."""
    window: int = -1
    """In which it was last told as something new."""
    count: int = 0
    """Of what grows, the most that was found."""
    told: int = 0
    """Of that count."""
    names: list[str] = field(default_factory=list)
    """Those it was told of."""


@dataclass(slots=True)
class Story:
    """What was told of one endpoint."""

    begun_ns: int
    window: int = 0
    rank: int = 0
    """Of the gravest that was found in this window."""
    last: tuple[int, int, int] | None = None
    """Time, packet and leaked bytes of what was told last."""
    tales: dict[str, Tale] = field(default_factory=dict)
    """By signature and verdict."""


def document_of(story: Story) -> dict[str, Any]:
    """The story as JSON can hold it."""
    document = asdict(story)
    for tale in document["tales"].values():
        tale["latest"]["flow"] = list(tale["latest"]["flow"])
    return document


def story_of(document: dict[str, Any]) -> Story:
    """The inverse of :func:`document_of`."""
    tales = {name: Tale(**tale | {"latest": _finding(tale["latest"])}) for name, tale in document["tales"].items()}
    last = document["last"]
    return Story(**document | {"tales": tales, "last": None if last is None else tuple(last)})


def _finding(document: dict[str, Any]) -> Finding:
    series, flow = document["series"], FlowContext(*document["flow"])
    if series is not None:
        series = Series(**series | {"reach": Reach(series["reach"]), "key": tuple(series["key"])})
    kinds = {"packet_direction": Direction, "victim": Direction, "verdict": Verdict}
    enums = {name: kind(document[name]) for name, kind in kinds.items()}
    return Finding(**document | enums | {"flow": flow._replace(vlan=tuple(flow.vlan)), "series": series})
