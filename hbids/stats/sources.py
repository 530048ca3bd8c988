"""Counters of sources at endpoints; who has to go to make room is not altogether forgotten.

The answers of those that went are kept in a sketch of frequent items (Apache DataSketches): who took much is
remembered, and comes back with the least that is certain. What is lost so of anyone is at most
:attr:`Sources.uncertain_answers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hbids.stats.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sources"]

_LOG_ITEMS = 16
"""The 65,536 that took most, about 3 MB: of a million that went, each with some answers, all that matter."""


class Sources(Counters):
    """Counters that remember the worst of those that went."""

    def __init__(self, capacity: int, memory_ns: int, extra: Sequence[tuple[Any, ...]]) -> None:
        super().__init__(capacity, memory_ns, extra)
        self._gone: Any = None
        """Leaking answers by key; None until somebody had to go."""

    @property
    def uncertain_answers(self) -> int:
        """How many leaking answers of one source may have been forgotten."""
        return 0 if self._gone is None else int(self._gone.epsilon * self._gone.total_weight)

    def forget(self, rows: npt.NDArray[np.void]) -> None:
        """Keep their answers."""
        taken = rows[rows["answers"] > 0]
        if len(taken):
            sketch = self._sketch()
            for row in taken:
                sketch.update(_name(row), int(row["answers"]))

    def recall(self, rows: npt.NDArray[np.void]) -> None:
        """Give new rows the answers they once had."""
        if self._gone is not None:
            rows["answers"] = [self._gone.get_lower_bound(_name(row)) for row in rows]

    def merge_gone(self, other: Sources) -> None:
        """Add those that had to go elsewhere."""
        if other._gone is not None:
            self._sketch().merge(other._gone)

    def gone(self) -> bytes:
        """The sketch, serialized; empty if there is none."""
        gone: bytes = b"" if self._gone is None else self._gone.serialize()
        return gone

    def restore_gone(self, gone: bytes) -> None:
        """Take this sketch in place of what there is."""
        from datasketches import frequent_strings_sketch

        self._gone = frequent_strings_sketch.deserialize(gone) if gone else None

    def _sketch(self) -> Any:
        if self._gone is None:
            from datasketches import frequent_strings_sketch

            self._gone = frequent_strings_sketch(_LOG_ITEMS)
        return self._gone


def _name(row: np.void) -> str:
    name: str = row["key"].tobytes().hex()
    return name
