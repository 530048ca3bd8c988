"""Who tells of a flow. A run of Suricata gives it a number, its flow_id, which means nothing to another run: the next
one after a restart, or another sensor that sees the same packets. Runs are joined by what a community_id is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.eve.flows import FlowCounts

if TYPE_CHECKING:
    from hbids.eve.flows import FlowKey, Party

__all__ = ["Ends", "Tellers", "ends_of"]

Ends = tuple["Party", "Party", int]
"""Endpoints in an order that depends on neither direction, and the protocol: all that a community_id is made of."""

_MOST = 64
"""Of one flow: restarts and sensors together; the oldest is forgotten first."""


def ends_of(key: FlowKey) -> Ends:
    """What names a flow, whoever tells of it."""
    low, high = sorted((key.client, key.server))
    return low, high, key.protocol


class Tellers:
    """The runs that tell of one flow, by the flow_id that each has given it. What runs count that tell of it at the
    same time is the same; what they count one after the other adds up."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.latest_ns = start_ns
        """Up to then something was told of the flow."""
        self._telling: dict[int, FlowCounts] = {}
        self._over: dict[int, FlowCounts] = {}
        """Those that have said that it is over, at the same time as others who tell."""
        self._before = FlowCounts(start_ns)
        """What those counted that came before."""

    def __contains__(self, flow_id: int) -> bool:
        return flow_id in self._telling or flow_id in self._over

    @property
    def flow_ids(self) -> tuple[int, ...]:
        """Of those that tell now or told at the same time."""
        return (*self._telling, *self._over)

    @property
    def are_over(self) -> bool:
        """All have said so."""
        return not self._telling

    def begin(self, flow_id: int, start_ns: int) -> tuple[int, ...]:
        """One more, which has seen the flow since then; the flow_ids of those whom this makes earlier ones."""
        gone: tuple[int, ...] = ()
        if start_ns > self.latest_ns:
            gone = self.flow_ids
            self._before = self.counts()
            self._telling, self._over = {}, {}
        elif len(self._telling) + len(self._over) >= _MOST:
            gone = (next(iter(self._over or self._telling)),)
            for flow_ids in (self._over, self._telling):
                flow_ids.pop(gone[0], None)
        self.start_ns = min(self.start_ns, start_ns)
        self._telling[flow_id] = FlowCounts(start_ns)
        return gone

    def note(self, flow_id: int, counts: FlowCounts) -> FlowCounts:
        """One has counted more; what all have, by now."""
        told = self._over if flow_id in self._over else self._telling
        told[flow_id] = counts
        self.start_ns = min(self.start_ns, counts.start_ns)
        return self.counts()

    def end(self, flow_id: int) -> None:
        """One says that the flow is over."""
        counts = self._telling.pop(flow_id, None)
        if counts is not None:
            self._over[flow_id] = counts

    def counts(self) -> FlowCounts:
        """What all have counted by now."""
        now = [*self._telling.values(), *self._over.values()]
        most = (max((counts[place] for counts in now), default=0) for place in range(1, len(FlowCounts._fields)))
        return FlowCounts(self.start_ns, *map(sum, zip(self._before[1:], most, strict=True)))
