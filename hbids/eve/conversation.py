"""One flow as EVE tells it, turned back into the frames that the engines read.

Suricata says what it saw in pieces: the stream of a direction so far (an alert's ``payload``), single packets (of
alerts, and tagged ones), sizes of records (``frame``), and what the hellos said (``tls``). A conversation keeps the
first of them back until both streams are known, or a moment has passed; then it plays the flow from its hellos on, each
byte once, and hands on what comes later as it comes. Bytes of which only the number is known are zeros inside records,
where nobody looks; nothing else is made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hbids.eve.flows import TCP, FlowKey
from hbids.eve.hello import TlsSession
from hbids.eve.pieces import FIRST_SEQ, SEQ_MASK, Frame, ShownBytes, ShownPacket, Stream, ToldRecord, distance
from hbids.eve.records import (
    CHANGE_CIPHER_RECORD,
    begins_answer,
    handshake_end,
    is_record,
    looks_sealed,
    lost_header,
    made_records,
    tls_start,
)
from hbids.eve.segment import ACK, LINK_TYPE_RAW, RST, SYN, find_segment, make_segment
from hbids.eve.tellers import Ends, Tellers, ends_of
from hbids.facts import Direction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hbids.eve.flows import FlowCounts, Party
    from hbids.eve.segment import Segment

__all__ = ["Conversation"]

_SEGMENT_BYTES = 32_768
_SAMPLE_BYTES = 16
"""So many bytes alike are the same bytes."""
_LEADS_TO_TLS = ("tls", "smtp", "imap", "pop3", "ftp", "ldap", "pgsql")


@dataclass(slots=True, eq=False)
class Conversation:
    """One flow. Times are nanoseconds of Suricata's clock."""

    client: Party
    server: Party
    protocol: int
    start_ns: int
    tls: TlsSession | None = None
    session_told: bool = False
    """There is a row of the session, since no hello was seen that gives one."""
    evidence: str = "eve-flow"
    hellos_seen: set[Direction] = field(default_factory=set)
    """Whose real hellos the engine was given."""
    tellers: Tellers = field(init=False)
    is_over: bool = False
    """All is said; whoever still tells of it tells it again."""
    said_overflow: bool = False
    """Suricata says that a clear request claims too much."""
    said_invalid: bool = False
    """Suricata says that a clear request lacks padding, or did not wait for an answer."""
    said_leak: bool = False
    """Suricata says that an answer was too large."""
    counts_then: FlowCounts | None = None
    """What had gone each way when Suricata first said anything of a heartbeat; None where only anomalies did."""
    words_until_ns: int | None = None
    """Whatever Suricata has said up to then has been judged."""
    counted_from_ns: int | None = None
    """From then on sizes are told by counters alone."""
    held_bytes: int = 0
    first_held_ns: int | None = None
    is_tls: bool | None = None
    """By Suricata's word; without one, a hello and records both ways: a file of TLS bytes has them one way."""
    playing: bool = False
    _held: list[ShownPacket] = field(default_factory=list)
    _held_records: list[ToldRecord] = field(default_factory=list)
    _streams: dict[Direction, Stream] = field(
        default_factory=lambda: {Direction.TO_SERVER: Stream(), Direction.TO_CLIENT: Stream()}
    )
    _last_packets: list[tuple[int, bytes]] = field(default_factory=list)
    _latest_ns: int = 0
    _shown: dict[Direction, ShownBytes] = field(
        default_factory=lambda: {Direction.TO_SERVER: ShownBytes(), Direction.TO_CLIENT: ShownBytes()}
    )
    """What of each direction packets have shown."""

    def __post_init__(self) -> None:
        self.tellers = Tellers(self.start_ns)

    @property
    def key(self) -> FlowKey:
        """The endpoints."""
        return FlowKey(self.client, self.server, self.protocol)

    @property
    def ends(self) -> Ends:
        """What names the flow, whoever tells of it."""
        return ends_of(self.key)

    def bytes_ahead(self, segment: Segment) -> int | None:
        """How far a packet lies behind the last one of its direction that was shown, negative if before it; None where
        none was shown. Streams begin anywhere in four billion."""
        way = Direction.TO_CLIENT if self._goes(segment, Direction.TO_CLIENT) else Direction.TO_SERVER
        last_seq = self._shown[way].last_seq
        return None if last_seq is None else distance(last_seq, segment.seq)

    # --- what EVE says ---

    def word(self, app_protocol: str) -> None:
        """What Suricata takes the flow for, or what led to it."""
        if app_protocol in _LEADS_TO_TLS:
            self.is_tls = True
        elif app_protocol not in ("", "failed") and self.protocol == TCP and not self.is_tls:
            self.is_tls = False

    def forget_words(self, time_ns: int) -> None:
        """What was said of heartbeats up to now has been judged; the same words of another sensor mean nothing new."""
        self.said_overflow = self.said_invalid = self.said_leak = False
        self.counts_then, self.words_until_ns = None, time_ns

    def way_of(self, source: Party) -> Direction:
        """Which way a packet of this source goes."""
        return Direction.TO_CLIENT if source == self.server else Direction.TO_SERVER

    def packet(self, frame: Frame, way: Direction, teller: int) -> Iterator[Frame]:
        """A packet of the flow; the same one may be told several times, also by another teller."""
        mark = (frame.time_ns, frame.data)
        if mark in self._last_packets:
            return
        self._last_packets = [*self._last_packets[-1:], mark]
        self.evidence = "eve-alert"
        segment = find_segment(frame.link_type, frame.data) if self.protocol == TCP else None
        packet = ShownPacket(frame, way, segment)
        if segment is not None:
            shown = self._shown[way]
            if shown.has(segment.seq, len(segment.payload), but=teller):
                return
            shown.add(segment.seq, len(segment.payload), teller)
        if not self.playing and self.protocol != TCP:
            self.playing = self.is_tls = True
        if self.playing:
            yield from self._hand_on(packet)
        else:
            self._hold(frame.time_ns, len(frame.data))
            self._held.append(packet)

    def stream(self, data: bytes, way: Direction, time_ns: int, near: Segment | None) -> Iterator[Frame]:
        """The bytes of one direction so far, or the last of them. ``near`` is the segment at which it was told; without
        one, streams lie where they would if each began with sequence number 1."""
        self.evidence = "eve-alert"
        stream = self._streams[way]
        if near is None and (self._held or stream.played_to is not None):
            return  # nobody knows where it lies among them
        start = (self._end_of(data, way, near) - len(data)) & SEQ_MASK if near else FIRST_SEQ
        if not self.playing:
            if len(data) > len(stream.data):
                self._hold(time_ns, len(data) - len(stream.data))
                stream.data, stream.data_start = data, start
        elif stream.played_to is not None:
            new = distance(stream.played_to, start + len(data))
            if 0 < new <= len(data):
                yield from self._segments(way, data[-new:], time_ns)

    def record(self, offset: int, data: bytes, way: Direction, time_ns: int) -> Iterator[Frame]:
        """A heartbeat record at ``offset`` of a direction's stream, told without packets."""
        if self.evidence == "eve-alert":
            return  # packets and streams say more
        self.evidence = "eve-frame"
        record = ToldRecord(offset, data, way, time_ns)
        if self.playing:
            yield from self._tell(record)
        else:
            self._hold(time_ns, len(data))
            self._held_records.append(record)

    def told_to(self, way: Direction) -> tuple[int, int]:
        """How far records of a direction were told without packets, and how long the last of them was; zeros without
        any."""
        return self._streams[way].next_offset, self._streams[way].last_record_bytes

    # --- what the engine gets ---

    @property
    def has_streams(self) -> bool:
        """Both directions are known from their beginning."""
        return all(stream.data for stream in self._streams.values())

    def play(self, now_ns: int) -> Iterator[Frame]:
        """Hand on all that was held back, hellos first."""
        if self.playing:
            return
        self.playing = True
        if self.protocol == TCP:
            yield from self._prelude(now_ns)
        if self.is_tls is None:
            self.is_tls = bool(self.hellos_seen) and self._both_speak_tls()
        held, self._held, self.held_bytes = self._held, [], 0
        for packet in held:
            yield from self._hand_on(packet)
        records, self._held_records = self._held_records, []
        for record in records:
            yield from self._tell(record)
        for stream in self._streams.values():
            stream.data = b""

    def end(self, time_ns: int) -> Iterator[Frame]:
        """The flow is over."""
        yield from self.play(time_ns)
        seq = self._streams[Direction.TO_SERVER].played_to
        if self.protocol == TCP and seq is not None:
            yield self._made(Direction.TO_SERVER, seq, RST, b"", max(time_ns, self._latest_ns))

    # --- inside ---

    def _hold(self, time_ns: int, more_bytes: int) -> None:
        self.held_bytes += more_bytes
        if self.first_held_ns is None:
            self.first_held_ns = time_ns

    def _end_of(self, data: bytes, way: Direction, near: Segment) -> int:
        """Where a stream ends: where its bytes meet those of a packet that is held, else at the last
        acknowledgement."""
        acks = [packet.segment.ack for packet in self._held if packet.way != way and packet.segment is not None]
        if not self._goes(near, way):
            acks.append(near.ack)
        known = [ack for ack in acks if ack is not None]
        end = max(known, key=lambda ack: distance(known[0], ack)) if known else near.seq
        for packet in self._held:
            segment = packet.segment
            if packet.way != way or segment is None or len(segment.payload) < _SAMPLE_BYTES:
                continue
            back = distance(segment.seq, end)
            sample = segment.payload[:_SAMPLE_BYTES]
            if not (0 < back <= len(data)) or data[len(data) - back :].startswith(sample[:back]):
                continue
            found = data.rfind(sample)
            if found >= 0:
                return segment.seq + len(data) - found
        return end

    def _goes(self, segment: Segment, way: Direction) -> bool:
        port = self.client[1] if way == Direction.TO_SERVER else self.server[1]
        return segment.source_port == port

    def _prelude(self, now_ns: int) -> Iterator[Frame]:
        """The flow up to the packets that are held: its hellos, real or made, and what else the streams have."""
        hellos = [packet for packet in self._held if _is_hello(packet)]
        self._held = [packet for packet in self._held if not _is_hello(packet)]
        answer = self._opening(Direction.TO_CLIENT, hellos)
        openings = {Direction.TO_SERVER: self._opening(Direction.TO_SERVER, hellos), Direction.TO_CLIENT: answer}
        if not any(openings.values()):
            return
        time_ns = min(now_ns, self.first_held_ns or now_ns)
        hello_ns = min(time_ns, self.tls.time_ns if self.tls else time_ns)
        for stream in self._streams.values():
            stream.played_to = stream.start
        to_server, to_client = (self._streams[way].start for way in openings)
        yield self._made(Direction.TO_SERVER, to_server - 1, SYN, b"", hello_ns)
        yield self._made(Direction.TO_CLIENT, to_client - 1, SYN | ACK, b"", hello_ns)
        yield from self._dialogue(openings, hello_ns, time_ns)
        for way in openings:
            yield from self._holes(way, time_ns)

    def _opening(self, way: Direction, hellos: list[ShownPacket]) -> bytes:
        """A direction from its hello to the first of the packets that are held. A hello that EVE did not show is made
        of the ``tls`` event; what lies between, the handshake, is made of the right length."""
        stream = self._streams[way]
        pieces = [(p.segment.seq, p.segment.payload) for p in hellos if p.way == way and p.segment is not None]
        begins = tls_start(stream.data, way)
        stream.data, stream.data_start = stream.data[begins:], (stream.data_start + (begins or 0)) & SEQ_MASK
        if self.said_overflow and pieces:
            header = lost_header(stream.data)
            if distance(pieces[0][0], stream.data_start) == len(pieces[0][1]) + len(header):
                stream.data, stream.data_start = header + stream.data, (stream.data_start - len(header)) & SEQ_MASK
        if stream.data and is_record(stream.data):
            pieces.append((stream.data_start, stream.data))
        pieces = sorted(pieces, key=lambda piece: distance(pieces[0][0], piece[0]))
        first = self._first_seq(way)
        if not pieces:
            stream.start = FIRST_SEQ if first is None else first
            return self._made_opening(way)
        stream.start = pieces[0][0]
        opening = bytearray()
        for seq, data in pieces:
            missing = distance((stream.start + len(opening)) & SEQ_MASK, seq)
            opening += made_records(opening, missing, sealed=self._is_sealed())
            opening += data[max(0, len(opening) - distance(stream.start, seq)) :]
        packet = next((p.segment for p in self._held if p.way == way and p.segment and p.segment.payload), None)
        if packet is not None:
            length = distance(stream.start, packet.seq)
            opening += made_records(opening, length - len(opening), sealed=self._is_sealed())
            del opening[max(0, length) :]
        if tls_start(opening, way) == 0:
            self.hellos_seen.add(way)
            return bytes(opening)
        return self._made_opening(way) + bytes(opening)

    def _made_opening(self, way: Direction) -> bytes:
        """A hello that says what the ``tls`` event says, before the stream as it is known."""
        if self.tls is not None and self.tls.is_complete:
            session = self.tls
        elif way == Direction.TO_SERVER and Direction.TO_CLIENT in self.hellos_seen:
            session = TlsSession(self.start_ns)  # somebody was answered
        else:
            return b""
        hello = session.client_hello() if way == Direction.TO_SERVER else session.server_hello()
        if self._is_sealed():
            hello += CHANGE_CIPHER_RECORD
        stream = self._streams[way]
        stream.start = (stream.start - len(hello)) & SEQ_MASK
        return hello

    def _first_seq(self, way: Direction) -> int | None:
        """Of the packets that are held, the sequence number where this direction goes on."""
        for packet in self._held:
            if packet.segment is not None:
                seq = packet.segment.seq if packet.way == way else packet.segment.ack
                if seq is not None:
                    return seq
        return None

    def _both_speak_tls(self) -> bool:
        return all(
            way in self.hellos_seen
            or any(packet.way == way and packet.segment and is_record(packet.segment.payload) for packet in self._held)
            for way in self._streams
        )

    def _is_sealed(self) -> bool:
        if self.said_overflow:
            return False
        return all(looks_sealed(packet.segment.payload) for packet in self._held if packet.segment is not None)

    def _dialogue(self, openings: dict[Direction, bytes], hello_ns: int, time_ns: int) -> Iterator[Frame]:
        """The openings in the order of a handshake: hello, answer, the client's second flight, the server's; then what
        follows, requests first."""
        client, server = Direction.TO_SERVER, Direction.TO_CLIENT
        ends = {way: handshake_end(openings[way]) for way in openings}
        if openings[client]:
            first = handshake_end(openings[client], most_records=1)
            yield from self._segments(client, openings[client][:first], hello_ns)
            openings[client], ends[client] = openings[client][first:], ends[client] - first
        before = handshake_end(openings[server], until_change_cipher=True)
        yield from self._segments(server, openings[server][:before], hello_ns)
        openings[server], ends[server] = openings[server][before:], ends[server] - before
        for way in (client, server):
            yield from self._segments(way, openings[way][: ends[way]], time_ns)
            openings[way] = openings[way][ends[way] :]
        order = (server, client) if begins_answer(openings[client]) else (client, server)
        for way in order:
            yield from self._segments(way, openings[way], time_ns)

    def _holes(self, way: Direction, time_ns: int) -> Iterator[Frame]:
        """What a stream has between the packets that are held, and behind them."""
        stream = self._streams[way]
        if not stream.data or stream.played_to is None:
            return
        begin = stream.data_start
        at = max(0, distance(begin, stream.played_to))
        spans = sorted(
            (distance(begin, packet.segment.seq), len(packet.segment.payload))
            for packet in self._held
            if packet.way == way and packet.segment is not None and packet.segment.payload
        )
        for here, length in [*spans, (len(stream.data), 0)]:
            if at < here <= len(stream.data):
                yield from self._pieces(way, begin + at, stream.data[at:here], time_ns)
            at = max(at, here + length)

    def _hand_on(self, packet: ShownPacket) -> Iterator[Frame]:
        segment = packet.segment
        if segment is not None:
            stream = self._streams[packet.way]
            end = (segment.seq + len(segment.payload)) & SEQ_MASK
            if stream.played_to is None or distance(stream.played_to, end) > 0:
                stream.played_to = end
        self._latest_ns = max(self._latest_ns, packet.frame.time_ns)
        if self.is_tls:
            yield packet.frame

    def _tell(self, record: ToldRecord) -> Iterator[Frame]:
        """Of a record told without packets. Of a clear one, and so Suricata has called it, the size says too little."""
        if (self.said_overflow or self.said_invalid) and self.evidence == "eve-frame":
            self.evidence = "eve-flow"
        if self.evidence != "eve-frame":
            return
        stream = self._streams[record.way]
        if record.offset >= stream.next_offset:
            stream.next_offset, stream.last_record_bytes = record.offset + len(record.data), len(record.data)
            if stream.played_to is None:
                stream.played_to = stream.start
            yield from self._segments(record.way, record.data, record.time_ns)

    def _segments(self, way: Direction, data: bytes, time_ns: int) -> Iterator[Frame]:
        """The next bytes of a direction."""
        stream = self._streams[way]
        if not data or stream.played_to is None:
            return
        seq = stream.played_to
        stream.played_to = (seq + len(data)) & SEQ_MASK
        yield from self._pieces(way, seq, data, time_ns)

    def _pieces(self, way: Direction, seq: int, data: bytes, time_ns: int) -> Iterator[Frame]:
        for offset in range(0, len(data), _SEGMENT_BYTES):
            yield self._made(way, seq + offset, ACK, data[offset : offset + _SEGMENT_BYTES], time_ns)

    def _made(self, way: Direction, seq: int, flags: int, payload: bytes, time_ns: int) -> Frame:
        back = self._streams[Direction.TO_CLIENT if way == Direction.TO_SERVER else Direction.TO_SERVER]
        ack = back.played_to or 0 if flags & ACK else 0
        source, target = (self.client, self.server) if way == Direction.TO_SERVER else (self.server, self.client)
        self._latest_ns = max(self._latest_ns, time_ns)
        packet = make_segment(source, target, seq, ack, flags, payload)
        return Frame(time_ns, LINK_TYPE_RAW, len(packet), packet)


def _is_hello(packet: ShownPacket) -> bool:
    return packet.segment is not None and tls_start(packet.segment.payload[:_SAMPLE_BYTES], packet.way) == 0
