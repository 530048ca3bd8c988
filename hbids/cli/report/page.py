"""The page from top to bottom."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.cli.advice import advice
from hbids.cli.report.connections import connections, suspicions
from hbids.cli.report.endpoint import badge, period, section, spans, verdict_of
from hbids.cli.report.html import dated, document, table, tag
from hbids.cli.report.opening import opening
from hbids.cli.verdict import count, gravity, headline, leaked, name_of, tools_of, unseen
from hbids.facts import Verdict
from hbids.stats.endpoints import Place
from hbids.stats.history import History, Past
from hbids.stats.services import Service
from hbids.stats.timelines import CELL_DTYPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from hbids.cli.report.evidence import Evidence
    from hbids.cli.report.html import Child
    from hbids.config import Report

__all__ = ["page"]

_STYLE = Path(__file__).with_name("page.css")

_NOTHING = Past(np.zeros(0, CELL_DTYPE), Service({}, {}))

_WORDS = {
    Verdict.HARVESTED: "leaked repeatedly to one source, one network, or one behaviour of several: somebody empties it",
    Verdict.LEAKED: "answered with more than the request carried: memory went out, the software is vulnerable",
    Verdict.ATTEMPTED: "was asked for more than the request carried; no such answer was seen",
    Verdict.PROBED: "got a request that cannot leak",
    Verdict.EXPOSED: "accepts heartbeats; patched software may, too",
}

_RESTS_ON = (
    ("read on the wire", "The heartbeat was in clear: its lengths were read, leaked bytes were counted one by one."),
    (
        "sealed: estimated from sizes",
        "The heartbeat was encrypted: of an answer only the size is known, which gives the leak to within 16 bytes.",
    ),
    (
        "told by Suricata",
        "Suricata read the packets, hbids its events (eve-frame, eve-alert, eve-flow): as exact as these are.",
    ),
    ("sizes of flows alone", "No heartbeat was seen: a suspicion, which makes no verdict."),
)


def page(summary: Mapping[str, Any], history: History | None, evidence: Evidence, bounds: Report, made: str) -> str:
    """The whole page. ``summary`` is what ``Result.summary()`` gives; without a ``history`` there are no plots.

    ``made`` tells by whom and when: all that two runs over the same input have not in common.
    """
    history = history or History(bounds)
    endpoints = sorted(summary["endpoints"], key=gravity)
    pasts = history.pasts()
    sentence = headline(summary, endpoints)
    out_of_line = evidence.suspicions()
    body = tag(
        "body",
        opening(sentence, summary, endpoints, is_suspicious=bool(out_of_line)),
        tag(
            "main",
            _steps(summary, endpoints),
            _endpoints(endpoints, bounds),
            _sections(endpoints, pasts, evidence, bounds),
            suspicions(out_of_line, bounds.alerts_listed),
            connections(history.flows, endpoints, out_of_line),
            _rests_on() if endpoints or out_of_line else None,
            _not_seen(summary, history),
        ),
        tag(
            "footer",
            tag("p", f"{made} ({summary['engine']} engine)."),
            tag("p", "No payload is kept or shown: leaked memory is other people's data."),
        ),
    )
    style = _STYLE.read_text(encoding="utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return document(f"Heartbleed report: {sentence}", style, digest, body)


def _steps(summary: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]]) -> Element | None:
    steps = advice(summary, endpoints)
    if not steps:
        return None
    return tag(
        "section", tag("h2", "What to do now"), tag("ol", [tag("li", dated(step)) for step in steps], class_="steps")
    )


def _endpoints(endpoints: Sequence[Mapping[str, Any]], bounds: Report) -> Element | None:
    if not endpoints:
        return None
    shown = endpoints[: bounds.endpoints_listed]
    rows = [_row(number, endpoint, bounds) for number, endpoint in enumerate(shown)]
    heads = ("Endpoint", "Verdict", "Leaked bytes", "Sources", "Requests", "When (UTC)", "Tools")
    hidden = len(endpoints) - len(shown)
    notes = []
    if hidden:
        notes.append(
            f"{count(hidden, 'more endpoint')} left out here, none graver: all are in the summary (--summary)."
        )
    if any(endpoint["leaked_bytes_estimated"] for endpoint in shown):
        notes.append("~ marks a sum with an estimate in it: of sealed answers only the size is known.")
    words = [
        each
        for verdict in dict.fromkeys(map(verdict_of, endpoints))
        for each in (tag("dt", badge(verdict)), tag("dd", _WORDS[verdict]))
    ]
    return tag(
        "section",
        tag("h2", "Endpoints, worst first"),
        table("What happened to each endpoint", heads, rows, numbers=(2, 3, 4)),
        [tag("p", note, class_="muted") for note in notes],
        tag("dl", words, class_="words"),
    )


def _row(number: int, endpoint: Mapping[str, Any], bounds: Report) -> list[Child]:
    name = name_of(endpoint)
    return [
        tag("a", name, href=f"#{_anchor(number)}") if number < bounds.endpoints_told else name,
        badge(verdict_of(endpoint)),
        leaked(endpoint),
        f"{len(endpoint['sources']):,}",
        f"{endpoint['heartbeat_requests'] + endpoint['sealed_requests']:,}",
        tag("span", dated(period(endpoint))),
        tools_of(endpoint),
    ]


def _sections(
    endpoints: Sequence[Mapping[str, Any]], pasts: Mapping[Place, Past], evidence: Evidence, bounds: Report
) -> Element | None:
    if not endpoints:
        return None
    told = [(endpoint, Place.of(endpoint)) for endpoint in endpoints[: bounds.endpoints_told]]
    exposed = [span for endpoint, place in told for span in spans(endpoint, pasts.get(place, _NOTHING).cells)]
    whole = (
        min((span.first_ns for span in exposed), default=0),
        max((span.last_ns for span in exposed), default=0),
    )
    sections = [
        section(endpoint, pasts.get(place, _NOTHING), evidence.of(place), bounds, _anchor(number), whole)
        for number, (endpoint, place) in enumerate(told)
    ]
    hidden = len(endpoints) - len(told)
    more = f"{count(hidden, 'more endpoint')} without a section of their own, none graver." if hidden else None
    return tag("section", tag("h2", "One by one"), sections, tag("p", more, class_="muted") if more else None)


def _anchor(number: int) -> str:
    return f"endpoint-{number + 1}"


def _rests_on() -> Element:
    return tag(
        "section",
        tag("h2", "What each line rests on"),
        tag("dl", [each for term, text in _RESTS_ON for each in (tag("dt", term), tag("dd", text))], class_="words"),
        tag(
            "p",
            "Every alert names its flow: by addresses and ports, by the number of the packet in the capture, and by "
            "its Community ID, the name under which Suricata, Zeek and Wireshark know the same flow. All alerts are in "
            "--eve, all numbers in --summary; hbids inspect shows each flagged flow beside what tshark makes of it.",
        ),
        class_="keep",
    )


def _not_seen(summary: Mapping[str, Any], history: History) -> Element:
    parts = unseen(summary["drops"])
    if history.timelines.dropped:
        parts.append(f"{history.timelines.dropped:,} requests and answers for which the timelines here had no room")
    return tag(
        "section",
        tag("h2", "What could not be seen"),
        tag(
            "p",
            "Where something is missing, an attempt may have been a leak whose answer was not captured, and leaked "
            "bytes are a lower bound. What happened before and after the capture cannot be told from it.",
        ),
        tag("ul", [tag("li", part) for part in parts])
        if parts
        else tag("p", "Of what the capture holds, nothing had to be left out."),
        class_="keep",
    )
