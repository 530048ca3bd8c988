"""TCP connections written down segment by segment, and then bent: lost, late, twice, cut, seen from one side only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hbids.facts import FRAME_DTYPE, Direction, FrameBatch
from tests.capture.build import NANOSECONDS, Frame, pcap_header, pcap_record
from tests.support import framing, tls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.support.framing import Link, Network

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
SECOND_NS = 1_000_000_000
STEP_NS = 1_000_000
START_NS = 1_700_000_000 * SECOND_NS
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


@dataclass(slots=True)
class Packet:
    """A segment on its way; everything may be changed before it is captured."""

    time_ns: int
    way: Direction
    seq: int
    ack: int
    flags: int = PSH | ACK
    payload: bytes = b""
    ttl: int = 64
    urgent: int = 0
    checksum: bool | None = None
    """Right, wrong, or as the conversation's."""
    captured_bytes: int | None = None
    """Of the frame, when a snap length cuts it."""


class Conversation:
    """One connection. Packets are a millisecond apart; sequence numbers follow what was sent."""

    def __init__(
        self,
        *,
        client: str = "10.0.0.1",
        server: str = "10.0.0.2",
        client_port: int = 40_000,
        server_port: int = 443,
        start_ns: int = START_NS,
        client_seq: int = 1_000,
        server_seq: int = 900_000,
        link: Link = framing.ETHERNET,
        network: Network = framing.either_ip,
        checksums: bool = False,
    ) -> None:
        """``checksums``: whether they are right; else the capture was taken before a network card filled them in."""
        self.packets: list[Packet] = []
        self.now_ns = start_ns
        self._addresses = {TO_SERVER: (client, client_port), TO_CLIENT: (server, server_port)}
        self.next_seq = {TO_SERVER: client_seq, TO_CLIENT: server_seq}
        self._link = link
        self._network = network
        self._checksums = checksums

    # --- what happens ---

    def connect(self) -> Conversation:
        """The three-way handshake. A conversation without it is seen from its middle."""
        for way, flags in ((TO_SERVER, SYN), (TO_CLIENT, SYN | ACK), (TO_SERVER, ACK)):
            self.segment(way, flags=flags)
        return self

    def say_hello(self, client: bytes | None = None, server: bytes | None = None) -> Conversation:
        """Both hellos: bodies, or the usual."""
        self.client(tls.client_hello(client))
        self.server(tls.server_hello(server))
        return self

    def finish_handshake(self) -> Conversation:
        """From here on both sides seal."""
        self.client(tls.ccs() + tls.finished())
        self.server(tls.ccs() + tls.finished())
        return self

    def client(self, data: bytes, *, cut: Sequence[int] = ()) -> list[Packet]:
        """Sent to the server, one segment, or several cut at these offsets."""
        return [self.segment(TO_SERVER, piece) for piece in tls.cut(data, cut)]

    def server(self, data: bytes, *, cut: Sequence[int] = ()) -> list[Packet]:
        """Sent to the client."""
        return [self.segment(TO_CLIENT, piece) for piece in tls.cut(data, cut)]

    def fin(self, way: Direction) -> Packet:
        return self.segment(way, flags=FIN | ACK)

    def rst(self, way: Direction) -> Packet:
        return self.segment(way, flags=RST)

    def segment(self, way: Direction, payload: bytes = b"", *, flags: int = PSH | ACK) -> Packet:
        """The next segment of one side."""
        ack = self.next_seq[_back(way)] if flags & ACK else 0
        packet = self.stray(way, payload, seq=self.next_seq[way], flags=flags, ack=ack)
        self.next_seq[way] += len(payload) + bool(flags & SYN) + bool(flags & FIN)
        return packet

    def stray(self, way: Direction, payload: bytes, *, seq: int, flags: int = PSH | ACK, ack: int = 0) -> Packet:
        """A segment with a sequence number of its own choice, which changes nothing for those that follow."""
        packet = Packet(self.now_ns, way, seq, ack or self.next_seq[_back(way)], flags, payload)
        self.packets.append(packet)
        self.now_ns += STEP_NS
        return packet

    def wait(self, seconds: float) -> Conversation:
        self.now_ns += round(seconds * SECOND_NS)
        return self

    # --- what becomes of it ---

    def lose(self, *packets: Packet) -> None:
        """They were sent, but not captured."""
        self.packets = [packet for packet in self.packets if not any(packet is lost for lost in packets)]

    def lose_way(self, way: Direction) -> Conversation:
        """Only the other direction was captured."""
        self.packets = [packet for packet in self.packets if packet.way != way]
        return self

    def repeat(self, *packets: Packet) -> None:
        """They come again, now."""
        for packet in packets:
            self.packets.append(replace(packet, time_ns=self.now_ns))
            self.now_ns += STEP_NS

    def reorder(self, order: Sequence[int], packets: Sequence[Packet]) -> None:
        """These packets arrive in another order, at the times at which any of them arrived."""
        places = [next(at for at, packet in enumerate(self.packets) if packet is moved) for moved in packets]
        times = [packet.time_ns for packet in packets]
        for place, time_ns, index in zip(places, times, order, strict=True):
            self.packets[place] = replace(packets[index], time_ns=time_ns)

    # --- what is captured ---

    def frame(self, packet: Packet) -> Frame:
        (source, source_port), (target, target_port) = self._addresses[packet.way], self._addresses[_back(packet.way)]
        seq, ack = packet.seq & 0xFFFF_FFFF, packet.ack & 0xFFFF_FFFF
        segment = framing.tcp(source_port, target_port, seq, ack, packet.flags, packet.payload, urgent=packet.urgent)
        if self._checksums if packet.checksum is None else packet.checksum:
            segment = framing.with_checksum(source, target, segment)
        data = self._link.wrap(self._network(source, target, packet.ttl, segment))
        return Frame(packet.time_ns, data[: packet.captured_bytes], len(data), self._link.link_type)

    def frames(self) -> list[Frame]:
        return [self.frame(packet) for packet in self.packets]


