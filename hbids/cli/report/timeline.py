"""An endpoint's story as pictures: leaked bytes, requests and sources over time; and when it was exposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hbids.cli.report.html import region, tag
from hbids.cli.report.scales import byte_text, clock_ticks, duration_text, linear_ticks, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

    from hbids.cli.report.html import Child

__all__ = ["Span", "exposure_bar", "timeline"]

_WIDTH, _LEFT, _RIGHT = 720, 64, 12
_PANEL, _TITLE, _GAP = 84, 20, 10
_LEAST_WINDOWS = 24
"""Shown even when less happened: one bar over the whole width would look like a long time."""
_MOST_TICKS = 7


class _Panel(NamedTuple):
    title: str
    layers: tuple[tuple[str, npt.NDArray[np.int64]], ...]
    """Class and heights, stacked from below."""
    text: Callable[[float], str]


def timeline(name: str, cells: npt.NDArray[np.void]) -> Element | None:
    """A figure of what is in :data:`~hbids.stats.timelines.CELL_DTYPE` rows of one endpoint; None when all of it
    happened within one window, so that there is nothing to see."""
    if not len(cells) or (cells["window_ns"] == cells["window_ns"][0]).all():
        return None
    length_ns = int(cells["window_length_ns"][0])
    windows = (cells["window_ns"] // length_ns).astype(np.int64)
    first = int(windows.min())
    count = int(windows.max()) - first + 1
    missing = max(0, _LEAST_WINDOWS - count)
    first, count = first - missing // 2, count + missing
    requests, exact, estimate = (
        np.bincount(windows - first, cells[column], count).astype(np.int64)
        for column in ("requests", "leaked_bytes", "leaked_bytes_estimated")
    )
    leaked = exact + estimate
    every = duration_text(length_ns).removeprefix("1 ")
    panels = [
        _Panel(f"Requests every {every}", (("asked", requests),), _plain),
        _Panel(f"Sources every {every}", (("who", np.bincount(windows - first, minlength=count)),), _plain),
    ]
    if leaked.any():
        layers = (("exact", exact), ("estimate", estimate))
        panels.insert(0, _Panel(f"Leaked bytes every {every}", layers, byte_text))
    told = (
        f"{leaked.sum():,} leaked bytes and {requests.sum():,} requests"
        if leaked.any()
        else f"{requests.sum():,} requests"
    )
    busiest_ns = (first + int(np.argmax(leaked if leaked.any() else requests))) * length_ns
    about = f"{told}; busiest in the {every} from {moment(busiest_ns)} UTC on."
    svg = tag(
        "svg",
        tag("title", f"What happened to {name} over time"),
        tag("desc", about),
        _draw(panels, first * length_ns, length_ns, count),
        viewBox=f"0 0 {_WIDTH} {len(panels) * (_PANEL + _TITLE + _GAP) + 30}",
        role="img",
    )
    key: list[Child] = [
        tag("span", class_="swatch exact"),
        " read on the wire ",
        tag("span", class_="swatch estimate"),
        " estimated. ",
    ]
    return tag("figure", region(f"Timeline of {name}", svg), tag("figcaption", key if estimate.any() else None, about))


def _plain(number: float) -> str:
    return f"{number:,.0f}"


def _draw(panels: Sequence[_Panel], begin_ns: int, length_ns: int, count: int) -> list[Element]:
    """All panels, one below the other, over one axis of time."""
    inner = _WIDTH - _LEFT - _RIGHT
    bar = inner / count
    end_ns = begin_ns + count * length_ns
    ticks = [
        (_LEFT + inner * (time_ns - begin_ns) / (end_ns - begin_ns), label)
        for time_ns, label in clock_ticks(begin_ns, end_ns, _MOST_TICKS)
    ]
    drawn = []
    bottom = 0
    for number, panel in enumerate(panels):
        top = number * (_PANEL + _TITLE + _GAP) + _TITLE
        bottom = top + _PANEL
        drawn.append(tag("text", panel.title, x=_LEFT, y=top - 7, class_="title"))
        heights = np.sum([heights for _, heights in panel.layers], axis=0)
        numbers = linear_ticks(float(heights.max()))
        for value in numbers:
            y = round(bottom - _PANEL * value / numbers[-1], 1)
            drawn.append(tag("path", d=f"M{_LEFT} {y}h{inner}", class_="grid" if value else "axis"))
            drawn.append(tag("text", panel.text(value), x=_LEFT - 6, y=y + 4, class_="end"))
        drawn += [tag("path", d=f"M{x:.1f} {bottom}v4", class_="axis") for x, _ in ticks]
        base = np.zeros(count)
        for kind, values in panel.layers:
            pieces = []
            for window in np.flatnonzero(values).tolist():
                low, high = (_PANEL * height / numbers[-1] for height in (base[window], base[window] + values[window]))
                height = max(high - low, 1.0)  # little is not nothing
                x, width = _LEFT + window * bar, max(bar - 1, 0.8)
                pieces.append(f"M{x:.1f} {bottom - low:.1f}v{-height:.1f}h{width:.1f}v{height:.1f}z")
            if pieces:
                drawn.append(tag("path", d="".join(pieces), class_=f"bar {kind}"))
            base += values
    drawn += [tag("text", label, x=round(x, 1), y=bottom + 17, class_="middle") for x, label in ticks]
    drawn.append(tag("text", _days(begin_ns, end_ns), x=_WIDTH - _RIGHT, y=bottom + 34, class_="end"))
    return drawn


def _days(first_ns: int, last_ns: int) -> str:
    first, last = moment(first_ns, "%Y-%m-%d"), moment(last_ns, "%Y-%m-%d")
    return f"{first}, UTC" if first == last else f"{first} to {last}, UTC"


# --- exposure ---------------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """Something that lasted."""

    kind: str
    label: str
    first_ns: int
    last_ns: int
    is_open: bool = False
    """Its end was not seen."""

    @property
    def text(self) -> str:
        """From when to when."""
        begin = moment(self.first_ns)
        return f"from {begin} UTC on, no end seen" if self.is_open else f"{begin} to {moment(self.last_ns)} UTC"


def exposure_bar(name: str, spans: Sequence[Span], whole: tuple[int, int]) -> Element | None:
    """Spans below each other, over the time that all endpoints together span; None when that is a moment."""
    first_ns, last_ns = whole
    if last_ns - first_ns < 1_000_000_000 or all((span.first_ns, span.last_ns) == whole for span in spans):
        return None
    row, left = 26, 150
    inner = _WIDTH - left - _RIGHT
    drawn: list[Child] = []
    bottom = row * len(spans) + 4
    for number, span in enumerate(spans):
        begin, end = (
            left + inner * (min(max(time_ns, first_ns), last_ns) - first_ns) / (last_ns - first_ns)
            for time_ns in (span.first_ns, span.last_ns)
        )
        y = row * number + 4
        drawn.append(tag("text", span.label, x=left - 10, y=y + 14, class_="end"))
        drawn.append(tag("path", d=f"M{left} {y + 10}h{inner}", class_="grid"))
        width = max(end - begin, 3.0)
        begin = min(begin, left + inner - width)
        drawn.append(
            tag("rect", x=round(begin, 1), y=y + 2, width=round(width, 1), height=16, rx=2, class_=f"bar {span.kind}")
        )
    for time_ns, label in clock_ticks(first_ns, last_ns, _MOST_TICKS - 1):
        x = left + inner * (time_ns - first_ns) / (last_ns - first_ns)
        drawn.append(tag("path", d=f"M{x:.1f} {bottom}v4", class_="axis"))
        drawn.append(tag("text", label, x=round(x, 1), y=bottom + 17, class_="middle" if x < _WIDTH - 60 else "end"))
    drawn.append(tag("path", d=f"M{left} {bottom}h{inner}", class_="axis"))
    drawn.append(tag("text", _days(first_ns, last_ns), x=_WIDTH - _RIGHT, y=bottom + 34, class_="end"))
    about = "; ".join(f"{span.label}: {span.text}" for span in spans)
    svg = tag(
        "svg",
        tag("title", f"When {name} was exposed"),
        tag("desc", about),
        drawn,
        viewBox=f"0 0 {_WIDTH} {bottom + 40}",
        role="img",
    )
    return tag("figure", region(f"Exposure of {name}", svg))
