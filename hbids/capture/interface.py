"""The interface description block of pcapng: link type, snap length and the clock of its packets."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hbids.capture.problems import FaultKind
from hbids.capture.split import Split, UnreadableError

__all__ = ["Interface", "InterfaceLayout"]

_END, _TIME_RESOLUTION, _TIME_OFFSET = 0, 9, 14
_VALUE_BYTES = {_TIME_RESOLUTION: 1, _TIME_OFFSET: 8}

_LEAST_NS, _MOST_NS = -(1 << 63), (1 << 63) - 1


@dataclass(slots=True)
class Interface:
    """What the packets of one interface have in common."""

    link_type: int
    snap_length: int
    """0: without limit."""
    ticks_to_ns: tuple[int, int] = (1000, 1)
    """Multiplier and divisor; microseconds unless the block says otherwise."""
    offset_ns: int = 0

    def time_ns(self, ticks: int) -> int:
        """Exact, rounded down; the nearest time an int64 can hold."""
        multiplier, divisor = self.ticks_to_ns
        return min(max(ticks * multiplier // divisor + self.offset_ns, _LEAST_NS), _MOST_NS)


class InterfaceLayout:
    """Reads interface descriptions in one byte order (``<`` or ``>``)."""

    def __init__(self, order: str) -> None:
        self._fixed = struct.Struct(f"{order}HxxI")  # link type, snap length
        self._option = struct.Struct(f"{order}HH")  # code, length
        self._seconds = struct.Struct(f"{order}q")

    def read(self, split: Split, at: int, body_end: int) -> Interface:
        """Read the block at ``at``, whose body ends at ``body_end``."""
        body_at = at + 8
        if body_end - body_at < self._fixed.size:
            raise UnreadableError(FaultKind.INTERFACE_BLOCK, at, body_end - body_at, self._fixed.size)
        interface = Interface(*self._fixed.unpack_from(split.chunk, body_at))
        option_at = body_at + self._fixed.size
        while (value_at := option_at + self._option.size) <= body_end:
            code, length = self._option.unpack_from(split.chunk, option_at)
            if code == _END:
                break
            if value_at + length > body_end:
                split.fault(FaultKind.INTERFACE_OPTION, at, length, body_end - value_at)
                break
            wanted = _VALUE_BYTES.get(code, length)
            if length != wanted:
                split.fault(FaultKind.INTERFACE_OPTION, at, length, wanted)
            elif code == _TIME_RESOLUTION:
                interface.ticks_to_ns = _ticks_to_ns(split.chunk[value_at])
            elif code == _TIME_OFFSET:
                interface.offset_ns = self._seconds.unpack_from(split.chunk, value_at)[0] * 1_000_000_000
            option_at = value_at + length + -length % 4  # values are padded to 32 bits
        return interface


def _ticks_to_ns(resolution: int) -> tuple[int, int]:
    """Read the if_tsresol octet: a tick is a negative power of 10, or of 2 when the highest bit is set."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return 1_000_000_000, 1 << exponent
    if exponent <= 9:
        return 10 ** (9 - exponent), 1
    return 1, 10 ** (exponent - 9)