def connected() -> Conversation:
    """A connection before its first data."""
    return Conversation().connect()


def checked() -> Conversation:
    """A connection on which both hellos were said, with right checksums."""
    return Conversation(checksums=True).connect().say_hello()


def greeted() -> Conversation:
    """A connection on which both hellos were said: heartbeats are clear, in the handshake."""
    return connected().say_hello()


def sealing(cipher: int = tls.AES_GCM, version: int = tls.TLS_1_2, *extensions: bytes) -> Conversation:
    """A connection on which both sides seal, after agreeing to heartbeats."""
    hello = tls.server_hello_body(version=version, cipher=cipher, extensions=(tls.heartbeat_extension(), *extensions))
    return connected().say_hello(server=hello).finish_handshake()


class Captured(Protocol):
    """Anything that ends up as frames."""

    def frames(self) -> list[Frame]: ...


def frames_of(*conversations: Captured) -> list[Frame]:
    """The frames of all, in order of time; each conversation's own order is kept."""
    frames = [frame for conversation in conversations for frame in conversation.frames()]
    return frames if len(conversations) == 1 else sorted(frames, key=lambda frame: frame.time_ns)


def batch_of(frames: Iterable[Frame]) -> FrameBatch:
    data = bytearray()
    rows = []
    for frame in frames:
        rows.append((frame.time_ns, len(data), len(frame.data), frame.wire_bytes, frame.link_type, frame.interface))
        data += frame.data
    return FrameBatch(bytes(data), np.array(rows, FRAME_DTYPE))


def write_pcap(path: Path, frames: Sequence[Frame]) -> Path:
    """A capture file with nanoseconds; all frames must be of one link type."""
    records = [pcap_header(magic=NANOSECONDS, network=frames[0].link_type if frames else 1)]
    records += [pcap_record(frame.data, *divmod(frame.time_ns, SECOND_NS), wire=frame.wire_bytes) for frame in frames]
    path.write_bytes(b"".join(records))
    return path


def _back(way: Direction) -> Direction:
    return TO_CLIENT if way == TO_SERVER else TO_SERVER
