"""Lines for sinks, and sinks and outboxes to take them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hbids.config import Sinks
from hbids.eve.sinks import Beginning, sink_for
from hbids.eve.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hbids.eve.sinks import Sink

__all__ = ["QUICK", "line", "open_outbox", "open_sink"]

QUICK = Sinks(retry_ns=100_000_000)
"""Failed sinks are tried again soon, so that tests need not wait."""


def line(number: int, bytes_: int = 0) -> bytes:
    """An event, padded to about ``bytes_``."""
    return b'{"n":%d,"padding":"%s"}\n' % (number, b"x" * bytes_)


@contextmanager
def open_outbox(destination: str | Sink, settings: Sinks = QUICK, told: list[str] | None = None) -> Iterator[Outbox]:
    """An outbox as a sensor has it; what it tells goes to ``told``."""
    sink = sink_for(destination, settings, Beginning.APPENDED) if isinstance(destination, str) else destination
    outbox = Outbox(sink, settings, ([] if told is None else told).append)
    outbox.start()
    try:
        yield outbox
    finally:
        outbox.close(deadline_s=5)


def open_sink(destination: str, *, replace: bool = False) -> Sink:
    """A sink alone, open."""
    sink = sink_for(destination, QUICK, Beginning.NEW if replace else Beginning.APPENDED)
    sink.open()
    return sink
