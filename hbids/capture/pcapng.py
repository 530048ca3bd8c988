"""Capture files of the newer kind: pcapng (draft-ietf-opsawg-pcapng).

Sections, each in its own byte order; interfaces, each with its own link type and clock; packets in enhanced, simple and
obsolete blocks. Every other block is skipped.
"""

from __future__ import annotations

import struct

from hbids.capture.interface import Interface, InterfaceLayout
from hbids.capture.problems import FaultKind
from hbids.capture.split import ROW, Split, UnreadableError

__all__ = ["Pcapng"]

_SECTION, _INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_PACKETS = (_OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET)

_SMALLEST_BLOCK_BYTES = 12
_SMALLEST_SECTION_BYTES = 28

_LARGEST_BLOCK_BYTES = 16 << 20
"""As Wireshark: bounds what must be held to see a block whole."""

_MOST_INTERFACES = 1 << 16
"""The ``interface`` column of a frame has 16 bits, and the table must end somewhere."""

_KNOWN_VERSION = 1


class _Layout:
    """The fixed fields of the blocks in one byte order (``<`` or ``>``)."""

    def __init__(self, order: str) -> None:
        self.block = struct.Struct(f"{order}II")  # type, length
        self.word = struct.Struct(f"{order}I")
        self.version = struct.Struct(f"{order}H")
        self.packets = {
            _OBSOLETE_PACKET: struct.Struct(f"{order}HxxIIII"),  # interface, time (high, low), captured, wire
            _SIMPLE_PACKET: struct.Struct(f"{order}I"),  # wire
            _ENHANCED_PACKET: struct.Struct(f"{order}IIIII"),  # interface, time (high, low), captured, wire
        }
        self.interface = InterfaceLayout(order)


_LITTLE_MARK = b"\x4d\x3c\x2b\x1a"
_LAYOUTS = {_LITTLE_MARK: _Layout("<"), _LITTLE_MARK[::-1]: _Layout(">")}


class Pcapng:
    """Walks the blocks of one file."""

    def __init__(self) -> None:
        self._layout = _LAYOUTS[_LITTLE_MARK]
        self._interfaces: list[Interface] = []
        self._last_time_ns = 0  # simple packets have no time of their own

    @classmethod
    def recognise(cls, magic: bytes) -> Pcapng | None:
        """Make a walker for the file that begins with these four bytes; None when they are not pcapng."""
        # The type of a section block reads the same in both byte orders.
        return cls() if int.from_bytes(magic, "little") == _SECTION else None

    def walk(self, split: Split) -> int:
        """Collect the frames of whole blocks; return how many bytes the next block needs.

        Raises :class:`UnreadableError` where the file cannot be followed further.
        """
        chunk, end = split.chunk, len(split.chunk)
        while (at := split.consumed) + _SMALLEST_BLOCK_BYTES <= end:
            layout, smallest = self._layout, _SMALLEST_BLOCK_BYTES
            kind, length = layout.block.unpack_from(chunk, at)
            if kind == _SECTION:
                layout, smallest = _section_layout(chunk, at), _SMALLEST_SECTION_BYTES
                kind, length = layout.block.unpack_from(chunk, at)
            if length < smallest or length % 4:
                raise UnreadableError(FaultKind.BLOCK_LENGTH, at, length, smallest)
            if length > _LARGEST_BLOCK_BYTES:
                raise UnreadableError(FaultKind.BLOCK_TOO_LARGE, at, length, _LARGEST_BLOCK_BYTES)
            block_end = at + int(length)
            if block_end > end:
                return block_end - at
            body_end = block_end - 4
            (trailer,) = layout.word.unpack_from(chunk, body_end)
            if trailer != length:
                raise UnreadableError(FaultKind.BLOCK_TRAILER, at, trailer, length)
            if kind in _PACKETS:
                self._packet(split, kind, at, body_end)
            elif kind == _INTERFACE:
                self._interface(split, at, body_end)
            elif kind == _SECTION:
                self._section(split, at, layout)
            split.consumed = block_end
        return _SMALLEST_BLOCK_BYTES

    def _section(self, split: Split, at: int, layout: _Layout) -> None:
        (version,) = layout.version.unpack_from(split.chunk, at + 12)
        if version != _KNOWN_VERSION:
            raise UnreadableError(FaultKind.SECTION_VERSION, at, version, _KNOWN_VERSION)
        self._layout = layout
        self._interfaces = []

    def _interface(self, split: Split, at: int, body_end: int) -> None:
        if len(self._interfaces) == _MOST_INTERFACES:
            split.fault(FaultKind.TOO_MANY_INTERFACES, at, _MOST_INTERFACES + 1, _MOST_INTERFACES)
        else:
            self._interfaces.append(self._layout.interface.read(split, at, body_end))

    def _packet(self, split: Split, kind: int, at: int, body_end: int) -> None:
        header = self._layout.packets[kind]
        data_at = at + 8 + header.size
        room = body_end - data_at
        if room < 0:
            split.fault(FaultKind.PACKET_BLOCK_SHORT, at, body_end - at - 8, header.size)
            return
        fields = header.unpack_from(split.chunk, at + 8)
        number = 0 if kind == _SIMPLE_PACKET else fields[0]
        if number >= len(self._interfaces):
            split.fault(FaultKind.UNKNOWN_INTERFACE, at, number, len(self._interfaces))
            return
        interface = self._interfaces[number]
        snap_length = interface.snap_length
        if kind == _SIMPLE_PACKET:
            (wire,) = fields
            captured = min(wire, snap_length) if snap_length else wire
        else:
            _, high, low, captured, wire = fields
            self._last_time_ns = interface.time_ns(high << 32 | low)
        if captured > room:
            split.fault(FaultKind.PACKET_PAST_BLOCK, at, captured, room)
            captured = room
        if captured == 0:
            split.fault(FaultKind.EMPTY_PACKET, at, 0, 0)
        elif captured > snap_length > 0:
            split.fault(FaultKind.OVER_SNAP_LENGTH, at, captured, snap_length)
        split.rows += ROW.pack(self._last_time_ns, data_at, captured, wire, interface.link_type, number)


def _section_layout(chunk: bytes, at: int) -> _Layout:
    mark = chunk[at + 8 : at + 12]
    layout = _LAYOUTS.get(mark)
    if layout is None:
        raise UnreadableError(
            FaultKind.BYTE_ORDER, at, int.from_bytes(mark, "little"), int.from_bytes(_LITTLE_MARK, "little")
        )
    return layout
