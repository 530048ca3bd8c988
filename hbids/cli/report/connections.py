"""The part about connections: all of them by size, and those out of line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.cli.report import evidence as evidence_of
from hbids.cli.report.html import table, tag
from hbids.cli.report.scatter import Group, scatter
from hbids.facts import Verdict
from hbids.stats.endpoints import Place, place_of
from hbids.stats.flowsample import SIZES, FlowKind
from hbids.stats.shapes import shape_marks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

    from hbids.cli.report.evidence import Event
    from hbids.keyed import Flags
    from hbids.stats.flowsample import FlowSample

__all__ = ["connections", "suspicions"]


def connections(
    sample: FlowSample, endpoints: Sequence[Mapping[str, Any]], out_of_line: Sequence[tuple[Place, Event]]
) -> Element | None:
    """Each flow of the sample as a mark. ``out_of_line``: of flows and their endpoint, what evidence gives."""
    points = sample.points()
    if not len(points):
        return None
    keys, of = np.unique(points["endpoint"], axis=0, return_inverse=True)
    places = [place_of(*key) for key in keys.tolist()]
    of = of.reshape(-1)
    harvested = {Place.of(endpoint) for endpoint in endpoints if endpoint["verdict"] == Verdict.HARVESTED.word}
    harvest = np.array([place in harvested for place in places], bool)[of]
    leak, silent = points["kind"] == FlowKind.LEAK, points["kind"] == FlowKind.SILENT
    odd = silent & _odd(points, places, of, out_of_line)
    groups = (
        ("other", "without heartbeats", silent & ~odd),
        ("odd", "without heartbeats, out of line", odd),
        ("beats", "with heartbeats, nothing leaked", points["kind"] == FlowKind.HEARTBEATS),
        ("leak", "leaked", leak & ~harvest),
        ("harvest", "leaked to a harvest", leak & harvest),
    )
    sizes = {name: points[name].astype(np.float64) for name in SIZES}
    a_packet = [sizes[f"bytes_{way}"] / np.maximum(sizes[f"packets_{way}"], 1) for way in ("to_server", "to_client")]
    in_all = [sizes["bytes_to_server"], sizes["bytes_to_client"]]
    return tag(
        "section",
        tag("h2", "Connections by size"),
        tag(
            "p",
            "Each mark is a TLS connection. Who reads memory sends little and gets much. People's connections differ; "
            "a harvest repeats one exchange, and so its marks lie on one spot.",
        ),
        tag("p", _sampled(sample, points), class_="muted"),
        _drawn("Bytes a packet", "bytes a packet", a_packet, groups),
        _drawn("Bytes in all", "bytes", in_all, groups),
    )


def suspicions(found: Sequence[tuple[Place, Event]], most: int) -> Element | None:
    """Flows out of line, as alerts."""
    if not found:
        return None
    return tag(
        "section",
        tag("h2", "Suspicion"),
        tag(
            "p",
            "Flows out of line with what their service usually has, without a heartbeat that could be read. That "
            "changes no verdict, and should be looked at.",
        ),
        table("Flows out of line", evidence_of.HEADS, (evidence_of.row(event) for _, event in found[:most])),
    )


def _drawn(
    title: str, unit: str, axes: Sequence[npt.NDArray[np.float64]], groups: Sequence[tuple[str, str, Flags]]
) -> Element:
    x, y = axes
    marks = [Group(kind, label, x[chosen], y[chosen]) for kind, label, chosen in groups]
    return scatter(title, f"{unit}, to the server", f"{unit}, to the client", marks)


def _sampled(sample: FlowSample, points: npt.NDArray[np.void]) -> str:
    """What is drawn of how many."""
    seen, drawn = sum(sample.seen), len(points)
    if seen == drawn:
        return f"All {seen:,} that ended are drawn."
    words = ("without heartbeats", "with heartbeats but no leak", "that leaked")
    parts = [
        f"{np.count_nonzero(points['kind'] == kind):,} of {sample.seen[kind]:,} {word}"
        for kind, word in zip(FlowKind, words, strict=True)
        if sample.seen[kind]
    ]
    return f"A sample is drawn, chosen by chance but the same in each run: {', '.join(parts)}."


def _odd(
    points: npt.NDArray[np.void],
    places: Sequence[Place],
    of: npt.NDArray[np.intp],
    out_of_line: Collection[tuple[Place, Event]],
) -> Flags:
    """Flows of the shapes that alerts speak of."""
    odd = np.zeros(len(points), bool)
    shapes = np.array(
        [tuple(event["alert"]["context"]["hbids"][name] for name in SIZES) for _, event in out_of_line],
        [(name, "<u8") for name in SIZES],
    )
    marks = shape_marks(shapes, np.arange(len(shapes)))
    for (place, _), mark in zip(out_of_line, marks, strict=True):
        if place in places:
            odd |= (points["shape"] == mark) & (of == places.index(place))
    return odd
