"""Where numbers and times stand on an axis, and how they are written there."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

__all__ = ["byte_text", "clock_ticks", "duration_text", "linear_ticks", "log_position", "moment"]

_SECOND_NS = 1_000_000_000
_DAY_S = 86_400
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)
_STEPS_DAYS = (1, 2, 5, 10, 30, 60, 120, 360, 720, 1_800, 3_600, 7_200, 36_000, 72_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def moment(time_ns: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in UTC; what no calendar has is written as its edge."""
    try:
        return (_EPOCH + timedelta(seconds=time_ns // _SECOND_NS)).strftime(form)
    except OverflowError:
        return (_EPOCH if time_ns < 0 else _LATEST).strftime(form)


def clock_ticks(first_ns: int, last_ns: int, most: int) -> list[tuple[int, str]]:
    """At most so many round times from the first to the last, with their labels."""
    steps_s = [*_STEPS_S, *(days * _DAY_S for days in _STEPS_DAYS)]
    span_s = max(1, -(-(last_ns - first_ns) // _SECOND_NS))
    step_s = next((step for step in steps_s if span_s // step < most), steps_s[-1])
    step_ns = step_s * _SECOND_NS
    form = "%H:%M:%S" if step_s < 60 else "%H:%M" if step_s < _DAY_S else "%Y-%m-%d"
    if step_s < _DAY_S and span_s > _DAY_S:
        form = "%m-%d %H:%M"
    begin = -(-first_ns // step_ns) * step_ns
    return [(time_ns, moment(time_ns, form)) for time_ns in range(begin, last_ns + 1, step_ns)]


def linear_ticks(largest: float) -> list[int]:
    """0, and two to four round numbers; the last is ``largest`` or more."""
    if largest <= 1:
        return [0, 1]
    magnitude = 10 ** math.floor(math.log10(largest))
    step = next(
        step
        for step in (magnitude // 2, magnitude, magnitude * 2, magnitude * 5)
        if step >= 1 and math.ceil(largest / step) <= 4
    )
    return [step * count for count in range(math.ceil(largest / step) + 1)]


def log_position(value: float, low: float, high: float) -> float:
    """0 at ``low``, 1 at ``high``, by powers of ten."""
    return (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))


def byte_text(number: float) -> str:
    """A size in few characters, by powers of 1,000."""
    for unit in ("", "k", "M", "G", "T"):
        if number < 1_000 or unit == "T":
            break
        number /= 1_000
    return f"{number:.0f} {unit}B" if number >= 10 or number == int(number) else f"{number:.1f} {unit}B"


def duration_text(duration_ns: int) -> str:
    """A duration in the unit that fits."""
    seconds = duration_ns / _SECOND_NS
    for length_s, unit in ((360 * _DAY_S, "year"), (_DAY_S, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= length_s:
            number = round(seconds / length_s, 1)
            return f"{number:,.0f} {unit}{'' if number == 1 else 's'}" if number % 1 == 0 else f"{number:,} {unit}s"
    number = max(1, round(seconds))
    return f"{number} second{'' if number == 1 else 's'}"
