"""OpenVPN's control channel on one flow: which TLS session each packet belongs to, and what cannot be read of it.

Each pair of session ids and each key id is a TLS session of its own (a restart makes new session ids, a renegotiation
another key id), with its own order of packets, records, hellos and heartbeats. Sessions go on side by side, as in
OpenVPN, where an old one counts until the new one is authenticated: nobody hides one by beginning another. Packets of
the data channel are passed over.

What tls-crypt seals is counted: where both sides reset so, or replay ids go on, and in renegotiations of a session that
began in clear (OpenVPN seals them since 2.6).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from hbids.decode.reference.openvpn_channel import FIRST_WITH_TLS, Channel
from hbids.decode.reference.openvpn_packet import (
    CONTROL_BYTES,
    HARD_RESETS,
    HARD_RESETS_CLIENT,
    LEAST_BYTES,
    ControlPacket,
    read_control,
    recognise,
    replay_id_of_sealed,
)
from hbids.decode.reference.run import Run
from hbids.decode.reference.session import Session, SessionFlow
from hbids.facts import Transport

__all__ = ["OpenVpn", "OpenVpnFlow"]

OPENVPN_BYTES = 1_024
"""What the native engine needs for the state of a flow's control channel, beside its sessions."""
MOST_REPLAY_IDS_LOST = 64
"""Replay ids of tls-crypt go on by one a packet; so many may be missing from the capture."""


class OpenVpnFlow(SessionFlow, Protocol):
    """What it needs of its flow."""

    session: Session
    """Of what is not OpenVPN."""


class Suspect(NamedTuple):
    """A session that tls-crypt may have sealed."""

    session_id: bytes
    is_client: bool
    replay_id: int


