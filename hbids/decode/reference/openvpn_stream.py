"""OpenVPN in a TCP connection: packets with their length in front (16 bits), which segments may cut anywhere.

The first packet of a direction stands at the beginning of a segment, the connection's first or a later one (behind a
proxy), and is believed as in a datagram. All bytes go on to the walker of TLS records until both sides have sent
packets (or the only one that was captured), since one alone could pretend. Where the connection was joined in
mid-stream one packet with records is enough.

Packets of the data channel are passed over. Where bytes are missing, or are no packet (then the walker of records has
them again), the next packet is looked for at the beginnings of segments.
"""

from __future__ import annotations

from hbids.decode.reference.openvpn import OpenVpn, OpenVpnFlow
from hbids.decode.reference.openvpn_packet import CONTROL_BYTES, LENGTH_BYTES, is_data, may_begin, number
from hbids.decode.reference.record import RecordWalker
from hbids.decode.reference.run import Run

__all__ = ["PacketWalker"]


class PacketWalker:
    """Walks the packets of one direction, and gives bytes that are not OpenVPN to the walker of its records."""

    def __init__(self, run: Run, flow: OpenVpnFlow, vpn: OpenVpn, records: RecordWalker, side: int) -> None:
        self._run = run
        self._flow = flow
        self._vpn = vpn
        self._records = records
        self._side = side
        self._is_walking = False
        """The next byte belongs to a packet, or begins one."""
        self._is_broken = False
        """Bytes came that are no packet, where one should begin."""
        self._packet = bytearray()
        """The packet at hand with its length, or a first one in the making."""
        self._held_bytes = 0
        """Of it, as charged."""
        self._passing = 0
        """Bytes left of a packet that is not read."""

    @property
    def has_begun(self) -> bool:
        """Whether there is a packet, or the beginning of a first one."""
        return self._is_walking or bool(self._packet)

    def skips(self, length: int) -> bool:
        """Whether nothing of the next ``length`` bytes will be read."""
        return self._passing >= length if self._is_agreed else self._records.skips(length)

    def feed(self, data: bytes) -> None:
        """The next bytes; one call is one segment's worth."""
        self._vpn.check_holes()
        self._walk(data)
        self._hold()
        if self._is_agreed:
            self._records.pass_over()
        else:
            self._records.feed(data)

    def gap(self, length: int) -> None:
        """The next ``length`` bytes are missing."""
        self._cut_packet()
        passed = min(self._passing, length)
        self._passing -= passed
        if passed < length:
            self._is_walking = False
        if not self._is_agreed:
            self._records.gap(length)

    def end(self) -> None:
        """Nothing will come any more."""
        self._cut_packet()

    @property
    def _is_agreed(self) -> bool:
        """Whether this side speaks nothing but OpenVPN."""
        own, other = self._vpn.speaks[self._side], self._vpn.speaks[1 - self._side]
        is_alone = self._flow.packets[1 - self._side] == 0
        return own and not self._is_broken and (other or is_alone or self._flow.midstream)

    def _walk(self, data: bytes) -> None:
        if not self._is_walking and self._records.walks and not self._is_agreed:
            self._packet.clear()
            return
        at = 0
        while at < len(data):
            if self._passing:
                passed = min(self._passing, len(data) - at)
                self._passing -= passed
                at += passed
            elif self._is_walking or self._packet or (at == 0 and may_begin(data)):
                at += self._collect(data[at:])
            else:
                break

    def _collect(self, data: bytes) -> int:
        """Add bytes to the packet at hand; how many were taken."""
        wanted = LENGTH_BYTES + 1
        if len(self._packet) >= wanted:
            wanted = LENGTH_BYTES + self._length
        taken = data[: wanted - len(self._packet)]
        self._packet += taken
        if len(self._packet) == wanted:
            if wanted == LENGTH_BYTES + 1:
                self._judge_first_byte()
            if len(self._packet) == LENGTH_BYTES + self._length:
                self._take_packet()
        return len(taken)

    @property
    def _length(self) -> int:
        return number(self._packet, 0, LENGTH_BYTES)

    def _judge_first_byte(self) -> None:
        """Collect the packet at hand only if it is of the control channel."""
        length, packet = self._length, self._packet[LENGTH_BYTES:]
        if length > 0 and packet[0] in CONTROL_BYTES if self._is_walking else may_begin(self._packet):
            return
        self._packet.clear()
        if self._is_walking and length > 0 and is_data(packet):
            self._passing = length - 1
        elif self._is_walking:
            self._run.counters["openvpn_packets_malformed"] += 1
            self._is_walking = False
            self._is_broken = True

    def _take_packet(self) -> None:
        packet = bytes(self._packet[LENGTH_BYTES:])
        self._packet.clear()
        is_taken = self._vpn.packet(self._side, packet, len(packet))
        if self._is_walking and not is_taken:
            self._run.counters["openvpn_packets_malformed"] += 1
        if is_taken:
            self._is_walking = True
            self._is_broken = False

    def _cut_packet(self) -> None:
        """Read what there is of the packet at hand, and pass over the rest."""
        packet, length = bytes(self._packet), self._length
        self._packet.clear()
        self._hold()
        if self._is_walking and len(packet) >= LENGTH_BYTES:
            self._passing = length - len(packet[LENGTH_BYTES:])
            self._vpn.packet(self._side, packet[LENGTH_BYTES:], length)

    def _hold(self) -> None:
        """Charge what waits for the rest of its packet; where that is too much, here or over all flows, do not wait."""
        limits, held_bytes = self._run.limits, len(self._packet)
        self._run.out_of_order_bytes += held_bytes - self._held_bytes
        self._held_bytes = held_bytes
        is_too_much = (
            held_bytes > limits.out_of_order_bytes or self._run.out_of_order_bytes > limits.out_of_order_bytes_total
        )
        if held_bytes and is_too_much:
            self._cut_packet()
