"""What Suricata should say and does not: most sidecars that find nothing were given nothing to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["silence"]

_ENOUGH_LINES = 1_000
"""Of a network with TLS, so many have some of all that is looked for."""
_REMEDY = "see `hbids sidecar --check` with your suricata.yaml"


def silence(lines: int, events: Mapping[str, int]) -> list[str]:
    """What is missed among so many lines; ``events`` counts those that were read, by type, and alerts of heartbeats
    beside them, as ``heartbeat alerts`` and those that came ``with packet``."""
    missed = []
    if lines >= _ENOUGH_LINES:
        needs = {
            ("tls",): "who agrees to heartbeats, and on which suites",
            ("flow", "netflow"): "what went out where nothing else is shown",
        }
        missed = [
            f"no {' or '.join(kinds)} event among {lines:,} lines: hbids cannot tell {what}; {_REMEDY}"
            for kinds, what in needs.items()
            if not any(events.get(kind) for kind in kinds)
        ]
    alerts = events.get("heartbeat alerts", 0)
    if alerts and not events.get("with packet"):
        text = f"{alerts:,} alerts of heartbeats came without packets: what leaked is estimated by the flow; {_REMEDY}"
        missed.append(text)
    return missed
