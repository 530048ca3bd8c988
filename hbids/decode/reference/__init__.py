"""The reference engine: plain Python, written to be read. The executable specification of decoding, and what runs where
the native engine is not installed.

A frame goes through the modules in this order: ``frame`` (its layers, each in its module: ``link``, ``network``,
``tunnel``, ``transport``, ``eapol``), ``fragment`` (IP fragments put together), ``conversations`` (which one an EAP
packet belongs to, with ``radius`` and ``eap``), ``flow_table`` (which flow), ``flow`` (both directions), ``tcp``
(segments), ``stream`` (bytes in order) and ``record`` (TLS records) or ``datagram`` (DTLS records), ``session`` (who
seals, and whether it is TLS), ``handshake`` (hellos), ``hello`` (their fields and fingerprints), ``heartbeat``
(messages, with ``heartbeat_pairing``: which answers which), ``flow_row`` and ``heartbeat_row`` (what is told), ``rows``
(out). OpenVPN leaves before ``record`` and ``datagram``: its packets (``openvpn_stream`` finds them in TCP,
``openvpn_packet`` reads them) go through ``openvpn`` (which session), ``openvpn_channel`` (one session) and
``reliable`` (order) to walkers of records of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.config import Limits
from hbids.decode.engine import FINISH_STEP_FLOWS
from hbids.decode.reference.conversations import Conversations
from hbids.decode.reference.flow_table import FlowTable
from hbids.decode.reference.fragment import Fragments
from hbids.decode.reference.frame import FrameReader
from hbids.decode.reference.layers import Datagram, Eapol, Fragment
from hbids.decode.reference.run import Run
from hbids.facts import Facts, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hbids.decode.reference.layers import Found

__all__ = ["ReferenceEngine"]

LATEST_TIME_NS = 1 << 62
"""The year 2116. Later timestamps are taken for this one, so that adding a timeout never overflows 64 bits."""


class ReferenceEngine:
    """See :class:`hbids.decode.engine.Engine`."""

    name = "reference"

    def __init__(self, limits: Limits) -> None:
        self._run = Run(limits)
        self._reader = FrameReader(limits)
        self._fragments = Fragments(self._run)
        self._conversations = Conversations(self._run)
        self._flows = FlowTable(self._run)

    def feed(self, batch: FrameBatch, at_least_rows: int = 0) -> Facts:
        """Decode a batch."""
        run, data = self._run, batch.data
        for time_ns, offset, captured_bytes, wire_bytes, link_type, _interface in batch.frames.tolist():
            run.packet_number += 1
            run.time_ns = min(max(time_ns, 0), LATEST_TIME_NS)
            run.counters["packets"] += 1
            run.counters["bytes"] += wire_bytes
            self._flows.tick()
            frame = bytes(data[offset : offset + captured_bytes])
            self._take(self._reader.read(link_type, frame), captured_bytes, wire_bytes)
        return run.rows.take(at_least_rows)

    def tick(self, time_ns: int) -> Facts:
        """Let time go on."""
        self._run.time_ns = min(max(time_ns, 0), LATEST_TIME_NS)
        self._flows.tick()
        return self._run.rows.take()

    def _take(self, found: Found, captured_bytes: int, wire_bytes: int) -> None:
        """Give what a frame holds to where it belongs. A packet of many fragments counts as the frame that made it
        whole."""
        while isinstance(found, Fragment):
            whole = self._fragments.add(found)
            if whole is None:
                return
            found = self._reader.resume(found, whole)
        if isinstance(found, str):
            self._run.counters[found] += 1
        elif isinstance(found, Eapol):
            packet = self._conversations.of_eapol(found, is_frame_whole=captured_bytes >= wire_bytes)
            if packet is not None:
                self._flows.packet(packet, wire_bytes)
        elif isinstance(found, Datagram):
            self._flows.packet(self._conversations.of_datagram(found) or found, wire_bytes)
        else:
            self._flows.packet(found, wire_bytes)

    def finish(self) -> Iterator[Facts]:
        """End every flow that is still open."""
        self._fragments.finish()
        self._conversations.finish()
        more = True  # even without flows there is the clock to set back
        while more:
            self._flows.finish(FINISH_STEP_FLOWS)
            yield self._run.rows.take()
            more = len(self._flows) > 0

    def counters(self) -> dict[str, int]:
        """Totals so far; see docs/counters.md."""
        return dict(self._run.counters)
