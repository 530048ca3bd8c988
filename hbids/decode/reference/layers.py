"""What reading one header of a frame can come to: the next header, something whole, a fragment, or nothing.

Every reader takes the :class:`Walk` and the bytes from its header on, and gives a :data:`Step`; a text is the name of
the drop counter that says why the frame ends here.
"""

from __future__ import annotations

from enum import Enum, auto
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from hbids.facts import NO_VLAN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "BE16",
    "GROUP_MAC",
    "Datagram",
    "Eapol",
    "Found",
    "Fragment",
    "FragmentKey",
    "Layer",
    "Next",
    "Segment",
    "Step",
    "TunnelReader",
    "Walk",
    "sum_mod_ffff",
]

BE16 = Struct(">H")
MAX_VLANS = 3
GROUP_MAC = bytes.fromhex("0180c2000003")
"""Of all next to each other that speak EAPOL; where a target is not known, it may be any of them."""


class Layer(Enum):
    """A header that may stand next."""

    ETHERNET = auto()
    VLAN = auto()
    MPLS = auto()
    PPPOE = auto()
    PPP = auto()
    IP = auto()
    TCP = auto()
    UDP = auto()
    GRE = auto()
    EAPOL = auto()


class Next(NamedTuple):
    """A header yet to be read; ``data`` begins with it."""

    layer: Layer
    data: bytes


class Segment(NamedTuple):
    """A TCP segment as captured. ``length`` is the payload length the headers claim; ``payload`` may be shorter when a
    snap length cut the frame."""

    src_addr: bytes
    dst_addr: bytes
    src_port: int
    dst_port: int
    vlan: tuple[int, int, int]
    ttl: int
    seq: int
    ack: int
    flags: int
    urgent: int
    """Urgent pointer; of use with the flag URG only."""
    header_right: bool
    """The IP header's checksum is right, as far as there is one."""
    claimed_bytes: int
    """Of the whole segment, its header included."""
    whole: bytes
    """Header and payload, as captured."""
    payload: bytes
    length: int


class Datagram(NamedTuple):
    """A UDP datagram that is no tunnel's, as captured; fields as of :class:`Segment`."""

    src_addr: bytes
    dst_addr: bytes
    src_port: int
    dst_port: int
    vlan: tuple[int, int, int]
    ttl: int
    header_right: bool
    claimed_bytes: int
    whole: bytes
    payload: bytes
    length: int


class Eapol(NamedTuple):
    """An EAPOL packet that carries EAP; its addresses are made of MAC addresses. ``length`` and ``payload`` as of
    :class:`Segment`."""

    src_addr: bytes
    dst_addr: bytes
    vlan: tuple[int, int, int]
    payload: bytes
    length: int


class FragmentKey(NamedTuple):
    """What the fragments of one packet share. ``protocol`` is 0 in IPv6, where only the first fragment's counts."""

    version: int
    src_addr: bytes
    dst_addr: bytes
    protocol: int
    identification: int


class Fragment(NamedTuple):
    """A part of an IP packet's payload: ``length`` bytes from ``offset`` on, of which ``payload`` was captured."""

    key: FragmentKey
    protocol: int
    offset: int
    more: bool
    payload: bytes
    length: int
    walk: Walk


class Walk:
    """How far the reading of a frame has come: tags so far, and what the innermost IP header said."""

    __slots__ = (
        "claimed_bytes",
        "dst_addr",
        "header_right",
        "layers",
        "macs",
        "src_addr",
        "tags",
        "ttl",
        "tunnels",
    )

    def __init__(self, tunnels: Mapping[int, TunnelReader]) -> None:
        self.tunnels = tunnels
        """By UDP port."""
        self.layers = 0
        self.tags: list[int] = []
        """VLAN identifiers, outermost first."""
        self.macs = bytes(12)
        """Target and source of the innermost Ethernet header, not looked for across fragments."""
        self.src_addr = self.dst_addr = b""
        self.ttl = 0
        self.header_right = True
        """Whether the innermost IP header's checksum is right, as far as there is one."""
        self.claimed_bytes = 0
        """Length the innermost IP header claims for what follows it."""

    @property
    def vlan(self) -> tuple[int, int, int]:
        """The outermost tags, as the fact tables hold them."""
        first, second, third = (self.tags + [NO_VLAN] * MAX_VLANS)[:MAX_VLANS]
        return first, second, third


Found = Segment | Datagram | Eapol | Fragment | str
"""What a frame holds."""

Step = Next | Found

if TYPE_CHECKING:
    TunnelReader = Callable[[bytes], Next | None]
    """From a datagram's payload to what it carries; None when it is not of this tunnel."""


def sum_mod_ffff(data: bytes) -> int:
    """The sum of all 16-bit words modulo 65535, which is 0 where a checksum is right (RFC 1071)."""
    return int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
