"""Capture files made by hand, and what a reader gives for them in a form that is easy to compare."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hbids.capture import open_capture
from hbids.capture.problems import Fault, FaultKind
from hbids.capture.splitter import open_splitter
from hbids.facts import FRAME_DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hbids.capture import Capture
    from hbids.facts import FrameBatch

MICROSECONDS, NANOSECONDS, KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34

SECOND_NS = 1_000_000_000


class Frame(NamedTuple):
    time_ns: int
    data: bytes
    wire_bytes: int
    link_type: int = 1
    interface: int = 0


# --- pcap -----------------------------------------------------------------------------------------------------------


def pcap_header(order: str = "<", magic: int = MICROSECONDS, snap_length: int = 262_144, network: int = 1) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap_length, network)


def pcap_record(
    data: bytes,
    seconds: int = 0,
    fraction: int = 0,
    *,
    order: str = "<",
    captured: int | None = None,
    wire: int | None = None,
    extra: bytes = b"",
) -> bytes:
    captured = len(data) if captured is None else captured
    wire = len(data) if wire is None else wire
    return struct.pack(f"{order}IIII", seconds, fraction, captured, wire) + extra + data


# --- pcapng ---------------------------------------------------------------------------------------------------------


def block(kind: int, body: bytes, *, order: str = "<", length: int | None = None, trailer: int | None = None) -> bytes:
    body += bytes(-len(body) % 4)
    length = 12 + len(body) if length is None else length
    trailer = length if trailer is None else trailer
    return struct.pack(f"{order}II", kind, length) + body + struct.pack(f"{order}I", trailer)


def section(order: str = "<", mark: int = 0x1A2B3C4D, version: int = 1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", mark, version, 0, -1), order=order)


def option(code: int, value: bytes, *, order: str = "<", length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    return struct.pack(f"{order}HH", code, length) + value + bytes(-len(value) % 4)


def resolution(octet: int, order: str = "<") -> bytes:
    return option(9, bytes([octet]), order=order)


def time_offset(seconds: int, order: str = "<") -> bytes:
    return option(14, struct.pack(f"{order}q", seconds), order=order)


def interface(link_type: int = 1, snap_length: int = 0, options: bytes = b"", *, order: str = "<") -> bytes:
    end = option(0, b"", order=order) if options else b""
    return block(1, struct.pack(f"{order}HHI", link_type, 0, snap_length) + options + end, order=order)


def enhanced(
    data: bytes,
    ticks: int = 0,
    number: int = 0,
    *,
    order: str = "<",
    captured: int | None = None,
    wire: int | None = None,
) -> bytes:
    captured = len(data) if captured is None else captured
    wire = len(data) if wire is None else wire
    header = struct.pack(f"{order}5I", number, ticks >> 32, ticks & 0xFFFFFFFF, captured, wire)
    return block(6, header + data, order=order)


def obsolete(data: bytes, ticks: int = 0, number: int = 0, *, order: str = "<") -> bytes:
    header = struct.pack(f"{order}HH4I", number, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(2, header + data, order=order)


def simple(data: bytes, wire: int | None = None, *, order: str = "<") -> bytes:
    return block(3, struct.pack(f"{order}I", len(data) if wire is None else wire) + data, order=order)


# --- what is read ---------------------------------------------------------------------------------------------------


def frames_in(batches: Iterable[FrameBatch]) -> Iterator[Frame]:
    for batch in batches:
        for row in batch.frames:
            start, end = int(row["offset"]), int(row["offset"]) + int(row["captured_bytes"])
            assert end <= len(batch.data)
            yield Frame(
                int(row["time_ns"]),
                batch.data[start:end],
                int(row["wire_bytes"]),
                int(row["link_type"]),
                int(row["interface"]),
            )


def read_path(argument: str | Path, *, native: bool) -> tuple[list[Frame], Capture]:
    """Read as a user's command does."""
    capture = open_capture(str(argument), native=native)
    return list(frames_in(capture.batches())), capture


def split(data: bytes, pieces: Iterable[int] = (), *, native: bool) -> tuple[list[tuple[int, ...]], list[Fault]]:
    """Push a file through a splitter, cut as ``pieces`` say, then whole.

    Gives the frames (as their rows, offsets counted from the start of the file) and the faults, added up.
    """
    splitter = open_splitter(native=native)
    rows: list[tuple[int, ...]] = []
    faults: dict[int, Fault] = {}
    at = end = 0
    for piece in [*pieces, len(data) + 1]:
        end += piece
        chunk = data[at:end]
        table, consumed, found = splitter.push(chunk, last=end > len(data))
        assert consumed <= len(chunk)
        for row in np.frombuffer(table, FRAME_DTYPE).tolist():
            assert row[1] + row[2] <= consumed
            rows.append((row[0], row[1] + at, *row[2:]))
        for fault in map(Fault._make, found):
            known = faults.get(fault.kind)
            faults[fault.kind] = known._replace(times=known.times + fault.times) if known else fault
        at += consumed
        if end > len(data):
            break
    return rows, list(faults.values())


def kinds(faults: Iterable[Fault]) -> list[FaultKind]:
    return [FaultKind(fault.kind) for fault in faults]
