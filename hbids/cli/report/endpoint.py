"""The section of one endpoint: what happened, when, who did it, what was in its memory, and which alerts say so."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.cli import naming
from hbids.cli.report import evidence as evidence_of
from hbids.cli.report.html import dated, table, tag
from hbids.cli.report.scales import duration_text, moment
from hbids.cli.report.timeline import Span, exposure_bar, timeline
from hbids.cli.secrets import kind_of_service, secrets_of
from hbids.cli.verdict import count, leaked, name_of, tools_of
from hbids.detect import harvest
from hbids.facts import Verdict
from hbids.parties import words_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

    from hbids.cli.report.evidence import Event
    from hbids.cli.report.html import Child
    from hbids.config import Report
    from hbids.stats.history import Past

__all__ = ["badge", "period", "second", "section", "spans", "verdict_of"]

_EXPOSURES = (
    ("exposed", "Exposed", "exposed_from", "exposed_until"),
    ("accepts", "Accepted heartbeats", "heartbeat_first_accepted", "heartbeat_last_accepted"),
    ("leaks", "Leaked", "first_leak", "last_leak"),
    ("patched", "Patched", "first_patched", "last_patched"),
)
"""Of ``exposure`` in the summary: class, words, and the keys of beginning and end."""

_HARVESTS = {
    harvest.ONE_SOURCE: "by one source",
    harvest.SLOW_SOURCE: "low and slow, by one source",
    harvest.ONE_NETWORK: "by several addresses of one network",
    harvest.ONE_BEHAVIOUR: "by several sources that behave as one",
}


def section(
    endpoint: Mapping[str, Any],
    past: Past,
    alerts: Sequence[Event],
    bounds: Report,
    anchor: str,
    whole: tuple[int, int],
) -> Element:
    """All of one endpoint; ``whole`` is the time that the :func:`spans` of all endpoints together take, in ns."""
    name, cells = name_of(endpoint), past.cells
    exposed = spans(endpoint, cells)
    return tag(
        "section",
        tag("h3", badge(verdict_of(endpoint)), " ", name),
        tag("p", _sentence(endpoint), class_="lead"),
        _facts(endpoint, past, exposed, alerts),
        exposure_bar(name, exposed, whole),
        timeline(name, cells),
        _sources(endpoint, cells, bounds.sources_listed),
        _secrets(endpoint, past),
        _alerts(name, alerts, bounds.alerts_listed),
        id=anchor,
        class_="endpoint",
    )


def verdict_of(endpoint: Mapping[str, Any]) -> Verdict:
    """The verdict behind its word."""
    return Verdict[endpoint["verdict"].upper()]


def badge(verdict: Verdict) -> Element:
    """The verdict as a label."""
    return tag("strong", verdict.word, class_=f"badge {verdict.word}")


def second(time: str) -> str:
    """A time of the summary, to the second."""
    return time.replace("T", " ")[:19]


def period(endpoint: Mapping[str, Any]) -> str:
    """From the first to the last that was seen of it, UTC."""
    first, last = second(endpoint["first_seen"]), second(endpoint["last_seen"])
    if first == last:
        return first
    return f"{first} to {last[11:] if first[:10] == last[:10] else last}"


def _sentence(endpoint: Mapping[str, Any]) -> str:
    """What happened, in a sentence or two."""
    sources = count(len(endpoint["sources"]), "source")
    lasted_ns = _time_ns(endpoint["last_seen"]) - _time_ns(endpoint["first_seen"])
    within = f"within {duration_text(lasted_ns)}" if lasted_ns >= 1_000_000_000 else "within a second"
    answers = count(endpoint["leaking_answers"], "answer")
    asked = count(endpoint["heartbeat_requests"] + endpoint["sealed_requests"], "request")
    gone = f"{leaked(endpoint)} bytes of its memory in {answers} to {sources}, {within}"
    match verdict_of(endpoint):
        case Verdict.HARVESTED:
            return f"Harvested: {gone}. Nobody who only checks takes so much."
        case Verdict.LEAKED:
            return f"Leaked {gone}. A scan takes as few answers; what stood in them is lost all the same."
        case Verdict.ATTEMPTED:
            return f"Asked for memory by {sources} ({asked}, {within}); no answer with memory in it was seen."
        case Verdict.PROBED:
            return f"Probed by {sources} ({asked}, {within}) in ways that cannot leak."
    return "Accepts heartbeats. Nobody was seen to abuse them; whether its software is patched does not show."


def _facts(endpoint: Mapping[str, Any], past: Past, exposed: Sequence[Span], alerts: Sequence[Event]) -> Element:
    accepts = {True: "accepted", False: "refused", None: ""}[endpoint["accepts_heartbeat_extension"]]
    service = kind_of_service(endpoint, past.service.starts)
    over = f"{endpoint['transport'].upper()} over {endpoint['protocol'].upper()}"
    harvests = dict.fromkeys(_HARVESTS.get(event["alert"]["signature_id"], "") for event in alerts)
    facts = [
        ("Known as", ", ".join(past.service.names)),
        ("Asset", ", ".join(endpoint.get("assets") or ())),
        ("Service", f"{service}, {over}" if service else over),
        ("Role", "client, asked by the server it had connected to" if endpoint["role"] == "client" else ""),
        ("Seen", f"{period(endpoint)} UTC"),
        *((span.label, span.text) for span in exposed if endpoint.get("exposure")),
        ("Requests", f"{endpoint['heartbeat_requests']:,} in clear, {endpoint['sealed_requests']:,} sealed"),
        ("Over-reads", f"{endpoint['overread_requests']:,} of those in clear asked for more than they carried")
        if endpoint["heartbeat_requests"]
        else ("", ""),
        ("Leaked memory", _leaked_words(endpoint)),
        ("Heartbeat extension", accepts),
        ("Harvest", "; ".join(filter(None, harvests))),
        ("Tools", tools_of(endpoint)),
    ]
    return tag("dl", [each for term, text in facts if text for each in (tag("dt", term), tag("dd", dated(text)))])


def _leaked_words(endpoint: Mapping[str, Any]) -> str:
    exact, estimated = endpoint["leaked_bytes"], endpoint["leaked_bytes_estimated"]
    if not exact + estimated:
        return "nothing that was seen"
    parts = [
        f"{exact:,} bytes, counted on the wire" if exact else "",
        f"about {estimated:,} bytes in sealed answers, estimated" if estimated else "",
    ]
    return f"{' and '.join(filter(None, parts))}, in {count(endpoint['leaking_answers'], 'answer')}"


def spans(endpoint: Mapping[str, Any], cells: npt.NDArray[np.void]) -> list[Span]:
    """When it was exposed: as the summary says, else as far as its requests and answers show."""
    exposure = endpoint.get("exposure") or {}
    found = []
    for kind, label, first, last in _EXPOSURES:
        if begin := exposure.get(first):
            end = exposure.get(last)
            begin_ns = _time_ns(begin)
            end_ns = _time_ns(end or endpoint["last_seen"])
            found.append(Span(kind, label, begin_ns, max(begin_ns, end_ns), is_open=not end))
    if found:
        return found
    for kind, label, column in (("accepts", "Was asked", "requests"), ("leaks", "Leaked", "answers")):
        chosen = cells[cells[column] > 0]
        if len(chosen):
            found.append(Span(kind, label, int(chosen["first_ns"].min()), int(chosen["last_ns"].max())))
    return found


def _sources(endpoint: Mapping[str, Any], cells: npt.NDArray[np.void], most: int) -> Element | None:
    """Who asked and got what, gravest first."""
    if not len(cells):
        return None
    keys, of = np.unique(cells["source"], axis=0, return_inverse=True)
    of = of.reshape(-1)
    names = ("requests", "overreads", "answers", "leaked_bytes", "leaked_bytes_estimated")
    sums = {name: np.bincount(of, cells[name], len(keys)).astype(np.int64) for name in names}
    first_ns, last_ns = np.full(len(keys), np.iinfo(np.int64).max), np.full(len(keys), np.iinfo(np.int64).min)
    np.minimum.at(first_ns, of, cells["first_ns"])
    np.maximum.at(last_ns, of, cells["last_ns"])
    taken = sums["leaked_bytes"] + sums["leaked_bytes_estimated"]
    order = np.lexsort((first_ns, -sums["requests"], -taken))
    rows: list[list[Child]] = [
        [
            _source_text(endpoint, keys[number].tolist()),
            f"{sums['requests'][number]:,}",
            f"{sums['answers'][number]:,}",
            leaked({name: int(sums[name][number]) for name in names[3:]}),
            tag("time", moment(int(first_ns[number]))),
            tag("time", moment(int(last_ns[number]))),
        ]
        for number in order[:most].tolist()
    ]
    rest = order[most:]
    if len(rest):
        rows.append(
            [
                f"{len(rest):,} more",
                f"{sums['requests'][rest].sum():,}",
                f"{sums['answers'][rest].sum():,}",
                leaked({name: int(sums[name][rest].sum()) for name in names[3:]}),
                tag("time", moment(int(first_ns[rest].min()))),
                tag("time", moment(int(last_ns[rest].max()))),
            ]
        )
    heads = ("Address", "Requests", "Leaking answers", "Bytes it got", "First (UTC)", "Last (UTC)")
    return table(f"Who asked {name_of(endpoint)}, and what they got", heads, rows, numbers=(1, 2, 3))


def _source_text(endpoint: Mapping[str, Any], words: list[int]) -> str:
    if words == [0, 0]:
        return "others"
    address = words_text(*words)
    (name,) = naming.sources({**endpoint, "sources": [address]})
    scanners = endpoint.get("authorized_scanners") or {"sources": ()}
    return f"{name} (authorized scanner)" if address in scanners["sources"] else name


def _secrets(endpoint: Mapping[str, Any], past: Past) -> Element | None:
    if verdict_of(endpoint) < Verdict.LEAKED:
        return None
    items = [tag("li", text) for text in secrets_of(endpoint, past.service.starts)]
    return tag("div", tag("h4", "What to make anew here"), tag("ul", items), class_="keep")


def _alerts(name: str, alerts: Sequence[Event], most: int) -> Element | None:
    if not alerts:
        return None
    caption = f"Evidence about {name}: of each kind of alert the first ones and the last, gravest first"
    if len(alerts) > most:
        caption += f"; {len(alerts) - most:,} left out"
    return table(caption, evidence_of.HEADS, map(evidence_of.row, alerts[:most]))


def _time_ns(text: str) -> int:
    """Of the summary's form of a time."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000
