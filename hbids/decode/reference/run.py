"""What all flows of a run share."""

from __future__ import annotations

from collections import Counter

from hbids.config import Limits
from hbids.decode.reference.rows import Rows

__all__ = ["Run"]


class Run:
    """Limits, counters, rows on their way out, and the packet at hand (the only clock there is)."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rows = Rows()
        self.counters: Counter[str] = Counter(packets=0, bytes=0, flows=0)
        self.packet_number = 0
        self.time_ns = 0
        self.out_of_order_bytes = 0
        self.state_bytes = 0
        self._messages = 0

    def next_message_id(self) -> int:
        """1, 2, 3 ..."""
        self._messages += 1
        return self._messages
