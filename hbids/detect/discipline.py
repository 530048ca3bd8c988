"""Which of the findings become alerts: few enough to be read, however much goes on.

All that is found of one endpoint is a story. Of each signature it tells

- the first time, at once;
- the first time of each further source, up to ``alert_sources``;
- again whenever the number that counts has reached a power of ten: of the gravest signatures so far, not of those that
  these imply;
- again in each new window (:mod:`hbids.windows`), unless something graver was told in it before;
- and in the end the total, if it is more than was told.

Findings of different tables of facts have different stories: within a table rows have an order, however they are cut
into steps; between tables they have none. So the same rows give the same alerts with the same names.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hbids.detect.common import MEMORY_ENTRIES, Remembered, totals_of
from hbids.detect.story import Story, StoryKey, Tale, document_of, story_of
from hbids.facts import Direction, Finding, Reach, Series, Verdict
from hbids.windows import window_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hbids.config import Thresholds
    from hbids.facts import Rows
    from hbids.state import Part

    Current = Callable[[Finding], "Rows | None"]
    """What a finding's series has come to by now, as TALLY_DTYPE, shape (1,); None where that is not known."""

__all__ = ["Discipline"]


class Discipline:
    """Decides which findings are told."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.adopt(thresholds)
        self._stories: Remembered[StoryKey, Story] = Remembered(MEMORY_ENTRIES)
        self._latest_ns = 0
        """Time of the last that was told."""

    def adopt(self, thresholds: Thresholds) -> None:
        """Tell by other thresholds from now on."""
        self._most_names = thresholds.alert_sources
        self._window_ns = thresholds.alert_window_ns

    def tell(self, table: str, findings: Iterable[Finding]) -> list[Finding]:
        """Those of the findings that are told, each with its ``alert_id``. They come in the order of the rows."""
        return [told for finding in findings if (told := self._judge(table, finding)) is not None]

    def totals(self, current: Current) -> list[Finding]:
        """What is still to be told at the end of a run: of the gravest that was told last, how far it has grown."""
        told = []
        for key, story in self._stories.items():
            for tale in story.tales.values():
                series = tale.latest.series or Series()
                if series.growth is None or tale.window != story.window or _rank(tale.latest) < story.rank:
                    continue
                latest = _by_now(tale.latest, current(tale.latest))
                count = latest.context[series.growth]
                if count > tale.told:
                    tale.told = tale.count = count
                    name = _alert_id(latest, key, story, "total", count)
                    told.append(replace(latest, context=_in_series(latest) | {"alert_id": name}))
        told.sort(key=lambda finding: finding.time_ns)
        latest_ns = max([self._latest_ns, *(finding.time_ns for finding in told)])
        return [replace(finding, time_ns=latest_ns) for finding in told]

    def parts(self) -> dict[str, Part]:
        """All that was told, for the state."""
        return {"stories": {"stories": [[key, document_of(story)] for key, story in self._stories.items()]}}

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on from what an earlier run has told."""
        document = parts.get("stories")
        for key, story in document["stories"] if isinstance(document, dict) else ():
            self._stories.put(tuple(key), story_of(story))

    def _judge(self, table: str, finding: Finding) -> Finding | None:
        key = _story_key(table, finding)
        story = self._stories.get(key) or Story(finding.time_ns)
        self._stories.put(key, story)
        window = window_number(max(0, finding.time_ns - story.begun_ns) // self._window_ns)
        if window > story.window:
            story.window, story.rank = window, 0
        story.rank = max(story.rank, _rank(finding))
        tale = story.tales.setdefault(f"{finding.sid} {finding.verdict.word}", Tale(finding))
        why = self._why_told(story, tale, finding)
        if not why:
            return None
        story.last = _gist(finding)
        self._latest_ns = max(self._latest_ns, finding.time_ns)
        name = _alert_id(finding, key, story, *why)
        return replace(finding, context=_in_series(finding) | {"alert_id": name})

    def _why_told(self, story: Story, tale: Tale, finding: Finding) -> tuple[object, ...]:
        """Empty if it is not told."""
        series = finding.series or Series()
        count = finding.context[series.growth] if series.growth else 0
        grown = len(str(count)) > len(str(tale.count)) and tale.count > 0
        if count >= tale.count:
            tale.count, tale.latest = count, finding
        why: tuple[object, ...] = ()
        again = tale.window >= 0
        if tale.window != story.window and not (again and series.once):
            tale.window = story.window
            why = () if again and _rank(finding) < story.rank else ("new",)
            if series.together and story.last == _gist(finding):  # sums up one thing, which was just told
                why = ()
                tale.told = count
        if not series.together:
            who = " ".join(map(str, series.key)) or _source(finding)
            if who not in tale.names and len(tale.names) < self._most_names:
                tale.names.append(who)
                why = why or ("source", who)
        if grown and _rank(finding) >= story.rank:
            why = why or ("growth", count)
        if why and series.growth:
            tale.told = max(tale.told, count)
        return why


def _story_key(table: str, finding: Finding) -> StoryKey:
    flow = finding.flow
    if finding.victim == Direction.TO_CLIENT:
        return table, flow.client_ip, 0, Direction.TO_CLIENT, flow.protocol
    return table, flow.server_ip, flow.server_port, Direction.TO_SERVER, flow.protocol


def _source(finding: Finding) -> str:
    return finding.flow.server_ip if finding.victim == Direction.TO_CLIENT else finding.flow.client_ip


def _gist(finding: Finding) -> tuple[int, int, int]:
    leaked = finding.context.get("leaked_bytes", 0) + finding.context.get("leaked_bytes_estimated", 0)
    return finding.time_ns, finding.flow.packet_number, leaked


def _rank(finding: Finding) -> int:
    reach = finding.series.reach if finding.series and finding.verdict == Verdict.HARVESTED else Reach.ENDPOINT
    return finding.verdict << 2 | reach


def _by_now(finding: Finding, tallies: Rows | None) -> Finding:
    """The finding with the numbers of its series as they are by now."""
    if tallies is None or finding.series is None:
        return finding
    tally = tallies[0]
    numbers = totals_of(tally) if finding.series.growth == "answers" else {}
    if "requests" in finding.context:
        numbers["requests"] = int(tally["suspicious" if finding.series.reach == Reach.ENDPOINT else "requests"])
    return replace(finding, time_ns=int(tally["last_ns"]), context=finding.context | numbers)


def _in_series(finding: Finding) -> dict[str, Any]:
    """The finding's context with how long its series took, and how fast it went."""
    context = finding.context
    if "first_ns" not in context:
        return context
    window_s = (finding.time_ns - context["first_ns"]) / 1e9
    context = context | {"last_ns": finding.time_ns, "window_s": round(window_s, 6)}
    if window_s >= 1:
        context["answers_per_hour"] = round(context["answers"] * 3600 / window_s, 3)
    return context


def _alert_id(finding: Finding, key: StoryKey, story: Story, *why: object) -> str:
    """The same whenever the alert comes of the same rows."""
    parts = (finding.sid, finding.verdict.word, *map(str, key), story.begun_ns, story.window, *why)
    return blake2b("|".join(map(str, parts)).encode(), digest_size=8).hexdigest()
