"""Which EAP conversation a packet belongs to. Each is a flow of its own.

Over RADIUS one pair of sockets carries many. An answer has the identifier of its request, the next request repeats the
State of that answer (RFC 2865 section 5.24), and a request without State begins a conversation. Where servers were not
captured, or the beginning was not, the caller tells; where access servers were not, States that stay the same, and
identifiers of EAP that follow each other.

Over EAPOL a conversation is that of a supplicant and an authenticator. Many send to the group address only: then it is
the one that was heard last, there or from there.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum, auto
from typing import TYPE_CHECKING, NamedTuple

from hbids.decode.reference.eap import IDENTITY, Eap, read_eap
from hbids.decode.reference.eapol import GROUP_ADDRESS
from hbids.decode.reference.layers import Datagram, Eapol
from hbids.decode.reference.radius import Radius, read_radius
from hbids.decode.reference.transport import PROTOCOL_UDP
from hbids.facts import PROTOCOL_EAPOL

if TYPE_CHECKING:
    from hbids.decode.reference.run import Run

__all__ = ["Conversations", "EapPacket"]


class EapPacket(NamedTuple):
    """An EAP packet with its place in a conversation."""

    src_addr: bytes
    dst_addr: bytes
    src_port: int
    dst_port: int
    vlan: tuple[int, int, int]
    ttl: int | None
    protocol: int
    conversation: int
    eap: Eap


class Conversation(NamedTuple):
    """Its ends, and its number, which tells apart those between the same ends: 0 for EAPOL, where nothing else does."""

    client_addr: bytes
    client_port: int
    server_addr: bytes
    server_port: int
    number: int = 0

    def packet(self, eap: Eap, vlan: tuple[int, int, int], ttl: int | None, protocol: int) -> EapPacket:
        """An EAP packet of it."""
        source, target = self[:2], self[2:4]
        if not eap.is_from_client:
            source, target = target, source
        return EapPacket(source[0], target[0], source[1], target[1], vlan, ttl, protocol, self.number, eap)


class Kind(IntEnum):
    """What a clue is."""

    IDENTIFIER = auto()
    """Of RADIUS, with the port of the access server."""
    REQUEST = auto()
    """An access request without State: its identifier and authenticator."""
    STATE = auto()
    CALLER = auto()
    TURN = auto()
    """The identifier of EAP that comes next, with the port of the access server."""
    SUPPLICANT = auto()
    AUTHENTICATOR = auto()
    """With its VLANs, as is the next."""
    GROUP = auto()
    """Who was asked at the group address last."""


class Clue(NamedTuple):
    """Something in a packet that only packets of one conversation have, between these hosts."""

    kind: Kind
    client_addr: bytes = b""
    server_addr: bytes = b""
    server_port: int = 0
    value: bytes = b""


class Conversations:
    """All conversations known by their clues. The clock is that of these packets; it never goes back."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: OrderedDict[Clue, tuple[Conversation, int]] = OrderedDict()
        """With the time of the last packet; in that order."""
        self._clock_ns = 0
        self._numbers = 0
        self._radius_ports = frozenset(run.limits.radius_ports)

    def of_datagram(self, datagram: Datagram) -> EapPacket | None:
        """What a datagram carries; None when it is not RADIUS with EAP."""
        if datagram.src_port not in self._radius_ports and datagram.dst_port not in self._radius_ports:
            return None
        radius = read_radius(datagram.payload, datagram.length)
        if radius is None:
            return None
        self._tick()
        conversation = self._of_radius(datagram, radius)
        return conversation.packet(radius.eap, datagram.vlan, datagram.ttl, PROTOCOL_UDP)

    def of_eapol(self, packet: Eapol, *, is_frame_whole: bool) -> EapPacket | None:
        """What an EAPOL packet carries; None when its receiver discards it. A packet that is longer than its frame
        tells a lie, unless the capture cut the frame."""
        eap = read_eap(packet.payload, packet.length)
        if eap is None or (is_frame_whole and len(packet.payload) < packet.length):
            self._run.counters["eap_malformed"] += 1
            return None
        self._tick()
        return self._of_eapol(packet, eap).packet(eap, packet.vlan, None, PROTOCOL_EAPOL)

    def finish(self) -> None:
        """What comes is another capture."""
        self._known.clear()
        self._clock_ns = 0

    # --- RADIUS ---

    def _of_radius(self, datagram: Datagram, radius: Radius) -> Conversation:
        client = datagram.src_addr, datagram.src_port
        server = datagram.dst_addr, datagram.dst_port
        if not radius.is_request:
            client, server = server, client
        hosts = client[0], *server
        own_port = client[1].to_bytes(2, "big")
        identifier = Clue(Kind.IDENTIFIER, *hosts, own_port + bytes([radius.identifier]))
        clues = [Clue(Kind.STATE, *hosts, radius.state)] if radius.state else []
        if not radius.is_request:
            conversation = self._find([identifier])
            if conversation is None:
                turns = [bytes([radius.eap.identifier + later & 0xFF]) for later in (0, 1)]
                clues += [Clue(Kind.TURN, *hosts, own_port + turn) for turn in turns]
                conversation = self._find(clues[:-1]) or self._begin(client, server)
            return self._note(conversation, clues)
        if not radius.state:
            clues = [Clue(Kind.REQUEST, *hosts, identifier.value + radius.authenticator)]
        caller = [Clue(Kind.CALLER, *hosts, radius.caller)] if radius.caller else []
        is_first = radius.eap.method == IDENTITY
        conversation = self._find(clues if is_first else clues + caller) or self._begin(client, server)
        return self._note(conversation, [identifier, *clues, *caller])

    def _begin(self, client: tuple[bytes, int], server: tuple[bytes, int]) -> Conversation:
        self._numbers += 1
        return Conversation(*client, *server, self._numbers)

    # --- EAPOL ---

    def _of_eapol(self, packet: Eapol, eap: Eap) -> Conversation:
        vlans = b"".join(tag.to_bytes(2, "big") for tag in packet.vlan)
        group = Clue(Kind.GROUP, value=vlans)
        sender = packet.src_addr
        if eap.is_from_client:
            known = Clue(Kind.SUPPLICANT, sender)
            if packet.dst_addr != GROUP_ADDRESS:
                server_addr = packet.dst_addr
            else:
                heard = self._find([known, group])
                server_addr = heard.server_addr if heard else GROUP_ADDRESS
            conversation = Conversation(sender, 0, server_addr, 0)
        elif packet.dst_addr != GROUP_ADDRESS:
            conversation = Conversation(packet.dst_addr, 0, sender, 0)
        else:
            known = Clue(Kind.AUTHENTICATOR, server_addr=sender, value=vlans)
            conversation = self._find([known]) or Conversation(GROUP_ADDRESS, 0, sender, 0)
            self._note(conversation, [group])
        if GROUP_ADDRESS not in (conversation.client_addr, conversation.server_addr):
            supplicant = Clue(Kind.SUPPLICANT, conversation.client_addr)
            authenticator = Clue(Kind.AUTHENTICATOR, server_addr=conversation.server_addr, value=vlans)
            self._note(conversation, [supplicant, authenticator])
        return conversation

    # --- clues ---

    def _find(self, clues: list[Clue]) -> Conversation | None:
        """The conversation of the first clue that is known."""
        for clue in clues:
            if clue in self._known:
                return self._known[clue][0]
        return None

    def _note(self, conversation: Conversation, clues: list[Clue]) -> Conversation:
        for clue in clues:
            self._known[clue] = conversation, self._clock_ns
            self._known.move_to_end(clue)
            if len(self._known) > self._run.limits.eap_clues:
                self._run.counters["eap_clues_evicted"] += 1
                self._known.popitem(last=False)
        return conversation

    def _tick(self) -> None:
        self._clock_ns = max(self._clock_ns, self._run.time_ns)
        while self._known:
            clue, (_, noted_ns) = next(iter(self._known.items()))
            if noted_ns + self._run.limits.eap_clue_timeout_ns > self._clock_ns:
                break
            del self._known[clue]
