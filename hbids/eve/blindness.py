"""What Suricata itself did not see, by its ``stats`` events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hbids.eve.flows import MOST_COUNT
from hbids.eve.values import number_of, object_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Blindness"]

_COUNTED = {
    "suricata_packets_dropped": (("capture", "kernel_drops"), ("capture", "kernel_ifdrops")),
    "suricata_checksums_refused": (("tcp", "invalid_checksum"),),
    "suricata_memory_drops": (
        ("tcp", "segment_memcap_drop"),
        ("tcp", "ssn_memcap_drop"),
        ("flow", "memcap"),
    ),
    "suricata_stream_gaps": (("tcp", "reassembly_gap"),),
    "suricata_depth_reached": (("tcp", "stream_depth_reached"),),
    "suricata_alerts_lost": (("detect", "alert_queue_overflow"),),
}
"""Drops by the counters of Suricata that make them up."""


class Blindness:
    """Adds up counters that begin anew with each start of Suricata."""

    def __init__(self) -> None:
        self._drops: Counter[str] = Counter()
        self._last: dict[tuple[str, str], int] = {}

    def read(self, stats: Mapping[str, Any]) -> None:
        """The ``stats`` object of an event."""
        for drop, places in _COUNTED.items():
            for place in places:
                count = number_of(object_of(stats, place[0]), place[1], MOST_COUNT)
                if count is not None:
                    last = self._last.get(place, 0)
                    self._drops[drop] += count - last if count >= last else count
                    self._last[place] = count

    def drops(self) -> dict[str, int]:
        """Those that are not zero."""
        return {name: count for name, count in self._drops.items() if count}
