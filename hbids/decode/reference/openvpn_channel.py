"""One TLS session in OpenVPN's control channel: which packets are its own, their order, and the records in them.

A session is seen from its beginning when a reset or the first packet with TLS was; else it was joined late: its records
are believed when they prove to be records, as on any stream.
"""

from __future__ import annotations

from hbids.decode.reference.openvpn_packet import HARD_RESETS_CLIENT, ControlPacket
from hbids.decode.reference.record import RecordWalker
from hbids.decode.reference.reliable import Reliable
from hbids.decode.reference.run import Run
from hbids.decode.reference.session import Session, SessionFlow
from hbids.facts import TlsStart, Transport

__all__ = ["Channel"]

FIRST_WITH_TLS = 1
"""Id of the packet behind the reset."""
CHANNEL_BYTES = 768
"""What the native engine needs for it, beside its session."""


class Channel:
    """The packets of one session, in order, and the session itself."""

    def __init__(self, run: Run, flow: SessionFlow, key_id: int, *, midstream: bool) -> None:
        self.key_id = key_id
        self.session_ids: list[bytes | None] = [None, None]
        """Of each side, once it has sent something."""
        self.wrap_bytes = [0, 0]
        """Of tls-auth, in the packets of each side."""
        self.session = Session(run, flow, Transport.TLS, midstream=midstream, start=TlsStart.OPENVPN)
        self._walkers = [RecordWalker(run, self.session, side) for side in (0, 1)]
        self.directions = [Reliable(run, walker) for walker in self._walkers]

    def owns(self, side: int, session_id: bytes, key_id: int) -> bool:
        """Whether this side has sent packets of this session here."""
        return self.session_ids[side] == session_id and self.key_id == key_id

    def admits(self, side: int, packet: ControlPacket) -> bool:
        """Whether a packet of this side belongs here. A client's hard reset begins anew."""
        own, other = self.session_ids[side], self.session_ids[1 - side]
        is_first = own is None and packet.opcode not in HARD_RESETS_CLIENT
        return (
            self.key_id == packet.key_id
            and (is_first or own == packet.session_id)
            and (not packet.remote_id or other in (None, packet.remote_id))
        )

    def take(self, side: int, packet: ControlPacket, payload: bytes, length: int) -> None:
        """Read a packet; its payload is ``length`` bytes on the wire."""
        for packet_id in packet.acks:
            self.directions[1 - side].acknowledge(packet_id)
        if packet.packet_id is None:
            return
        if self.session_ids[side] is None:
            self.session_ids[side] = packet.session_id
            self._begin(side, packet.packet_id)
        self.directions[side].packet(packet.packet_id, payload, length)

    def _begin(self, side: int, packet_id: int) -> None:
        if not self.session.midstream:
            self._walkers[side].start()
            packet_id = min(packet_id, FIRST_WITH_TLS)  # what lies between is late, or lost
        self.directions[side].start(packet_id)

    def held_bytes(self) -> int:
        """Out-of-order bytes left out."""
        return CHANNEL_BYTES + self.session.held_bytes()

    def check_holes(self) -> None:
        """Give up what has been missing for too long."""
        for direction in self.directions:
            direction.check_hole()

    def end(self) -> None:
        """Read what waits, and write the rows."""
        for direction in self.directions:
            direction.end()
        self.session.end()
