"""The decoder as the rest of hbids sees it, and the choice between its two implementations.

Both engines turn the same frames into the same facts: ``reference`` (Python, the executable specification) and
``native`` (Rust, the fast lane). ``auto`` takes native and says loudly when it cannot.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Protocol

from hbids.config import Limits
from hbids.facts import Facts, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ENGINES", "Engine", "EngineUnavailable", "native_available", "open_engine"]

FINISH_STEP_FLOWS = 4_096
"""Flows ended in one step of ``finish``: about 1.3 MB of rows."""

ENGINES = ("auto", "native", "reference")


class EngineUnavailable(RuntimeError):
    """The native engine was asked for by name and is not installed."""


class Engine(Protocol):
    """Frames in, facts out. One engine sees one run: flow state goes on from batch to batch."""

    name: str

    def feed(self, batch: FrameBatch, at_least_rows: int = 0) -> Facts:
        """Decode a batch. Rows wait in the engine until there are so many. Never raises on any content."""

    def tick(self, time_ns: int) -> Facts:
        """Let time go on while nothing arrives: flows that have been idle for too long end."""

    def finish(self) -> Iterator[Facts]:
        """End every flow that is still open (reason CAPTURE_END), some thousand a step, so that a million flows do not
        give all their rows at once. Exhausted, the engine may be fed again, as a fresh capture."""

    def counters(self) -> dict[str, int]:
        """Totals so far: ``packets``, ``bytes``, ``flows``, and one entry per kind of drop, see docs/counters.md."""


def native_available() -> bool:
    """Whether the compiled engine can be imported."""
    try:
        import hbids._native  # noqa: F401
    except ImportError:
        return False
    return True


def open_engine(name: str = "auto", limits: Limits | None = None) -> Engine:
    """The engine called ``name`` (one of :data:`ENGINES`).

    Raises :class:`EngineUnavailable` when ``native`` is named and missing; ``auto`` warns and takes the reference.
    """
    if name not in ENGINES:
        raise ValueError(f"engine {name!r}: must be one of {', '.join(ENGINES)}")
    limits = limits or Limits()
    if name != "reference" and native_available():
        from hbids.decode.native import NativeEngine

        return NativeEngine(limits)
    if name == "native":
        raise EngineUnavailable("the native engine is not installed: install a wheel, or build with Rust 1.85 or newer")
    if name == "auto":
        warnings.warn(
            "native engine not installed: using the reference engine, same results but about 100 times slower",
            RuntimeWarning,
            stacklevel=2,
        )
    from hbids.decode.reference import ReferenceEngine

    return ReferenceEngine(limits)
