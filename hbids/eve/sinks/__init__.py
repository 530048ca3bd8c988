"""Where EVE lines go, one file a kind of sink; and the outbox that keeps a slow or dead one from stopping a sensor."""

from hbids.eve.sinks.destination import Beginning, sink_for
from hbids.eve.sinks.interface import Sink, open_sink
from hbids.eve.sinks.outbox import Outbox, OutboxCounts

__all__ = ["Beginning", "Outbox", "OutboxCounts", "Sink", "open_sink", "sink_for"]
