"""Where EVE lines go, one file a kind of sink; and the outbox that keeps a slow or dead one from stopping a sensor."""

from hbids.eve.sinks.destination import sink_for
from hbids.eve.sinks.file import FileSink
from hbids.eve.sinks.interface import Sink, open_sink
from hbids.eve.sinks.outbox import Outbox, OutboxCounts
from hbids.eve.sinks.resumed import ResumedFile

__all__ = ["FileSink", "Outbox", "OutboxCounts", "ResumedFile", "Sink", "open_sink", "sink_for"]
