"""Where EVE lines go, one file a kind of sink. Those that not every run has are imported where they are used, and so is
:mod:`~hbids.eve.sinks.outbox`, which keeps a slow or dead one from stopping a sensor."""

from hbids.eve.sinks.destination import Beginning, sink_for
from hbids.eve.sinks.interface import Sink, open_sink

__all__ = ["Beginning", "Sink", "open_sink", "sink_for"]
