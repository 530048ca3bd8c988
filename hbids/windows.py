"""When a thing that goes on is told again: the windows of a story.

The first window is as long as ``alert_window_ns``; the next begin when it is once, twice, four and eight times over,
and then each after eight times more.
"""

from __future__ import annotations

__all__ = ["window_begin", "window_number"]

_BEGINS = (0, 1, 2, 4, 8)
_LONGEST = 8


def window_number(age: int) -> int:
    """The window that something falls into, ``age`` times the first window after the beginning."""
    if age >= _LONGEST:
        return len(_BEGINS) - 2 + age // _LONGEST
    return sum(age >= begin for begin in _BEGINS[1:])


def window_begin(number: int) -> int:
    """The age at which a window begins."""
    return _BEGINS[number] if number < len(_BEGINS) else (number - len(_BEGINS) + 2) * _LONGEST
