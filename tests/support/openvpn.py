"""OpenVPN's control channel as bytes, honest or not, in datagrams or in a TCP connection."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support import dtls, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hbids.facts import Direction
    from tests.capture.build import Frame

RESET_CLIENT_V1, RESET_SERVER_V1, SOFT_RESET, CONTROL, ACK, DATA_V1 = 1, 2, 3, 4, 5, 6
RESET_CLIENT, RESET_SERVER, DATA, RESET_CLIENT_V3, CONTROL_WKC = 7, 8, 9, 10, 11
HMAC_BYTES = (16, 20, 28, 32, 48, 64)
TCP_ACK = 0x10
SESSION_IDS = {TO_SERVER: b"client-1", TO_CLIENT: b"server-1"}
PAYLOAD_BYTES = 1_200
NET_TIME = 1_700_000_000


@dataclass(slots=True)
class Vpn:
    """One client and one server. Ids count by direction and key; what was sent is acknowledged with the next packet."""

    over_tcp: bool = False
    hmac_bytes: int = 0
    """Of tls-auth; 0 without."""
    key_id: int = 0
    session_ids: dict[Direction, bytes] = field(default_factory=lambda: dict(SESSION_IDS))
    datagrams: dtls.Exchange = field(default_factory=lambda: dtls.Exchange(server=("10.0.0.2", 1194)))
    connection: Conversation = field(default_factory=lambda: Conversation(server_port=1194))
    next_ids: dict[Direction, int] = field(default_factory=lambda: {TO_SERVER: 0, TO_CLIENT: 0})
    unacked: dict[Direction, list[int]] = field(default_factory=lambda: {TO_SERVER: [], TO_CLIENT: []})
    replay_ids: dict[Direction, int] = field(default_factory=lambda: {TO_SERVER: 0, TO_CLIENT: 0})

    # --- packets ---

    def packet(
        self,
        way: Direction,
        opcode: int,
        payload: bytes = b"",
        *,
        packet_id: int | None = None,
        acks: Sequence[int] = (),
        remote_id: bytes | None = None,
        key_id: int | None = None,
    ) -> bytes:
        """A packet with just these fields; ``packet_id`` None leaves it out."""
        self.replay_ids[way] += 1
        head = bytes([opcode << 3 | (self.key_id if key_id is None else key_id)]) + self.session_ids[way]
        if self.hmac_bytes:
            head += tls.noise(self.hmac_bytes, seed=900 + self.replay_ids[way])
            head += struct.pack(">II", self.replay_ids[way], NET_TIME)
        array = bytes([len(acks)]) + b"".join(struct.pack(">I", ack) for ack in acks)
        if acks:
            array += self.session_ids[_back(way)] if remote_id is None else remote_id
        return head + array + (b"" if packet_id is None else struct.pack(">I", packet_id)) + payload

    def next(self, way: Direction, payload: bytes = b"", *, opcode: int = CONTROL) -> bytes:
        """The side's next packet, not sent."""
        back = _back(way)
        acks, self.unacked[back] = self.unacked[back][:4], self.unacked[back][4:]
        packet_id = self.next_ids[way]
        self.next_ids[way] = (packet_id + 1) & 0xFFFF_FFFF
        self.unacked[way].append(packet_id)
        return self.packet(way, opcode, payload, packet_id=packet_id, acks=acks)

    def send(self, way: Direction, *packets: bytes) -> None:
        """Packets on their way, each in a datagram or segment of its own."""
        for packet in packets:
            if self.over_tcp:
                self.connection.segment(way, framed(packet))
            else:
                self.datagrams.send(way, packet)

    # --- what happens ---

    def reset(self) -> Vpn:
        """Both hard resets, in a new connection where it is TCP."""
        if self.over_tcp and not self.connection.packets:
            self.connection.connect()
        self.send(TO_SERVER, self.next(TO_SERVER, opcode=RESET_CLIENT))
        self.send(TO_CLIENT, self.next(TO_CLIENT, opcode=RESET_SERVER))
        return self

    def restart(self, client: bytes = b"client-2", server: bytes = b"server-2") -> Vpn:
        """New session ids on the same ports."""
        self.session_ids = {TO_SERVER: client, TO_CLIENT: server}
        self.key_id = 0
        self._count_anew()
        return self.reset()

    def renegotiate(self) -> Vpn:
        """A soft reset of both; key 0 does not come again."""
        self.key_id = self.key_id % 7 + 1
        self._count_anew()
        for way in (TO_SERVER, TO_CLIENT):
            self.send(way, self.next(way, opcode=SOFT_RESET))
        return self

    def say(self, way: Direction, data: bytes, *, size: int = PAYLOAD_BYTES) -> list[bytes]:
        """TLS, in as many packets as it takes; gives them."""
        packets = [self.next(way, piece) for piece in tls.cut(data, range(size, len(data), size))]
        self.send(way, *packets)
        return packets

    def acknowledge(self, way: Direction) -> None:
        """This side has all that the other sent."""
        back = _back(way)
        while self.unacked[back]:
            acks, self.unacked[back] = self.unacked[back][:4], self.unacked[back][4:]
            self.send(way, self.packet(way, ACK, acks=acks))

    def greet(self, server: bytes | None = None) -> Vpn:
        """Both hellos."""
        self.say(TO_SERVER, tls.client_hello())
        self.say(TO_CLIENT, tls.server_hello(server))
        return self

    def finish(self) -> Vpn:
        """From here on both sides seal."""
        for way in (TO_SERVER, TO_CLIENT):
            self.say(way, tls.ccs() + tls.finished())
        return self

    def attack(self, claimed: int = 0x4000) -> Vpn:
        """A lie, and its answer in many packets."""
        self.say(TO_SERVER, tls.request(claimed))
        for record in tls.answer(claimed):
            self.say(TO_CLIENT, record)
            self.acknowledge(TO_SERVER)
        return self

    def data(self, way: Direction, length: int = 100) -> None:
        """A packet of the data channel."""
        self.send(way, bytes([DATA << 3 | self.key_id]) + tls.noise(length))

    def wait(self, seconds: float) -> None:
        self.datagrams.now_ns += round(seconds * 1_000_000_000)
        self.connection.wait(seconds)

    def frames(self) -> list[Frame]:
        return self.connection.frames() if self.over_tcp else self.datagrams.frames

    def lose_way(self, way: Direction) -> Vpn:
        """Only the other direction was captured."""
        self.connection.lose_way(way)
        port = 1194 if way == TO_CLIENT else 40_000
        self.datagrams.frames = [frame for frame in self.datagrams.frames if frame.data[34:36] != port.to_bytes(2)]
        return self

    def _count_anew(self) -> None:
        for way in (TO_SERVER, TO_CLIENT):
            self.next_ids[way], self.unacked[way] = 0, []


def framed(packet: bytes) -> bytes:
    """As in TCP."""
    return tls.vector(2, packet)


def sealed_by_tls_crypt(opcode: int, session_id: bytes, replay_id: int, length: int = 17, *, key_id: int = 0) -> bytes:
    """A packet of which ``length`` bytes are sealed."""
    head = bytes([opcode << 3 | key_id]) + session_id + struct.pack(">II", replay_id, NET_TIME)
    return head + tls.noise(32 + length, seed=replay_id)


def greeted(*, over_tcp: bool = False, hmac_bytes: int = 0) -> Vpn:
    """Heartbeats are clear, in the handshake."""
    return Vpn(over_tcp=over_tcp, hmac_bytes=hmac_bytes).reset().greet()


def sealing(*, over_tcp: bool = False) -> Vpn:
    """Heartbeats are sealed."""
    return greeted(over_tcp=over_tcp).finish()


def _back(way: Direction) -> Direction:
    return TO_CLIENT if way == TO_SERVER else TO_SERVER