class OpenVpn:
    """The control channel of both directions of a flow."""

    def __init__(self, run: Run, flow: OpenVpnFlow) -> None:
        self._run = run
        self._flow = flow
        self._channels: list[Channel] = []
        """In the order in which they began."""
        self._was_tls = False
        self._gaps = [0, 0]
        """Of the channels that are over."""
        self._suspects: list[Suspect | None] = [None, None]
        self._suspected = 0
        """Packets of suspects, until they are believed to be sealed."""
        self._is_sealed = False
        self.speaks = [False, False]
        """Which sides have sent packets of it."""

    @property
    def is_tls(self) -> bool:
        """Whether TLS was found in it."""
        return self._was_tls or any(channel.session.is_tls for channel in self._channels)

    def datagram(self, side: int, data: bytes, length: int) -> bool:
        """A datagram's payload, ``length`` on the wire. Whether it is a packet of the control channel."""
        self.check_holes()
        return self.packet(side, data, length)

    def packet(self, side: int, data: bytes, length: int) -> bool:
        """A packet, ``length`` on the wire; ``data`` is shorter when its end was not captured. Whether it is one of the
        control channel."""
        if len(data) < LEAST_BYTES or data[0] not in CONTROL_BYTES:
            return False
        taken = self._open(side, data, length) or self._sealed(side, data, length)
        if not taken and data[1:LEAST_BYTES] in self._session_ids(side):
            if len(data) == length:
                self._run.counters["openvpn_packets_malformed"] += 1
            taken = True
        if taken and len(data) < length:
            self._run.counters["openvpn_packets_cut"] += 1
        self.speaks[side] = self.speaks[side] or taken
        return taken

    def check_holes(self) -> None:
        """Give up what has been missing for too long."""
        for channel in self._channels:
            channel.check_holes()

    def end(self) -> None:
        """The flow is over."""
        while self._channels:
            self._end(self._channels[0])

    def held_bytes(self) -> int:
        """Out-of-order bytes left out."""
        return OPENVPN_BYTES + sum(channel.held_bytes() for channel in self._channels)

    def sessions(self) -> list[Session]:
        """Those that are not over; what those that are have counted was added to the flow's own."""
        return [channel.session for channel in self._channels]

    def gaps(self, side: int) -> int:
        """Holes given up on."""
        return self._gaps[side] + sum(channel.directions[side].gaps for channel in self._channels)

    def _session_ids(self, side: int) -> list[bytes]:
        """The side's sessions, whichever the key."""
        ids = (channel.session_ids[side] for channel in self._channels)
        return [session_id for session_id in ids if session_id is not None]

    # --- in clear ---

    def _open(self, side: int, data: bytes, length: int) -> bool:
        """Read a packet that nothing seals. Whether it is one."""
        key_id, session_id = data[0] & 7, data[1:LEAST_BYTES]
        own = [channel for channel in self._channels if channel.owns(side, session_id, key_id)]
        for channel in reversed(own):
            packet = read_control(data, channel.wrap_bytes[side])
            if packet is not None and channel.admits(side, packet):
                channel.take(side, packet, data[packet.payload_at :], length - packet.payload_at)
                return True
        recognised = recognise(data, length, self._session_ids(1 - side))
        if recognised is None:
            return False
        wrap_bytes, packet = recognised
        found = next((channel for channel in reversed(self._channels) if channel.admits(side, packet)), None)
        if found is None and own:
            return False  # meant for another receiver
        if packet.opcode in HARD_RESETS:
            self._flow.set_client(side if packet.opcode in HARD_RESETS_CLIENT else 1 - side)
        channel = found or self._begin(packet)
        channel.wrap_bytes[side] = wrap_bytes
        channel.take(side, packet, data[packet.payload_at :], length - packet.payload_at)
        return True

    def _begin(self, packet: ControlPacket) -> Channel:
        """Another TLS session. For it goes the oldest that is not known to be one, or else the oldest."""
        channels = self._channels
        while len(channels) >= max(1, self._run.limits.openvpn_sessions):
            self._end(next((channel for channel in channels if not channel.session.is_tls), channels[0]))
        midstream = (packet.packet_id or 0) > FIRST_WITH_TLS
        outer = self._flow.session
        if midstream and not any(self.speaks) and outer.transport is Transport.DTLS and not outer.said_hello:
            self._flow.midstream = outer.midstream = True
        channels.append(Channel(self._run, self._flow, packet.key_id, midstream=midstream))
        return channels[-1]

    def _end(self, channel: Channel) -> None:
        channel.end()
        self._was_tls = self._was_tls or channel.session.is_tls
        self._channels.remove(channel)
        whole = self._flow.session
        whole.heartbeats.add(channel.session.heartbeats)
        for side in (0, 1):
            self._gaps[side] += channel.directions[side].gaps
            for totals, counts in (
                (whole.records[side], channel.session.records[side]),
                (whole.record_bytes[side], channel.session.record_bytes[side]),
            ):
                totals[:] = [total + count for total, count in zip(totals, counts, strict=True)]

    # --- sealed ---

    def _sealed(self, side: int, data: bytes, length: int) -> bool:
        """Count a packet that tls-crypt sealed. Whether it may be one."""
        replay_id = replay_id_of_sealed(data, length)
        if replay_id is None:
            return False
        opcode, session_id = data[0] >> 3, data[1:LEAST_BYTES]
        if session_id in self._session_ids(side):
            self._run.counters["openvpn_packets_sealed"] += 1
            return True
        suspect, other = self._suspects[side], self._suspects[1 - side]
        goes_on = suspect is not None and suspect.session_id == session_id
        if suspect is not None and goes_on:
            self._is_sealed |= 0 < replay_id - suspect.replay_id <= MOST_REPLAY_IDS_LOST
        elif opcode in HARD_RESETS:
            is_client = opcode in HARD_RESETS_CLIENT
            self._is_sealed |= other is not None and other.is_client != is_client
            suspect = Suspect(session_id, is_client, replay_id)
        else:
            return False
        self._suspects[side] = suspect._replace(replay_id=replay_id)
        self._suspected += 1
        if self._is_sealed:
            self._run.counters["openvpn_packets_sealed"] += self._suspected
            self._suspected = 0
        return True
