"""What Suricata itself did not see, by its ``stats`` events."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from hbids.eve.flows import MOST_COUNT
from hbids.eve.values import number_of, object_of, text_of

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


_MOST_RUNS = 64
"""Sensors, and restarts within what is read; the one not heard of for longest is forgotten."""
_SECOND_NS = 1_000_000_000
_JITTER_S = 2
"""Uptimes are whole seconds, and counted before they are written."""


class Blindness:
    """Adds up counters that begin anew with each run of Suricata. A run is known by when it began."""

    def __init__(self) -> None:
        self.runs = 0
        """That have told of themselves."""
        self._drops: Counter[str] = Counter()
        self._last: OrderedDict[tuple[str, int], dict[tuple[str, str], int]] = OrderedDict()
        """What each run has counted, by its sensor and the second in which it began."""

    def read(self, event: Mapping[str, Any], time_ns: int) -> None:
        """A ``stats`` event."""
        stats = object_of(event, "stats")
        last = self._run(
            text_of(event, "host"), time_ns // 1_000_000_000 - (number_of(stats, "uptime", MOST_COUNT) or 0)
        )
        for drop, places in _COUNTED.items():
            for place in places:
                count = number_of(object_of(stats, place[0]), place[1], MOST_COUNT)
                if count is not None:
                    before = last.get(place, 0)
                    self._drops[drop] += count - before if count >= before else count
                    last[place] = count

    def drops(self) -> dict[str, int]:
        """Those that are not zero."""
        return {name: count for name, count in self._drops.items() if count}

    def _run(self, sensor: str, began_s: int) -> dict[tuple[str, str], int]:
        for second in range(began_s - _JITTER_S, began_s + _JITTER_S + 1):
            if (sensor, second) in self._last:
                self._last.move_to_end((sensor, second))
                return self._last[sensor, second]
        self.runs += 1
        if len(self._last) >= _MOST_RUNS:
            self._last.popitem(last=False)
        return self._last.setdefault((sensor, began_s), {})
