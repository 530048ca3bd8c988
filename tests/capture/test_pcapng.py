"""Capture files of the newer kind: sections, interfaces, clocks, and the lies blocks can tell."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from hbids.capture.problems import Fault, FaultKind
from tests.capture.build import (
    SECOND_NS,
    Frame,
    block,
    enhanced,
    interface,
    kinds,
    obsolete,
    option,
    pcap_record,
    read_path,
    resolution,
    section,
    simple,
    split,
    time_offset,
)

if TYPE_CHECKING:
    from pathlib import Path

INT64_LEAST, INT64_MOST = -(1 << 63), (1 << 63) - 1
UINT64_MOST = (1 << 64) - 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_packet(tmp_path: Path, order: str, *, native: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(
        section(order)
        + simple(b"described too late", order=order)
        + interface(1, order=order)
        + simple(b"timeless", order=order)
        + interface(113, 6, resolution(9, order), order=order)
        + block(0xBAD, b"of a kind nobody knows", order=order)
        + enhanced(b"enhanced", 1_700_000_000_123_456, order=order, wire=1500)
        + enhanced(b"second", 1_700_000_001_123_456_789, 1, order=order)
        + block(5, b"statistics", order=order)
        + obsolete(b"obsolete", 1_700_000_002_000_001, order=order)
        + simple(b"as the one before", order=order)
        + enhanced(b"", 1_700_000_003_000_000, order=order, wire=9)
    )
    frames, capture = read_path(path, native=native)
    assert frames == [
        Frame(0, b"timeless", 8),
        Frame(1_700_000_000_123_456_000, b"enhanced", 1500),
        Frame(1_700_000_001_123_456_789, b"second", 6, 113, 1),
        Frame(1_700_000_002_000_001_000, b"obsolete", 8),
        Frame(1_700_000_002_000_001_000, b"as the one before", 17),
        Frame(1_700_000_003_000_000_000, b"", 9),
    ]
    assert [problem.severity for problem in capture.problems] == ["warning", "warning"]
    assert "interface 0" in capture.problems[0].message
    assert "0 bytes" in capture.problems[1].message


def test_each_section_has_its_own_byte_order_and_interfaces(*, native: bool) -> None:
    data = (
        section("<")
        + interface(1)
        + interface(113)
        + enhanced(b"little", 1, 1)
        + section(">")
        + interface(228, 0, resolution(9, ">"), order=">")
        + enhanced(b"big", 1, 0, order=">")
        + enhanced(b"of the section before", 1, 1, order=">")
    )
    rows, faults = split(data, native=native)
    assert [(row[0], *row[4:]) for row in rows] == [(1000, 113, 1), (1, 228, 0)]
    assert kinds(faults) == [FaultKind.UNKNOWN_INTERFACE]


@pytest.mark.parametrize(
    ("options", "ticks", "time_ns"),
    [
        (b"", 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (resolution(0), 1_700_000_000, 1_700_000_000 * SECOND_NS),
        (resolution(3), 1_700_000_000_123, 1_700_000_000_123_000_000),
        (resolution(9), 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (resolution(12), 1_700_000_123_456_789_999, 1_700_000_123_456_789),
        (resolution(28), UINT64_MOST, 1),
        (resolution(29), UINT64_MOST, 0),
        (resolution(127), UINT64_MOST, 0),
        (resolution(0x80), 7, 7 * SECOND_NS),
        (resolution(0x80 | 10), 1536, 1_500_000_000),
        (resolution(0x80 | 32), 0x0000_0001_8000_0001, 1_500_000_000),
        (resolution(0x80 | 63), UINT64_MOST, 1_999_999_999),
        (resolution(0x80 | 127), UINT64_MOST, 0),
        (resolution(0), UINT64_MOST, INT64_MOST),
        (time_offset(1_700_000_000), 123_456, 1_700_000_000_123_456_000),
        (time_offset(-1), 0, -SECOND_NS),
        (time_offset(-(1 << 63)), UINT64_MOST, INT64_LEAST),
        (resolution(0) + time_offset(-(1 << 63)), UINT64_MOST, INT64_MOST),
        (time_offset((1 << 63) - 1), 0, INT64_MOST),
        (option(2, b"eth0") + option(12, b"Linux") + resolution(9), 5, 5),
        (option(0, b"") + resolution(9), 5, 5000),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_clocks_are_converted_exactly(order: str, options: bytes, ticks: int, time_ns: int, *, native: bool) -> None:
    if order == ">":
        options = _turned(options)
    data = section(order) + interface(options=options, order=order) + enhanced(b"x", ticks, order=order)
    rows, faults = split(data, native=native)
    assert [row[0] for row in rows] == [time_ns]
    assert faults == []


def _turned(options: bytes) -> bytes:
    """The same options in big-endian order."""
    turned = b""
    while options:
        code, length = struct.unpack_from("<HH", options)
        value = options[4 : 4 + length]
        turned += option(code, value[::-1] if code == 14 else value, order=">")
        options = options[4 + length + -length % 4 :]
    return turned


@pytest.mark.parametrize(
    ("options", "seen", "expected"),
    [
        (option(9, b"\x09\x09"), 2, 1),
        (option(14, b"1234"), 4, 8),
        (option(2, b"eth0", length=4000), 4000, 8),
    ],
)
def test_a_broken_interface_option_is_ignored_and_said(
    options: bytes, seen: int, expected: int, *, native: bool
) -> None:
    rows, faults = split(section() + interface(options=options) + enhanced(b"x", 1), native=native)
    assert [row[0] for row in rows] == [1000]
    assert faults == [Fault(FaultKind.INTERFACE_OPTION, 28, seen, expected)]


def test_a_simple_packet_is_cut_at_the_snap_length(*, native: bool) -> None:
    rows, faults = split(section() + interface(snap_length=4) + simple(b"abcd", wire=1500), native=native)
    assert [row[2:4] for row in rows] == [(4, 1500)]
    assert faults == []


def test_a_packet_that_claims_more_than_its_block_is_cut_to_the_block(*, native: bool) -> None:
    before = section() + interface()
    data = (
        before + enhanced(b"12345678", captured=0xFFFFFFFF, wire=0xFFFFFFFF) + simple(b"1234", wire=99) + simple(b"end")
    )
    rows, faults = split(data, native=native)
    assert [row[2:4] for row in rows] == [(8, 0xFFFFFFFF), (4, 99), (3, 3)]
    assert faults == [Fault(FaultKind.PACKET_PAST_BLOCK, len(before), 0xFFFFFFFF, 8, times=2)]


def test_a_packet_over_the_snap_length_is_used_whole(*, native: bool) -> None:
    rows, faults = split(section() + interface(snap_length=4) + enhanced(b"12345678"), native=native)
    assert [row[2] for row in rows] == [8]
    assert kinds(faults) == [FaultKind.OVER_SNAP_LENGTH]


def test_packets_of_unknown_interfaces_are_skipped_and_counted(*, native: bool) -> None:
    before = section() + interface() + enhanced(b"known")
    data = before + enhanced(b"unknown", number=1) + obsolete(b"unknown", number=2) + enhanced(b"known")
    rows, faults = split(data, native=native)
    assert len(rows) == 2
    assert faults == [Fault(FaultKind.UNKNOWN_INTERFACE, len(before), 1, 1, times=2)]


def test_a_packet_block_too_short_for_its_header_is_skipped(*, native: bool) -> None:
    before = section() + interface()
    rows, faults = split(
        before + block(6, bytes(16)) + block(3, b"") + block(2, bytes(4)) + simple(b"x"), native=native
    )
    assert len(rows) == 1
    assert faults == [Fault(FaultKind.PACKET_BLOCK_SHORT, len(before), 16, 20, times=3)]


def test_interfaces_beyond_the_table_are_ignored(*, native: bool) -> None:
    data = section() + interface() * 65_537 + enhanced(b"last", number=65_535) + enhanced(b"beyond", number=65_536)
    rows, faults = split(data, native=native)
    assert [row[5] for row in rows] == [65_535]
    assert kinds(faults) == [FaultKind.TOO_MANY_INTERFACES, FaultKind.UNKNOWN_INTERFACE]


@pytest.mark.parametrize(
    ("broken", "kind", "seen", "expected"),
    [
        (block(6, bytes(20), length=0), FaultKind.BLOCK_LENGTH, 0, 12),
        (block(6, bytes(20), length=8), FaultKind.BLOCK_LENGTH, 8, 12),
        (block(6, bytes(20), length=33), FaultKind.BLOCK_LENGTH, 33, 12),
        (block(0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), FaultKind.BLOCK_LENGTH, 16, 28),
        (block(6, bytes(20), length=0x0100_0004), FaultKind.BLOCK_TOO_LARGE, 0x0100_0004, 0x0100_0000),
        (block(6, bytes(20), trailer=36), FaultKind.BLOCK_TRAILER, 36, 32),
        (section(mark=0xDEADBEEF), FaultKind.BYTE_ORDER, 0xDEADBEEF, 0x1A2B3C4D),
        (section(version=2), FaultKind.SECTION_VERSION, 2, 1),
        (block(1, bytes(4)), FaultKind.INTERFACE_BLOCK, 4, 8),
        (bytes(64), FaultKind.BLOCK_LENGTH, 0, 12),
        (pcap_record(b"as if appended", 1_700_000_000), FaultKind.BLOCK_LENGTH, 0, 12),
    ],
)
def test_where_blocks_cannot_be_followed_the_file_ends_and_says_so(
    broken: bytes, kind: FaultKind, seen: int, expected: int, *, native: bool
) -> None:
    before = section() + interface() + enhanced(b"kept")
    rows, faults = split(before + broken + enhanced(b"lost") * 9, native=native)
    assert len(rows) == 1
    assert faults == [Fault(kind, len(before), seen, expected)]
    assert kind.severity == "error"


def test_a_block_as_large_as_allowed_is_passed_over(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(section() + interface() + block(0xBAD, bytes((16 << 20) - 12)) + enhanced(b"behind"))
    frames, capture = read_path(path, native=native)
    assert [frame.data for frame in frames] == [b"behind"]
    assert capture.problems == []


@pytest.mark.parametrize("kept", [4, 11, 12, 27])
def test_a_cut_first_section_is_an_error(kept: int, *, native: bool) -> None:
    assert kinds(split(section()[:kept], native=native)[1]) == [FaultKind.ENDS_IN_HEADER]


@pytest.mark.parametrize(("kept", "wanted"), [(1, 12), (11, 12), (12, 40), (39, 40)])
def test_a_cut_last_block_is_a_warning(kept: int, wanted: int, *, native: bool) -> None:
    before = section() + interface() + enhanced(b"kept")
    rows, faults = split(before + enhanced(b"cut off!")[:kept], native=native)
    assert len(rows) == 1
    assert faults == [Fault(FaultKind.TRUNCATED, len(before), kept, wanted)]
