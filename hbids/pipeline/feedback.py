"""Which findings make an offender, of whom Suricata is told (``hbids sidecar --feedback``).

The source of a finding is one when

- the finding's verdict is ``feedback.verdict`` or worse;
- it is not spared: no scanner of ours, in no home network, at no asset;
- its address is proven: over TCP alone, since a datagram may come from anywhere;
- it is an IPv4 address: Suricata 7 sets the bits of all IPv6 addresses at ``::``, and writes beyond its stack
  (docs/decisions/0022);
- the finding rests on more than counters of the flow (``evidence`` other than ``eve-flow``);
- it did not use what is recognised as a checker or a research scanner, unless it harvests by itself.

It stays one as long as it goes on to ask, and ``feedback.expire_ns`` after that; who comes back later and takes more is
one again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from socket import IPPROTO_TCP
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hbids.facts import Direction, Reach, Verdict
from hbids.measures import Measured
from hbids.parties import address_words, of_heartbeats

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.config import Config
    from hbids.facts import Finding, Rows
    from hbids.feedback.hostbits import Hostbits
    from hbids.keyed import Words

__all__ = ["Feedback"]

_OF_GOOD_WILL = ("checker", "research scanner")
"""Classes of tools (:mod:`hbids.fingerprints`)."""


_MOST_KNOWN = 65_536
"""Offenders that are known again when they come back, about 300 bytes each; the oldest go first."""


class _Known(NamedTuple):
    ip: str
    sid: int


class Feedback:
    """Between findings and the book of offenders."""

    def __init__(self, config: Config, hostbits: Hostbits) -> None:
        self._hostbits = hostbits
        self._book = hostbits.book
        self._least = Verdict[config.feedback.verdict.upper()]
        self._held_back: Counter[str] = Counter()
        """Findings that were grave enough and made no offender, by the reason."""
        self._known: OrderedDict[tuple[int, int], _Known] = OrderedDict()
        """Who was an offender at any time, by the words of his address."""
        self._lows: Words | None = None
        """The second of these words; None when they have changed."""

    def take(self, finding: Finding, evidence: str, spares: Callable[[str], str]) -> None:
        """Look at all that is found; ``spares`` says what of ours an address is."""
        if finding.verdict < self._least:
            return
        source = finding.flow.server_ip if finding.victim == Direction.TO_CLIENT else finding.flow.client_ip
        reason = spares(source) or _weakness(finding, source, evidence)
        if reason:
            self._held_back[reason] += 1
            return
        self._remember(source, finding.sid)
        self._book.enter(source, finding.sid, finding.time_ns)
        self._hostbits.book_changed(finding.time_ns)

    def follow(self, heartbeats: Rows, spares: Callable[[str], str]) -> None:
        """Look at all rows, since findings do not repeat themselves: an offender stays one while he goes on to ask, and
        becomes one again when he comes back and takes more."""
        if not (len(heartbeats) and self._known):
            return
        high, low = of_heartbeats(heartbeats).sources
        rows = np.flatnonzero(np.isin(low, self._low_words()))
        if not len(rows):
            return
        measured = Measured(heartbeats[rows])
        again = measured.suspicious if self._least == Verdict.ATTEMPTED else measured.final & measured.leaks
        columns = (high[rows], low[rows], again, ~measured.answers, measured.rows["end_time_ns"])
        for *words, is_again, is_request, time_ns in zip(*(column.tolist() for column in columns), strict=True):
            known = self._known.get((words[0], words[1]))
            if known is None or not (is_again or is_request) or spares(known.ip):
                continue
            if is_again:
                self._book.enter(*known, time_ns)
            else:
                self._book.goes_on(known.ip, time_ns)
            self._hostbits.book_changed(time_ns)

    def spare(self, spares: Callable[[str], str]) -> None:
        """What is known of our own has changed."""
        self._book.pardon(spares)

    def document(self) -> list[list[Any]]:
        """What the next run shall know of this one."""
        return self._book.document()

    def restore(self, document: list[list[Any]], spares: Callable[[str], str]) -> None:
        """Go on where an earlier run ended."""
        self._book.restore(document)
        self._book.pardon(spares)
        for ip, sid, *_ in document:
            self._remember(ip, sid)

    def close(self) -> None:
        """Tell what is still to be told."""
        self._hostbits.close()

    def summary(self) -> dict[str, Any]:
        """Of whom Suricata was told, and of whom not."""
        counts = self._book.counts
        of_book = {name: counts[name] for name in ("rate", "too_many", "too_late") if counts[name]}
        return self._hostbits.summary() | {"held_back": {**self._held_back, **of_book}}

    def _remember(self, ip: str, sid: int) -> None:
        self._known[address_words(ip)] = _Known(ip, sid)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        self._lows = None

    def _low_words(self) -> Words:
        if self._lows is None:
            self._lows = np.array([low for _, low in self._known], np.uint64)
        return self._lows


def _weakness(finding: Finding, source: str, evidence: str) -> str:
    """What a finding lacks; empty if nothing."""
    if finding.flow.protocol != IPPROTO_TCP:
        return "forgeable"
    if ":" in source:
        return "ipv6"
    if evidence == "eve-flow":
        return "estimated"
    harvests_alone = finding.verdict == Verdict.HARVESTED and finding.series and finding.series.reach == Reach.SOURCE
    if finding.context.get("tool_class") in _OF_GOOD_WILL and not harvests_alone:
        return "tool"
    return ""
