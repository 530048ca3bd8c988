"""``anomaly`` events: what Suricata made no sense of. Those of heartbeats are evidence, the others blind spots."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from hbids.eve.values import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Anomalies", "heartbeat_sid"]

_HEARTBEATS = {
    "OVERFLOW_HEARTBEAT_MESSAGE": 2230012,
    "INVALID_HEARTBEAT_MESSAGE": 2230013,
    "DATALEAK_HEARTBEAT_MISMATCH": 2230014,
}
"""The sids of the rules that Suricata ships for the same events."""
_NAME = re.compile(r"[A-Za-z0-9_.]{1,64}")
_MOST_NAMES = 64
"""Suricata 7 has some hundreds; a log shows a dozen."""


def heartbeat_sid(anomaly: Mapping[str, Any]) -> int | None:
    """The rule that would have told of an anomaly of a heartbeat; None for others."""
    return _HEARTBEATS.get(text_of(anomaly, "event")) if text_of(anomaly, "app_proto") == "tls" else None


class Anomalies:
    """How often each kind came."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, anomaly: Mapping[str, Any]) -> None:
        """One more, named by its event (``stream.fin_but_no_session``, ``INVALID_RECORD_TYPE``)."""
        name = text_of(anomaly, "event")
        if not _NAME.fullmatch(name) or (name not in self._counts and len(self._counts) >= _MOST_NAMES):
            name = "others"
        self._counts[name] += 1

    def by_name(self) -> dict[str, int]:
        """The most frequent first."""
        return dict(self._counts.most_common())
