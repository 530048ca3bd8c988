"""EAP conversations that carry TLS in pieces, over RADIUS or EAPOL, and what may become of their packets."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from tests.capture.build import Frame
from tests.support import framing, tls
from tests.support.conversation import START_NS, STEP_NS, TO_CLIENT, TO_SERVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hbids.facts import Direction

REQUEST, RESPONSE, SUCCESS, FAILURE = 1, 2, 3, 4
IDENTITY, NAK, MD5 = 1, 3, 4
EAP_TLS, EAP_TTLS, PEAP, EAP_FAST, TEAP = 13, 21, 25, 43, 55
METHODS = {"EAP-TLS": EAP_TLS, "EAP-TTLS": EAP_TTLS, "PEAP": PEAP, "EAP-FAST": EAP_FAST, "TEAP": TEAP}
HAS_LENGTH, HAS_MORE, IS_START, HAS_OUTER_TLVS = 0x80, 0x40, 0x20, 0x10
VERSION = {PEAP: 1, EAP_FAST: 1, TEAP: 1}
ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11
USER_NAME, STATE, CALLING_STATION_ID, EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 1, 24, 31, 79, 80
CODES = {REQUEST: ACCESS_CHALLENGE, RESPONSE: ACCESS_REQUEST, SUCCESS: ACCESS_ACCEPT, FAILURE: ACCESS_REJECT}
ETHERTYPE_EAPOL = 0x888E
GROUP = "01:80:c2:00:00:03"
PROTOCOL_UDP = 17


def eap(code: int, identifier: int, method: int = 0, data: bytes = b"", *, length: int | None = None) -> bytes:
    body = data if code in (SUCCESS, FAILURE) else bytes([method]) + data
    return struct.pack(">BBH", code, identifier & 0xFF, 4 + len(body) if length is None else length) + body


def piece(data: bytes, flags: int = 0, *, message_bytes: int = 0) -> bytes:
    """A piece of TLS behind its flags, and the length of its message if the flags say so."""
    return bytes([flags]) + (struct.pack(">I", message_bytes) if flags & HAS_LENGTH else b"") + data


def attribute(kind: int, value: bytes, *, length: int | None = None) -> bytes:
    return bytes([kind, 2 + len(value) if length is None else length]) + value


def eap_message(packet: bytes) -> bytes:
    """As many attributes as it takes."""
    return b"".join(attribute(EAP_MESSAGE, packet[at : at + 253]) for at in range(0, len(packet), 253))


def radius(code: int, identifier: int, authenticator: bytes, attributes: bytes, *, length: int | None = None) -> bytes:
    length = 20 + len(attributes) if length is None else length
    return struct.pack(">BBH16s", code, identifier, length, authenticator) + attributes


def udp(source: tuple[str, int], target: tuple[str, int], payload: bytes) -> bytes:
    """An IP packet with a datagram."""
    datagram = struct.pack(">HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    if ":" in source[0]:
        return framing.ipv6(source[0], target[0], 64, datagram, first=PROTOCOL_UDP)
    return framing.ipv4(source[0], target[0], 64, datagram, protocol=PROTOCOL_UDP)


def eapol(packet: bytes, *, kind: int = 0, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 2, kind, len(packet) if length is None else length) + packet


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


class Carrier(Protocol):
    """What EAP packets travel in."""

    def wrap(self, packet: bytes) -> tuple[int, bytes]:
        """Link type and frame."""


@dataclass(slots=True)
class Radius:
    """An access server and a RADIUS server. ``states``: a new State with each challenge, or always the same."""

    client: tuple[str, int] = ("10.0.0.9", 50_000)
    server: tuple[str, int] = ("10.0.0.2", 1_812)
    caller: bytes = b"02-00-00-00-00-01"
    states: str = "new"
    first_identifier: int = 0
    tag: bytes = b"A"
    """In all States."""
    link: framing.Link = framing.ETHERNET
    sent: int = 0
    state: bytes = b""

    def wrap(self, packet: bytes) -> tuple[int, bytes]:
        code = CODES[packet[0]]
        if code == ACCESS_REQUEST:
            self.sent += 1
            authenticator = tls.noise(16, seed=self.sent * 300 + self.tag[0])
            attributes = attribute(USER_NAME, b"anonymous")
            attributes += attribute(CALLING_STATION_ID, self.caller) if self.caller else b""
            attributes += eap_message(packet)
            attributes += attribute(STATE, self.state) if self.state else b""
        else:
            authenticator = tls.noise(16, seed=self.sent * 300 + 150)
            attributes = eap_message(packet)
            if code == ACCESS_CHALLENGE:
                self.state = self.tag + (self.sent.to_bytes(2, "big") if self.states == "new" else b"") + b"-state"
                attributes += attribute(STATE, self.state)
        attributes += attribute(MESSAGE_AUTHENTICATOR, bytes(16))
        payload = radius(code, (self.first_identifier + self.sent) & 0xFF, authenticator, attributes)
        ends = (self.client, self.server) if code == ACCESS_REQUEST else (self.server, self.client)
        return self.link.link_type, self.link.wrap(udp(*ends, payload))

    def forget(self) -> None:
        """The next conversation begins."""
        self.state = b""


@dataclass(slots=True)
class Eapol:
    """A supplicant and an authenticator on one network."""

    client: str = "02:00:00:00:00:0a"
    server: str = "02:00:00:00:00:0b"
    groups: tuple[int, ...] = (RESPONSE,)
    """Codes of packets that go to the group address."""
    tags: tuple[tuple[int, int], ...] = ()
    padded: bool = True

    def wrap(self, packet: bytes) -> tuple[int, bytes]:
        source, target = (self.client, self.server) if packet[0] == RESPONSE else (self.server, self.client)
        target = GROUP if packet[0] in self.groups else target
        tags = b"".join(struct.pack(">HH", *tag) for tag in self.tags)
        data = mac(target) + mac(source) + tags + ETHERTYPE_EAPOL.to_bytes(2, "big") + eapol(packet)
        return 1, data.ljust(60 if self.padded else 0, b"\0")


@dataclass(slots=True)
class Sent:
    """A packet on its way; everything may be changed before it is captured."""

    way: Direction
    packet: bytes
    frame: Frame


@dataclass(slots=True)
class Dialogue:
    """One conversation, a packet a millisecond. Each side sends the next piece when the other has answered; what there
    is to answer where nothing was to be said, is said by itself."""

    carrier: Carrier = field(default_factory=Radius)
    method: int = EAP_TLS
    piece_bytes: int = 1_000
    identifier: int = 1
    now_ns: int = START_NS
    sent: list[Sent] = field(default_factory=list)
    turn: Direction = TO_SERVER

    # --- packets ---

    def send(self, packet: bytes) -> Sent:
        """Any EAP packet."""
        link_type, data = self.carrier.wrap(packet)
        way = TO_SERVER if packet[0] == RESPONSE else TO_CLIENT
        self.sent.append(Sent(way, packet, Frame(self.now_ns, data, len(data), link_type)))
        self.now_ns += STEP_NS
        self.turn = TO_CLIENT if way == TO_SERVER else TO_SERVER
        return self.sent[-1]

    def ask(self, method: int, data: bytes = b"") -> Sent:
        """The next Request."""
        self.identifier = (self.identifier + 1) & 0xFF
        return self.send(eap(REQUEST, self.identifier, method, data))

    def answer(self, method: int, data: bytes = b"") -> Sent:
        """A Response to the last Request."""
        return self.send(eap(RESPONSE, self.identifier, method, data))

    def _put(self, way: Direction, data: bytes, flags: int = 0, message_bytes: int = 0) -> Sent:
        framed = piece(data, flags | VERSION.get(self.method, 0), message_bytes=message_bytes)
        return self.answer(self.method, framed) if way == TO_SERVER else self.ask(self.method, framed)

    def say(self, way: Direction, data: bytes, *, piece_bytes: int | None = None) -> list[Sent]:
        """TLS, in pieces; those with data."""
        size = piece_bytes or self.piece_bytes
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        said = []
        for number, part in enumerate(pieces):
            if self.turn != way:
                self._put(self.turn, b"")
            flags = HAS_MORE if number + 1 < len(pieces) else 0
            flags |= HAS_LENGTH if number == 0 and len(pieces) > 1 else 0
            said.append(self._put(way, part, flags, len(data)))
        return said

    # --- what happens ---

    def identify(self) -> Dialogue:
        """What stands before every method. A RADIUS server is told only the answer."""
        if not isinstance(self.carrier, Radius):
            self.send(eap(REQUEST, self.identifier, IDENTITY))
        self.answer(IDENTITY, b"anonymous")
        return self

    def start(self) -> Dialogue:
        authority = b"\x00\x04\x00\x04who?" if self.method == EAP_FAST else b""
        self._put(TO_CLIENT, authority, IS_START)
        return self

    def client(self, data: bytes) -> list[Sent]:
        return self.say(TO_SERVER, data)

    def server(self, data: bytes) -> list[Sent]:
        return self.say(TO_CLIENT, data)

    def say_hello(self, client: bytes | None = None, server: bytes | None = None) -> Dialogue:
        self.client(tls.client_hello(client))
        self.server(tls.server_hello(server) + tls.certificate())
        return self

    def finish_handshake(self) -> Dialogue:
        self.client(tls.ccs() + tls.finished())
        self.server(tls.ccs() + tls.finished())
        return self

    def succeed(self, code: int = SUCCESS) -> Dialogue:
        if self.turn == TO_SERVER:
            self._put(TO_SERVER, b"")
        self.send(eap(code, self.identifier))
        return self

    def wait(self, seconds: float) -> Dialogue:
        self.now_ns += round(seconds * 1_000_000_000)
        return self

    # --- what becomes of it ---

    def lose(self, *lost: Sent) -> None:
        """They were sent, but not captured."""
        self.sent = [sent for sent in self.sent if not any(sent is one for one in lost)]

    def lose_way(self, way: Direction) -> Dialogue:
        self.sent = [sent for sent in self.sent if sent.way != way]
        return self

    def repeat(self, *again: Sent) -> None:
        """They come again, now."""
        for sent in again:
            self.sent.append(replace(sent, frame=sent.frame._replace(time_ns=self.now_ns)))
            self.now_ns += STEP_NS

    def cut(self, sent: Sent, captured_bytes: int) -> None:
        """Of its frame only so much was captured."""
        sent.frame = sent.frame._replace(data=sent.frame.data[:captured_bytes])

    def frames(self) -> list[Frame]:
        return [sent.frame for sent in self.sent]


def greeted(carrier: Carrier | None = None, method: int = EAP_TLS, *, piece_bytes: int = 1_000) -> Dialogue:
    """Both hellos were said: heartbeats are clear, in the handshake."""
    dialogue = Dialogue(carrier or Radius(), method, piece_bytes)
    return dialogue.identify().start().say_hello()


def sealing(carrier: Carrier | None = None, method: int = EAP_TLS, *, piece_bytes: int = 1_000) -> Dialogue:
    """Both sides seal, after agreeing to heartbeats."""
    return greeted(carrier, method, piece_bytes=piece_bytes).finish_handshake()


LEAK = b"".join(tls.answer(0x4000))


def attacked(carrier: Carrier | None = None, method: int = EAP_TLS, *, piece_bytes: int = 1_000) -> Dialogue:
    """A server that leaked."""
    dialogue = greeted(carrier, method, piece_bytes=piece_bytes)
    dialogue.client(tls.request(0x4000))
    dialogue.server(LEAK)
    return dialogue


def frames_of(*dialogues: Dialogue) -> list[Frame]:
    """The frames of all, in order of time."""
    frames = [frame for dialogue in dialogues for frame in dialogue.frames()]
    return sorted(frames, key=lambda frame: frame.time_ns)


def in_turn(dialogues: Sequence[Dialogue]) -> list[Frame]:
    """The frames of conversations that go on at the same time: one of each, then the next of each."""
    rounds = max(len(dialogue.sent) for dialogue in dialogues)
    order = [dialogue.sent[at].frame for at in range(rounds) for dialogue in dialogues if at < len(dialogue.sent)]
    return [frame._replace(time_ns=START_NS + number * STEP_NS) for number, frame in enumerate(order)]
