"""What an event holds under a key, if it is what it should be: a line of EVE may hold anything."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["address_of", "bytes_of", "number_of", "numbers_of", "object_of", "text_of", "time_ns", "time_ns_of"]

_NOTHING: Mapping[str, Any] = {}
_MOST_PARSED = 4_096
_SECOND_NS = 1_000_000_000
_MOST_DIGITS = 40
_SECONDS_DIGITS = len("2026-11-23T17:50:59")
_LATEST_SECOND = 9_000_000_000
"""In the year 2255; still an int64 in nanoseconds."""


def text_of(event: Mapping[str, Any], key: str) -> str:
    """Text; empty when there is none."""
    value = event.get(key)
    return value if isinstance(value, str) else ""


def object_of(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object; empty when there is none."""
    value = event.get(key)
    return value if isinstance(value, dict) else _NOTHING


def number_of(event: Mapping[str, Any], key: str, most: int = (1 << 63) - 1) -> int | None:
    """A whole number from 0 to ``most``."""
    value = event.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def numbers_of(event: Mapping[str, Any], key: str, most: int, count: int) -> list[int]:
    """The first ``count`` numbers of a list, those that are whole and from 0 to ``most``."""
    values = event.get(key)
    if not isinstance(values, list):
        return []
    return [value for value in values[:count] if type(value) is int and 0 <= value <= most]


def bytes_of(event: Mapping[str, Any], key: str) -> bytes:
    """What base64 text says; empty when there is none."""
    value = event.get(key)
    if not isinstance(value, str):
        return b""
    try:
        return b64decode(value, validate=True)
    except ValueError:
        return b""


@lru_cache(maxsize=_MOST_PARSED)
def _parsed(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None)
    return "" if "%" in address else str(mapped or parsed)


def address_of(event: Mapping[str, Any], key: str) -> str:
    """An IP address in its shortest form; empty when there is none."""
    value = event.get(key)
    return _parsed(value) if isinstance(value, str) and len(value) <= len("::ffff:255.255.255.255") * 2 else ""


@lru_cache(maxsize=_MOST_PARSED)
def _seconds(moment: str, offset: str) -> int | None:
    try:
        seconds = int(datetime.fromisoformat(moment + (offset or "+0000")).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _LATEST_SECOND else None


def time_ns_of(event: Mapping[str, Any], key: str) -> int | None:
    """The time that an event holds, in nanoseconds."""
    value = event.get(key)
    return time_ns(value) if isinstance(value, str) else None


def time_ns(moment: str) -> int | None:
    """EVE's form of a time, ``2026-11-23T17:50:59.567938+0000``, in nanoseconds; None when it is none."""
    if not _SECONDS_DIGITS <= len(moment) <= _MOST_DIGITS:
        return None
    seconds_text, rest = moment[:_SECONDS_DIGITS], moment[_SECONDS_DIGITS:]
    fraction = ""
    if rest.startswith("."):
        fraction = rest[1:].rstrip("Z") if rest.endswith("Z") else rest[1:-5]
        rest = rest[1 + len(fraction) :]
    if fraction and not (fraction.isascii() and fraction.isdecimal()):
        return None
    seconds = _seconds(seconds_text, "+0000" if rest == "Z" else rest)
    return None if seconds is None else seconds * _SECOND_NS + int((fraction + "000000000")[:9])
