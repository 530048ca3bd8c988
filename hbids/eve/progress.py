"""How far back reading must begin again after a restart, so that nothing is lost that is known of flows which go on."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hbids.eve.values import number_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.eve.flows import FlowKey

__all__ = ["Progress"]

_MOST_ENDED = 65_536
"""About 7 MB. A state lets go of those that need not be read again; without one nobody asks for any."""


class Progress:
    """Where flows began, and which have ended."""

    def __init__(self) -> None:
        self.place: Any = (0, [])
        """Where reading stood before the events that are taken now: from there on all must be read again to know what
        is known of the flows they speak of."""
        self.ended: dict[int, int] = {}
        """Flows with heartbeats of which all is said, by Suricata's flow_id; how far reading was then."""
        self.ignored: set[int] = set()
        """Flows of which an earlier run has said all, though it did not say how far it had read."""
        self._since: dict[FlowKey | int, Any] = {}
        """Where the flows began of which something is still to come; those of which only a session is, by flow_id."""

    def __bool__(self) -> bool:
        """Something is still to come of some flow."""
        return bool(self._since)

    def begin(self, key: FlowKey | int, place: Any = None) -> None:
        """Something is still to come of a flow, which began here, or at a place."""
        self._since.setdefault(key, self.place if place is None else place)

    def forget(self, key: FlowKey | int) -> Any:
        """Nothing is to come of a flow; where it began, if it is known."""
        return self._since.pop(key, None)

    def end(self, flow_id: int) -> None:
        """All is said of a flow with heartbeats."""
        self.ended.pop(flow_id, None)
        self.ended[flow_id] = self.place[0]
        if len(self.ended) > _MOST_ENDED:
            del self.ended[next(iter(self.ended))]

    def is_over(self, event: Mapping[str, Any]) -> bool:
        """An event speaks of a flow of which an earlier run has said all."""
        flow_id = number_of(event, "flow_id")
        if flow_id not in self.ignored:
            return False
        if text_of(event, "event_type") == "flow":
            self.ignored.discard(flow_id)
        return True

    def oldest_place(self) -> Any:
        """Where reading must begin again; None: where it is."""
        return min(self._since.values(), key=itemgetter(0), default=None)

    def forget_places(self, before: int) -> None:
        """It is not worth to read again what was read so early."""
        self._since = {key: place for key, place in self._since.items() if place[0] >= before}
