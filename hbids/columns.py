"""The columns that conditions may name: those of the tables of facts, but for what means something in one run only, and
what follows from them (docs/signatures.md lists all).

Words and numbers become whole numbers, and "absent" a span of them that no value falls into.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hbids.facts import (
    ABSENT,
    FLOW_DTYPE,
    HEARTBEAT_DTYPE,
    NO_SUITE,
    NO_VERSION,
    NO_VLAN,
    NOT_SEEN,
    PROTOCOL_EAPOL,
    SESSION_DTYPE,
    Answer,
    Direction,
    EndReason,
    Kind,
    Phase,
    Protection,
    TlsStart,
    Transport,
)
from hbids.parties import address_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import IntEnum

__all__ = ["TABLES", "Column", "Span", "shown"]

Span = tuple[int, int]
"""From and to, both included."""

_LARGEST = int(np.iinfo(np.int64).max)
_SECOND_NS = 1_000_000_000

_LEFT_OUT = {
    *("time_ns", "end_time_ns", "flow_start_ns", "flow_id", "message_id", "answers_message", "packet_number"),
    *("last_record_ns_to_server", "last_record_ns_to_client"),
    "is_final",  # only messages that have ended are asked about
}
_ENUMS: dict[str, type[IntEnum]] = {
    "direction": Direction,
    "encrypt_then_mac": Answer,
    "end_reason": EndReason,
    "first_fin": Direction,
    "kind": Kind,
    "phase": Phase,
    "protection": Protection,
    "resumed": Answer,
    "start": TlsStart,
    "transport": Transport,
}
_MODES = ("heartbeat_offered", "heartbeat_accepted")
_YES_NO = {"no": 0, "yes": 1}
_PROTOCOLS = {"tcp": 6, "udp": 17, "eapol": PROTOCOL_EAPOL}
_VALUES: dict[str, tuple[Span, Span | None]] = {
    "cipher_suite": ((0, NO_SUITE - 1), (NO_SUITE, NO_SUITE)),
    "vlan": ((0, 4095), (NO_VLAN, NO_VLAN)),
    **dict.fromkeys(
        ("record_version", "client_record_version", "client_version", "server_version", "tls_version"),
        ((1, 0xFFFF), (NO_VERSION, NO_VERSION)),
    ),
    **dict.fromkeys(("claimed_length", "request_claimed_length"), ((0, 0xFFFF), (ABSENT, ABSENT))),
    "record_length": ((0, 0xFFFF), None),
    "message_type": ((0, 0xFF), (ABSENT, ABSENT)),
    **dict.fromkeys(("last_record_type_to_server", "last_record_type_to_client"), ((1, 0xFF), (0, 0))),
}
"""Of numbers whose values are not those of their type: what they may be, and what stands for absent."""
_TYPE_NAMES = ("change_cipher_spec", "alert", "handshake", "data", "heartbeat")
"""In the order of :data:`~hbids.facts.CONTENT_TYPES`."""


@dataclass(frozen=True, slots=True)
class Column:
    """Something to be known of each row."""

    kind: str
    """``number``, ``word``, ``address``, ``text`` or ``bytes``."""
    values: Callable[[Any], npt.NDArray[Any]]
    """Of a table: :class:`~hbids.measures.Measured` of heartbeats, else the rows."""
    span: Span = (0, 0)
    """Of numbers and words: the values there are."""
    absent: Span | None = None
    """What stands for absent; None where a value is always there."""
    words: Mapping[str, int] = field(default_factory=dict)


def shown(column: Column, value: Any) -> Any:
    """A value as alerts write it; None when it is absent."""
    if column.kind == "address":
        return address_text(value.tobytes())
    if column.kind == "bytes":
        return value.tobytes().hex()
    if column.kind == "text":
        return value.decode(errors="replace") or None
    present = [int(each) for each in np.atleast_1d(value) if column.span[0] <= each <= column.span[1]]
    names = {number: word for word, number in column.words.items()}
    told = [names.get(each, each) for each in present]
    return told if np.ndim(value) and len(told) > 1 else told[0] if told else None


def _columns(dtype: np.dtype[np.void], rows_of: Callable[[Any], Any]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for name in dtype.names or ():
        if name.startswith("record") and dtype[name].shape:
            columns |= _by_type(name, rows_of)
        elif name not in _LEFT_OUT:
            columns[name] = _column(name, dtype[name], rows_of)
    return columns


def _column(name: str, dtype: np.dtype[Any], rows_of: Callable[[Any], Any]) -> Column:
    def values(table: Any) -> npt.NDArray[Any]:
        column: npt.NDArray[Any] = rows_of(table)[name]
        return column

    if name in _MODES:
        return _words(lambda table: _answers(values(table)), Answer)
    if name in _ENUMS:
        return _words(values, _ENUMS[name])
    if name in ("gap", "midstream"):
        return Column("word", values, (0, 1), words=_YES_NO)
    if dtype.kind == "S":
        return Column("text", values)
    if dtype.shape == (16,):
        return Column("address", values)
    if dtype.shape == (32,):
        return Column("bytes", values)
    span, absent = _VALUES.get(name) or _values_of(dtype.base)
    return Column("number", values, span, absent, _PROTOCOLS if name == "protocol" else {})


def _values_of(dtype: np.dtype[Any]) -> tuple[Span, Span | None]:
    """Numbers of a signed type are never negative but where they are absent."""
    most = min(int(np.iinfo(dtype).max), _LARGEST)
    return (0, most), (NOT_SEEN, ABSENT) if dtype.kind == "i" else None


def _by_type(name: str, rows_of: Callable[[Any], Any]) -> dict[str, Column]:
    """A column that counts by content type, as one for each."""

    def of_type(at: int) -> Column:
        return Column("number", lambda table: rows_of(table)[name][:, at], (0, _LARGEST))

    return {f"{word}_{name}": of_type(at) for at, word in enumerate(_TYPE_NAMES)}


def _words(values: Callable[[Any], npt.NDArray[Any]], enum: type[IntEnum]) -> Column:
    """What an enum calls UNKNOWN is absent."""
    words = {member.name.lower(): int(member) for member in enum if member.name != "UNKNOWN"}
    return Column("word", values, (1, max(words.values())), (0, 0), words)


def _answers(modes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Whether a hello had the extension."""
    return np.where(modes >= 0, Answer.YES, np.where(modes == ABSENT, Answer.NO, Answer.UNKNOWN))


TABLES: dict[str, dict[str, Column]] = {
    "heartbeats": {
        **_columns(HEARTBEAT_DTYPE, lambda heartbeats: heartbeats.rows),
        "overread": Column("number", lambda heartbeats: heartbeats.overread, (0, _LARGEST)),
        "leaked_bytes": Column("number", lambda heartbeats: heartbeats.leaked, (0, _LARGEST)),
        "leaked_bytes_estimated": Column("number", lambda heartbeats: heartbeats.leaked_estimated, (0, _LARGEST)),
        "suspicious": Column("word", lambda heartbeats: heartbeats.suspicious, (0, 1), words=_YES_NO),
    },
    "sessions": _columns(SESSION_DTYPE, lambda rows: rows),
    "flows": {
        **_columns(FLOW_DTYPE, lambda rows: rows),
        "duration_s": Column(
            "number", lambda rows: (rows["end_time_ns"] - rows["time_ns"]) // _SECOND_NS, (0, _LARGEST)
        ),
    },
}
"""By table and name."""
