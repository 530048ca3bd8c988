"""How an interface is listened to: what the native engine's ring is opened with."""

from __future__ import annotations

from dataclasses import dataclass

from hbids.capture.live.interface import Interface
from hbids.config import Capture

__all__ = ["Instruction", "Tap", "tap_of"]

Instruction = tuple[int, int, int, int]
"""Of classic BPF: code, jump if true, jump if false, constant."""

_RETURN_CONSTANT = 0x06

_LINK_HEADER_BYTES = 14 + 2 * 4
"""Ethernet with two VLAN tags."""


@dataclass(frozen=True, slots=True)
class Tap:
    """See the fields of the same names in rust/hbids-live."""

    interface_index: int
    link_type: int
    block_bytes: int
    blocks: int
    block_timeout_ms: int
    filter: list[Instruction]
    promiscuous: bool
    only_incoming: bool
    hardware_time: bool
    longest_frame_bytes: int


def tap_of(
    interface: Interface,
    settings: Capture,
    *,
    program: list[Instruction] | None = None,
    promiscuous: bool = True,
    hardware_time: bool = False,
) -> Tap:
    """The tap for an interface; ``program`` is a filter that gives the bytes to keep of each frame."""
    page_bytes = settings.block_bytes & -4096
    return Tap(
        interface_index=interface.index,
        link_type=interface.link_type,
        block_bytes=page_bytes,
        blocks=max(2, settings.ring_bytes // page_bytes),
        block_timeout_ms=settings.block_timeout_ms,
        filter=program or [(_RETURN_CONSTANT, 0, 0, settings.snap_bytes)],
        promiscuous=promiscuous and not interface.is_loopback,
        only_incoming=interface.is_loopback,
        hardware_time=hardware_time,
        longest_frame_bytes=interface.mtu + _LINK_HEADER_BYTES,
    )
