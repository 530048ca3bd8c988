"""Frames through an engine, and what comes out in a form that is easy to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.capture import open_capture
from hbids.decode.engine import open_engine
from hbids.facts import Facts
from tests.support.conversation import batch_of, frames_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hbids.config import Limits
    from hbids.decode.engine import Engine
    from hbids.facts import FrameBatch, Rows
    from tests.support.conversation import Captured

ENGINE_MODULES = {"native": "hbids.decode.native", "reference": "hbids.decode.reference"}
TABLES = ("heartbeats", "sessions", "flows")


@dataclass(slots=True)
class Decoded:
    """All facts of a run."""

    heartbeats: Rows
    """Final rows, in the order in which the messages began."""
    early: Rows
    """Rows of heartbeats that still grew."""
    sessions: Rows
    flows: Rows
    counters: dict[str, int]

    @property
    def drops(self) -> dict[str, int]:
        """What was left out or given up, by counter."""
        return {name: n for name, n in self.counters.items() if n and name not in ("packets", "bytes", "flows")}


def engine_called(name: str, limits: Limits | None = None) -> Engine:
    """Open an engine, and show that it is the one that was meant."""
    engine = open_engine(name, limits)
    assert (engine.name, type(engine).__module__) == (name, ENGINE_MODULES[name])
    return engine


def all_facts(engine: Engine, batches: Iterable[FrameBatch]) -> Facts:
    """Every row of a whole run."""
    steps = [Facts.empty(), *(engine.feed(batch) for batch in batches), *engine.finish()]
    return Facts(*(np.concatenate([getattr(step, table) for step in steps]) for table in TABLES))


def decode_batches(name: str, batches: Iterable[FrameBatch], limits: Limits | None = None) -> Decoded:
    engine = engine_called(name, limits)
    facts = all_facts(engine, batches)
    final = facts.heartbeats["is_final"] == 1
    heartbeats = np.sort(facts.heartbeats[final], order="message_id")
    return Decoded(heartbeats, facts.heartbeats[~final], facts.sessions, facts.flows, engine.counters())


def decode_conversations(name: str, conversations: Sequence[Captured], limits: Limits | None = None) -> Decoded:
    return decode_batches(name, [batch_of(frames_of(*conversations))], limits)


def decode_file(name: str, path: Path, limits: Limits | None = None) -> Decoded:
    return decode_batches(name, open_capture(str(path), native=name == "native").batches(), limits)


def shown(row: np.void, names: Iterable[str]) -> dict[str, Any]:
    """These columns of a row, as plain values."""
    return {name: row[name].tolist() for name in names}


def check(row: np.void, **expected: object) -> None:
    """Assert that the row has these values."""
    found = shown(row, expected)
    assert found == expected, {name: found[name] for name in expected if found[name] != expected[name]}


def column(rows: Rows, name: str) -> list[Any]:
    values: list[Any] = rows[name].tolist()
    return values


def differences(first: Rows, second: Rows) -> list[str]:
    """Every field in which two tables differ; empty when they are the same bytes."""
    if len(first) != len(second):
        return [f"{len(first)} rows and {len(second)} rows"]
    return [
        f"row {index}, {name}: {first[index][name]} and {second[index][name]}"
        for index in range(len(first))
        if first[index].tobytes() != second[index].tobytes()
        for name in first.dtype.names or ()
        if first[index][name].tobytes() != second[index][name].tobytes()
    ]
