"""Classic capture files: pcap (draft-ietf-opsawg-pcap), with microseconds or nanoseconds, in either byte order."""

from __future__ import annotations

import struct

from hbids.capture.problems import FaultKind
from hbids.capture.split import ROW, Split, UnreadableError

__all__ = ["Pcap"]

_FILE_HEADER_BYTES = 24

_LARGEST_PACKET_BYTES = 262_144
"""The largest snap length libpcap and Wireshark write. A record header has no other mark by which it could be told from
garbage, so a larger packet is garbage."""

_FORMATS = {
    # magic: nanoseconds per unit of the second time field, bytes of a record header
    0xA1B2C3D4: (1000, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (1000, 24),  # Kuznetzov's patched libpcap: interface, protocol and packet type follow the lengths
}


class Pcap:
    """Walks the records of one file, from the file header on."""

    def __init__(self, order: str, fraction_ns: int, header_bytes: int) -> None:
        self._fraction_ns = fraction_ns
        self._header_bytes = header_bytes
        self._file_header = struct.Struct(f"{order}16xII")
        self._record_header = struct.Struct(f"{order}4I")
        self._link_type: int | None = None
        self._snap_length = 0

    @classmethod
    def recognise(cls, magic: bytes) -> Pcap | None:
        """Make a walker for the file that begins with these four bytes; None when they are not pcap."""
        for order in "<>":
            layout = _FORMATS.get(struct.unpack(f"{order}I", magic)[0])
            if layout is not None:
                return cls(order, *layout)
        return None

    def walk(self, split: Split) -> int:
        """Collect the frames of whole records; return how many bytes the next record needs.

        Raises :class:`UnreadableError` where the file cannot be followed further.
        """
        chunk, rows, at = split.chunk, split.rows, split.consumed
        if self._link_type is None:
            if len(chunk) < _FILE_HEADER_BYTES:
                return _FILE_HEADER_BYTES
            snap_length, network = self._file_header.unpack_from(chunk)
            self._snap_length = snap_length or _LARGEST_PACKET_BYTES  # 0 means without limit
            self._link_type = network & 0xFFFF  # above it: frame check sequence bits
            split.consumed = at = _FILE_HEADER_BYTES

        unpack, pack, end = self._record_header.unpack_from, ROW.pack, len(chunk)
        header_bytes, snap_length = self._header_bytes, self._snap_length
        link_type, fraction_ns = self._link_type, self._fraction_ns
        while (data_at := at + header_bytes) <= end:
            seconds, fraction, captured, wire = unpack(chunk, at)
            if captured > _LARGEST_PACKET_BYTES:
                raise UnreadableError(FaultKind.PACKET_TOO_LARGE, at, captured, _LARGEST_PACKET_BYTES)
            if data_at + captured > end:
                return header_bytes + int(captured)
            if captured == 0:
                split.fault(FaultKind.EMPTY_PACKET, at, 0, 0)
            elif captured > snap_length:
                split.fault(FaultKind.OVER_SNAP_LENGTH, at, captured, snap_length)
            # Two unsigned 32-bit fields cannot leave int64 nanoseconds.
            rows += pack(seconds * 1_000_000_000 + fraction * fraction_ns, data_at, captured, wire, link_type, 0)
            split.consumed = at = data_at + captured
        return header_bytes
