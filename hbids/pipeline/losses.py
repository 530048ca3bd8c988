"""Whether a sensor still sees what passes: frames lost on each interface, and the alert when they are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.eve.event import timestamp
from hbids.signatures import in_force

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.config import Config

__all__ = ["BLIND", "LIVE_DROPS", "LossWatch"]

BLIND = 1016900

_LOSSES = ("kernel_drops", "kernel_ifdrops")

LIVE_DROPS = (
    *_LOSSES,
    "ring_freezes",
    "frames_cut",
    "frames_joined",
    "frames_late",
    "frames_stamped_by_kernel",
    "interface_downs",
)
"""Counters of interfaces that say why a verdict may be too mild; see docs/counters.md."""


class LossWatch:
    """Compares the counters of interfaces from one interval to the next."""

    def __init__(self, config: Config) -> None:
        self.config = config
        """May be replaced at any time."""
        self._before: dict[str, tuple[int, int]] = {}
        self._told_ns: dict[str, int] = {}

    def alerts(self, time_ns: int, interfaces: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
        """EVE alerts for the interfaces that lost too much since the last call."""
        alerts = []
        silenced = self.config.signatures is not None and BLIND in self.config.signatures.disabled
        for name, counters in interfaces.items():
            lost = sum(counters.get(loss, 0) for loss in _LOSSES)
            seen = counters.get("kernel_packets", counters["frames"]) + counters["kernel_ifdrops"]
            lost_before, seen_before = self._before.get(name, (0, 0))
            self._before[name] = lost, seen
            lost, seen = lost - lost_before, seen - seen_before
            if silenced or lost * 1_000_000 <= seen * self.config.capture.loss_per_million:
                continue
            told_ns = self._told_ns.get(name)
            if told_ns is None or time_ns - told_ns >= self.config.capture.loss_quiet_ns:
                self._told_ns[name] = time_ns
                alerts.append(self._alert(time_ns, name, lost, seen))
        return alerts

    def _alert(self, time_ns: int, interface: str, lost: int, seen: int) -> dict[str, Any]:
        signature = in_force(self.config.signatures)[BLIND]
        context = {
            "frames_lost": lost,
            "frames": seen,
            "window_s": self.config.capture.stats_interval_ns / 1e9,
        }
        event: dict[str, Any] = {
            "timestamp": timestamp(time_ns),
            "in_iface": interface,
            "event_type": "alert",
            "alert": {
                "action": "allowed",
                "gid": 1,
                "signature_id": signature.sid,
                "rev": signature.rev,
                "signature": signature.text(context),
                "category": signature.category,
                "severity": signature.severity,
                "metadata": signature.metadata,
                "context": {"hbids": context},
            },
        }
        if self.config.output.sensor_name:
            event["host"] = self.config.output.sensor_name
        return event
