"""Classic capture files, in every layout there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.capture.problems import Fault, FaultKind
from tests.capture.build import (
    KUZNETZOV,
    MICROSECONDS,
    NANOSECONDS,
    SECOND_NS,
    Frame,
    kinds,
    pcap_header,
    pcap_record,
    read_path,
    split,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "fraction_ns"), [(MICROSECONDS, 1000), (NANOSECONDS, 1), (KUZNETZOV, 1000)])
def test_every_layout(tmp_path: Path, order: str, magic: int, fraction_ns: int, *, native: bool) -> None:
    extra = b"interfac" if magic == KUZNETZOV else b""
    path = tmp_path / "capture"
    path.write_bytes(
        pcap_header(order, magic, network=113)
        + pcap_record(b"first", 1_700_000_000, 123_456, order=order, extra=extra)
        + pcap_record(b"", 1_700_000_001, 0, order=order, extra=extra, wire=60)
        + pcap_record(b"cut short", 0xFFFFFFFF, 999_999, order=order, extra=extra, wire=1500)
    )
    frames, capture = read_path(path, native=native)
    assert frames == [
        Frame(1_700_000_000 * SECOND_NS + 123_456 * fraction_ns, b"first", 5, 113),
        Frame(1_700_000_001 * SECOND_NS, b"", 60, 113),
        Frame(0xFFFFFFFF * SECOND_NS + 999_999 * fraction_ns, b"cut short", 1500, 113),
    ]
    assert capture.sources == [str(path)]


def test_a_header_without_packets_is_a_capture(*, native: bool) -> None:
    assert split(pcap_header(), native=native) == ([], [])


def test_frame_check_sequence_bits_are_no_link_type(*, native: bool) -> None:
    rows, faults = split(pcap_header(network=0x5400_0001) + pcap_record(b"frame"), native=native)
    assert [row[4] for row in rows] == [1]
    assert faults == []


def test_an_original_length_below_the_captured_one_is_passed_on(*, native: bool) -> None:
    rows, faults = split(pcap_header() + pcap_record(b"frame", wire=2), native=native)
    assert [row[2:4] for row in rows] == [(5, 2)]
    assert faults == []


def test_a_fraction_of_more_than_a_second_counts_as_it_stands(*, native: bool) -> None:
    rows, _ = split(pcap_header() + pcap_record(b"x", 0xFFFFFFFF, 0xFFFFFFFF), native=native)
    assert rows[0][0] == 0xFFFFFFFF * SECOND_NS + 0xFFFFFFFF * 1000


def test_the_largest_packet_is_read_and_a_larger_one_ends_the_file(*, native: bool) -> None:
    largest = pcap_record(bytes(262_144))
    absurd = pcap_record(bytes(262_145))
    rows, faults = split(pcap_header() + largest + absurd + pcap_record(b"lost"), native=native)
    assert [row[2] for row in rows] == [262_144]
    assert faults == [Fault(FaultKind.PACKET_TOO_LARGE, 24 + len(largest), 262_145, 262_144)]


def test_packets_over_the_snap_length_are_used_whole_and_counted(*, native: bool) -> None:
    data = pcap_header(snap_length=4) + pcap_record(b"four") + pcap_record(b"five!") * 3
    rows, faults = split(data, native=native)
    assert [row[2] for row in rows] == [4, 5, 5, 5]
    assert faults == [Fault(FaultKind.OVER_SNAP_LENGTH, 24 + 20, 5, 4, times=3)]


def test_a_snap_length_of_zero_is_none(*, native: bool) -> None:
    assert split(pcap_header(snap_length=0) + pcap_record(b"frame"), native=native)[1] == []


def test_zeros_behind_the_last_packet_are_empty_packets_and_counted(*, native: bool) -> None:
    rows, faults = split(pcap_header() + pcap_record(b"frame", 1) + bytes(16 * 100), native=native)
    assert len(rows) == 101
    assert faults == [Fault(FaultKind.EMPTY_PACKET, 24 + 21, 0, 0, times=100)]


@pytest.mark.parametrize(("kept", "wanted"), [(7, 16), (16, 21), (20, 21)])
def test_a_cut_last_packet_is_a_warning_that_says_what_is_missing(kept: int, wanted: int, *, native: bool) -> None:
    whole = pcap_record(b"frame")
    rows, faults = split(pcap_header() + whole + whole[:kept], native=native)
    assert len(rows) == 1
    assert faults == [Fault(FaultKind.TRUNCATED, 24 + len(whole), kept, wanted)]
    assert FaultKind.TRUNCATED.severity == "warning"


@pytest.mark.parametrize("kept", [1, 3, 4, 23])
def test_a_cut_file_header_is_an_error(kept: int, *, native: bool) -> None:
    rows, faults = split(pcap_header()[:kept], native=native)
    assert rows == []
    assert kinds(faults) == [FaultKind.ENDS_IN_HEADER]


def test_nothing_is_read_behind_an_error(*, native: bool) -> None:
    data = pcap_header() + pcap_record(b"", captured=0xFFFFFFFF) + pcap_record(b"lost") * 5
    rows, faults = split(data, [50, 20, 20], native=native)
    assert rows == []
    assert faults == [Fault(FaultKind.PACKET_TOO_LARGE, 24, 0xFFFFFFFF, 262_144)]
