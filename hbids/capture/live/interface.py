"""What the system tells of a network interface (Linux: netdevice(7))."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hbids.errors import UserInputError

__all__ = ["CannotListen", "Interface", "Standing"]

_LINK_ETHERNET, _LINK_RAW = 1, 101
_LOOPBACK = 772

_LINK_TYPES = {
    # ARPHRD_ number of linux/if_arp.h: LINKTYPE_ number of what a raw packet socket gives
    1: _LINK_ETHERNET,
    _LOOPBACK: _LINK_ETHERNET,
    519: _LINK_RAW,  # rawip
    768: _LINK_RAW,  # IP in IP
    769: _LINK_RAW,  # IPv6 in IPv6
    776: _LINK_RAW,  # IPv6 in IPv4
    778: _LINK_RAW,  # GRE over IPv4
    65534: _LINK_RAW,  # no link layer: tun, WireGuard
}

_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8921, 0x8927, 0x8933
_IFF_UP = 1
_SIOCSHWTSTAMP, _HWTSTAMP_FILTER_ALL = 0x89B0, 1
_REQUEST = struct.Struct("16s24x")
"""struct ifreq: the name, and room for the answer."""

_SYSTEM = Path("/sys/class/net")
_LOSSES = ("rx_missed_errors", "rx_fifo_errors")
"""As libpcap counts them. ``rx_dropped`` would add frames that only the machine's own protocols did not want."""


class CannotListen(Exception):
    """An interface cannot be listened to; the message says which, why, and what to do."""


class Standing(Enum):
    """What has become of an interface since it was looked up."""

    UP = "is up again"
    DOWN = "went down: nothing is heard there"
    GONE = "is gone: what else there is goes on being heard"
    REPLACED = "is another one now: this one must be opened anew"


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface, as it was when it was looked up."""

    name: str
    index: int
    link_type: int
    """LINKTYPE_ number of the pcap registry."""
    mtu: int
    is_loopback: bool

    @classmethod
    def named(cls, name: str) -> Interface:
        """Look it up. Raises UserInputError when there is none, CannotListen when its kind is not known."""
        known = {each: index for index, each in socket.if_nameindex()}
        if name not in known:
            raise UserInputError([f"{name}: no such interface: there are {', '.join(sorted(known))}"])
        kind = _ask(name, _SIOCGIFHWADDR, "H")
        if kind not in _LINK_TYPES:
            raise CannotListen(
                f"{name}: hbids cannot read frames of an interface of this kind (ARPHRD {kind}): "
                f"use `tcpdump -i {name} -w - | hbids replay -`"
            )
        return cls(name, known[name], _LINK_TYPES[kind], _ask(name, _SIOCGIFMTU, "i"), kind == _LOOPBACK)

    def standing(self) -> Standing:
        """What has become of it."""
        try:
            if _ask(self.name, _SIOCGIFINDEX, "i") != self.index:
                return Standing.REPLACED
            return Standing.UP if _ask(self.name, _SIOCGIFFLAGS, "H") & _IFF_UP else Standing.DOWN
        except OSError:
            return Standing.GONE

    def stamp_in_hardware(self) -> None:
        """Have the network card stamp every frame it receives. Raises CannotListen when it cannot; takes
        CAP_NET_ADMIN."""
        wanted = (ctypes.c_int * 3)(0, 0, _HWTSTAMP_FILTER_ALL)  # struct hwtstamp_config: flags, tx_type, rx_filter
        request = struct.pack("16sP16x", self.name.encode(), ctypes.addressof(wanted))
        try:
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as any_socket:
                fcntl.ioctl(any_socket, _SIOCSHWTSTAMP, request)
        except OSError as error:
            raise CannotListen(
                f"{self.name}: its hardware cannot stamp received frames ({error.strerror}): `ethtool -T {self.name}` "
                "shows what it can; without --hardware-timestamps the kernel does it"
            ) from error

    def frames_lost(self) -> int:
        """Frames that the interface itself has lost since it exists; 0 when it does not tell."""
        folder = _SYSTEM / self.name
        try:
            if int((folder / "ifindex").read_text()) != self.index:  # /sys of another network namespace
                return 0
            return sum(int((folder / "statistics" / kind).read_text()) for kind in _LOSSES)
        except OSError:
            return 0


def _ask(name: str, request: int, answer: str) -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as any_socket:
        told = fcntl.ioctl(any_socket, request, _REQUEST.pack(name.encode()))
    value: int = struct.unpack_from(f"16x{answer}", told)[0]
    return value
