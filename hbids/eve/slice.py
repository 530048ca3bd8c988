"""What was learnt from the events of a second: frames for the engine, and rows that need none, in an order of their
own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hbids.facts import FRAME_DTYPE, Facts, FrameBatch

if TYPE_CHECKING:
    from hbids.eve.flows import FlowKey
    from hbids.eve.pieces import Frame
    from hbids.facts import Rows

__all__ = ["Slice", "in_order"]


@dataclass(slots=True)
class Slice:
    """Of one second, or a part of it."""

    frames: list[Frame] = field(default_factory=list)
    heartbeats: list[Rows] = field(default_factory=list)
    sessions: list[Rows] = field(default_factory=list)
    done: list[FlowKey | int] = field(default_factory=list)
    """Flows of which nothing more is to come; those that only waited, by flow_id."""

    def __bool__(self) -> bool:
        """There is something."""
        return bool(self.frames or self.heartbeats or self.sessions or self.done)

    def batch(self) -> FrameBatch:
        """The frames as the engine takes them."""
        rows = np.zeros(len(self.frames), FRAME_DTYPE)
        if self.frames:
            lengths = np.array([len(frame.data) for frame in self.frames], np.int64)
            rows["time_ns"] = [frame.time_ns for frame in self.frames]
            rows["captured_bytes"], rows["offset"] = lengths, np.cumsum(lengths) - lengths
            rows["wire_bytes"] = [frame.wire_bytes for frame in self.frames]
            rows["link_type"] = [frame.link_type for frame in self.frames]
        return FrameBatch(b"".join(frame.data for frame in self.frames), rows)

    def facts(self) -> Facts:
        """The rows."""
        nothing = Facts.empty()
        return Facts(
            np.concatenate([nothing.heartbeats, *self.heartbeats]),
            np.concatenate([nothing.sessions, *self.sessions]),
            nothing.flows,
        )


def in_order(facts: Facts) -> Facts:
    """By time; of what happened at once, by flow; within a flow as it was."""
    heartbeats = facts.heartbeats[_order(facts.heartbeats, "end_time_ns")]
    return Facts(heartbeats, facts.sessions[_order(facts.sessions, "time_ns")], facts.flows)


def _order(rows: Rows, time: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    clients = np.ascontiguousarray(rows["client_addr"]).view("<u8")[:, 1] if len(rows) else np.zeros(0, np.uint64)
    return np.lexsort((rows["client_port"], clients, rows[time]))
