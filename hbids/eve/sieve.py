"""The sieve: EVE lines go in by the block, and what can be told from their bytes is. Most lines matter to nobody, and
most that matter are ``tls`` and ``flow`` events of TLS without heartbeats, of which few numbers are wanted. To parse
each as JSON would take many times as long.

What is left out, and what is handed over to be parsed:

- a line matters if it has ``event_type`` with a type that is read (a key of that name inside another object is no harm:
  whoever takes the event looks at its own); of ``frame`` events, heartbeats; of ``flow`` and ``netflow`` events, those
  of TLS, and of flows that are known;
- ``flow`` events that look as Suricata writes them become rows;
- ``tls`` events that begin as Suricata writes them wait until a heartbeat of their flow claims them, their flow is
  over, or they have waited long enough; then they are told of, if they may concern heartbeats;
- what looks otherwise, or is of a flow that is known, is parsed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hbids.config import Eve

__all__ = ["SIFTED_DTYPE", "Session", "Sieve", "Stop", "open_sieve"]

SIFTED_DTYPE = np.dtype(
    [
        ("time_ns", "<i8"),
        ("end_time_ns", "<i8"),
        ("client_addr", "u1", (16,)),
        ("server_addr", "u1", (16,)),
        ("client_port", "<u2"),
        ("server_port", "<u2"),
        ("vlan", "<u2", (3,)),
        ("end_reason", "u1"),
        ("packets_to_server", "<u8"),
        ("packets_to_client", "<u8"),
        ("bytes_to_server", "<u8"),
        ("bytes_to_client", "<u8"),
    ]
)
"""A flow of TLS over TCP; the columns are those of :data:`~hbids.facts.FLOW_DTYPE`."""


class Stop(IntEnum):
    """Why sifting stopped."""

    END = 0
    """There are no more lines."""
    EVENT = 1
    """A line has to be parsed; sifting goes on behind it."""
    SECOND = 2
    """A line begins another second; sifting goes on at it."""


class Session(NamedTuple):
    """A ``tls`` event that waits, or is told of."""

    flow_id: int
    time_ns: int
    """Since when it waits."""
    place: int
    """Of the block that it stood in."""
    line: bytes


class Sieve(Protocol):
    """One log through one sieve; what waits goes on from block to block."""

    def sift(self, lines: bytes, start: int, end: int, place: int, now_ns: int) -> tuple[int, int, int]:
        """Read on in whole lines, which end at ``end``, from ``start`` until there is something to do: a :class:`Stop`,
        and where its line begins and ends. ``place`` names the block, by a larger number than the one before;
        ``now_ns`` is the time by now. Never raises on any content."""

    def know(self, flow_id: int) -> None:
        """All events of this flow are to be parsed."""

    def forget(self, flow_id: int) -> None:
        """No longer."""

    def claim(self, flow_id: int) -> tuple[int, int, int, bytes] | None:
        """The :class:`Session` of a flow, which waits no longer."""

    def tell(self, flow_id: int) -> None:
        """The flow is over: its session need not wait, if it does."""

    def tell_since(self, time_ns: int) -> None:
        """Sessions that have waited since then or longer have waited long enough."""

    def told(self) -> Sequence[tuple[int, int, int, bytes]]:
        """Each :class:`Session` that is told of, in the order in which they were over; once."""

    def flows(self) -> bytes:
        """Rows of :data:`SIFTED_DTYPE`, in the order of the lines; once."""

    def oldest_place(self, start: int) -> int | None:
        """The first place from ``start`` on from which a session waits."""

    def counts(self) -> tuple[int, int, int, int, int]:
        """Of lines, of ``tls`` events read, of ``flow`` events read, of sessions that were over and did not concern
        heartbeats, and of those of TLS 1.3 among them."""


def open_sieve(engine: str, limits: Eve, *, tells_all: bool) -> Sieve:
    """Of the native engine, or the reference one; ``tells_all``: all sessions are told of."""
    if engine == "native":
        from hbids import _native

        return _native.Sieve(limits.sessions, limits.session_bytes_total, tells_all)
    from hbids.eve.sifting import ReferenceSieve

    return ReferenceSieve(limits.sessions, limits.session_bytes_total, tells_all)
