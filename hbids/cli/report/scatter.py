"""Connections by what they sent and got: a harvest repeats one exchange, and so its dots lie on one spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hbids.cli.report.html import region, tag
from hbids.cli.report.scales import byte_text, log_position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    import numpy as np
    import numpy.typing as npt

__all__ = ["Group", "scatter"]

_WIDTH, _HEIGHT = 720, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 28, 10, 52

_MARKS = {
    "other": "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",  # a dot
    "beats": "m-3 0h6m-3-3v6",  # a plus
    "odd": "m-3-3l6 6m0-6l-6 6",  # a cross
    "leak": "m0-4l4 7h-8z",  # a triangle
    "harvest": "m-3.5-3.5h7v7h-7z",  # a square
}
"""Drawn from the point itself: shapes that are told apart without colour."""


class Group(NamedTuple):
    """Dots of one kind."""

    kind: str
    """One of the marks above."""
    label: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]


def scatter(title: str, x_title: str, y_title: str, groups: Sequence[Group]) -> Element:
    """A figure with logarithmic axes; of what lies on one spot, the group that comes last is on top."""
    low_x, high_x = _decades([group.x for group in groups])
    low_y, high_y = _decades([group.y for group in groups])
    inner_x, inner_y = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place_x(value: float) -> float:
        return _LEFT + inner_x * log_position(value, low_x, high_x)

    def place_y(value: float) -> float:
        return _TOP + inner_y * (1 - log_position(value, low_y, high_y))

    drawn: list[Element] = []
    for value in _ticks(low_x, high_x):
        drawn.append(tag("path", d=f"M{place_x(value):.1f} {_TOP}v{inner_y}", class_="grid"))
        drawn.append(
            tag("text", byte_text(value), x=round(place_x(value), 1), y=_HEIGHT - _BOTTOM + 18, class_="middle")
        )
    for value in _ticks(low_y, high_y):
        drawn.append(tag("path", d=f"M{_LEFT} {place_y(value):.1f}h{inner_x}", class_="grid"))
        drawn.append(tag("text", byte_text(value), x=_LEFT - 6, y=round(place_y(value) + 4, 1), class_="end"))
    drawn.append(tag("path", d=f"M{_LEFT} {_TOP}v{inner_y}h{inner_x}", class_="axis"))
    drawn.append(tag("text", x_title, x=_LEFT + inner_x / 2, y=_HEIGHT - 10, class_="middle title"))
    drawn.append(
        tag("text", y_title, class_="middle title", transform=f"translate(16 {_TOP + inner_y / 2:g}) rotate(-90)")
    )
    for group in groups:
        spots = dict.fromkeys(
            (round(place_x(x), 1), round(place_y(y), 1))
            for x, y in zip(group.x.tolist(), group.y.tolist(), strict=True)
        )
        path = "".join(f"M{x:g} {y:g}{_MARKS[group.kind]}" for x, y in spots)
        if path:
            drawn.append(tag("path", d=path, class_=f"mark {group.kind}"))
    told = "; ".join(f"{len(group.x):,} {group.label}" for group in groups if len(group.x))
    svg = tag("svg", tag("title", title), tag("desc", f"{told}."), drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img")
    return tag("figure", region(title, svg), tag("figcaption", [_key(group) for group in groups if len(group.x)]))


def _key(group: Group) -> Element:
    mark = tag(
        "svg",
        tag("path", d=f"M7 7{_MARKS[group.kind]}", class_=f"mark {group.kind}"),
        viewBox="0 0 14 14",
        class_="sign",
        aria_hidden="true",
    )
    return tag("span", mark, f" {group.label}: {len(group.x):,}", class_="entry")


def _decades(values: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    """Powers of ten, or twice or five times such, around all values."""
    low = min((float(each.min()) for each in values if len(each)), default=1.0)
    high = max((float(each.max()) for each in values if len(each)), default=10.0)
    low, high = max(low, 1.0) * 0.8, max(high, 1.0) * 1.25
    steps = [factor * 10.0**power for power in range(20) for factor in (1, 2, 5)]
    return max(step for step in steps if step <= max(low, 1.0)), min(step for step in steps if step >= high)


def _ticks(low: float, high: float) -> list[float]:
    steps = [factor * 10.0**power for power in range(20) for factor in (1, 2, 5)]
    chosen = [step for step in steps if low <= step <= high]
    return chosen if len(chosen) <= 8 else [step for step in chosen if str(step).startswith("1")]
