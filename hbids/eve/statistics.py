"""The state of a sensor as an EVE ``stats`` event, valid under Suricata's own JSON schema.

Numbers that Suricata has, too, stand where Suricata has them. All others stand in ``metadata.flowints``, the one place
of the schema that takes numbers by any name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.eve.event import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.config import Output

__all__ = ["stats_event"]


def stats_event(
    time_ns: int,
    uptime_s: int,
    totals: Mapping[str, int],
    interfaces: Mapping[str, Mapping[str, int]],
    output: Output,
) -> dict[str, Any]:
    """Build the event of ``totals`` (the decoder's counters, and ``alerts``) and of the counters of each interface, all
    counted from the start of the run."""
    captured = {
        name: sum(counters[name] for counters in interfaces.values() if name in counters)
        for name in ("kernel_packets", "kernel_drops", "kernel_ifdrops")
        if any(name in counters for counters in interfaces.values())
    }
    event: dict[str, Any] = {
        "timestamp": timestamp(time_ns),
        "event_type": "stats",
        "stats": {
            "uptime": uptime_s,
            "capture": captured,
            "decoder": {"pkts": totals["packets"], "bytes": totals["bytes"]},
            "flow": {"total": totals["flows"]},
            "detect": {"alert": totals["alerts"]},
        },
        "metadata": {
            "flowints": {f"hbids.{name}": number for name, number in totals.items() if number}
            | {
                f"hbids.{interface}.{name}": number
                for interface, counters in interfaces.items()
                for name, number in counters.items()
            }
        },
    }
    if output.sensor_name:
        event["host"] = output.sensor_name
    return event
