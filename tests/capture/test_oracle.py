"""dpkt and scapy as witnesses: files they write, and files of the world as they read them."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import TYPE_CHECKING

import dpkt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.build import SECOND_NS, Frame, read_path
from tests.conftest import PCAPS, REPOSITORY, missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHARED = REPOSITORY.parent / "shared" / "corpus"
_SUFFIXES = {".pcap", ".pcapng", ".cap", ".gz"}
_FILES = sorted(path for folder in (PCAPS, _SHARED) for path in folder.glob("**/*") if path.suffix in _SUFFIXES)

packets = st.lists(
    st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 999_999_999), st.binary(max_size=300)), max_size=20
)

each_run = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)


def _dpkt_frames(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for seconds, data in dpkt.pcap.UniversalReader(file):
            # dpkt adds up floats: of a present-day time they hold microseconds, no more.
            yield round(Decimal(seconds) * 1_000_000), data


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_dpkt_sees_the_same_frames_in_files_of_the_world(path: Path, *, native: bool) -> None:
    frames, capture = read_path(path, native=native)
    assert [(round(Decimal(frame.time_ns) / 1000), frame.data) for frame in frames] == list(_dpkt_frames(path))
    assert capture.problems == []


def test_there_are_files_of_the_world() -> None:
    if not _SHARED.is_dir():
        missing("../shared/corpus, which comes with the development machines")
    assert len(_FILES) > 30


@each_run
@given(packets=packets)
@pytest.mark.parametrize("nano", [False, True])
def test_what_dpkt_writes_as_pcap(
    tmp_path: Path, packets: list[tuple[int, int, bytes]], *, nano: bool, native: bool
) -> None:
    path = tmp_path / "capture"
    step_ns = 1 if nano else 1000
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, snaplen=65_535, linktype=113, nano=nano)
        for seconds, fraction_ns, data in packets:
            writer.writepkt_time(data, _decimal(seconds, fraction_ns // step_ns * step_ns))
    frames, _ = read_path(path, native=native)
    assert frames == [
        Frame(seconds * SECOND_NS + fraction_ns // step_ns * step_ns, data, len(data), 113)
        for seconds, fraction_ns, data in packets
    ]


def _decimal(seconds: int, fraction_ns: int) -> Decimal:
    return Decimal(seconds * SECOND_NS + fraction_ns) / SECOND_NS


def test_what_dpkt_writes_as_pcapng(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    with path.open("wb") as file:
        writer = dpkt.pcapng.Writer(file, snaplen=65_535, linktype=1)
        for number in range(5):
            writer.writepkt(bytes(60 + number), ts=1_700_000_000.25 + number)
    frames, capture = read_path(path, native=native)
    assert frames == [
        Frame((1_700_000_000 + number) * SECOND_NS + 250_000_000, bytes(60 + number), 60 + number)
        for number in range(5)
    ]
    assert capture.problems == []


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_what_scapy_writes_as_pcap(tmp_path: Path, order: str, *, nano: bool, packed: bool, native: bool) -> None:
    from scapy.utils import RawPcapWriter

    path = tmp_path / "capture"
    with RawPcapWriter(str(path), linktype=101, endianness=order, nano=nano, gz=packed) as writer:
        writer.write_header(None)
        for number in range(5):
            writer.write_packet(bytes(60 + number), sec=1_700_000_000, usec=number, wirelen=1500)
    frames, capture = read_path(path, native=native)
    step_ns = 1 if nano else 1000
    assert frames == [
        Frame(1_700_000_000 * SECOND_NS + number * step_ns, bytes(60 + number), 1500, 101) for number in range(5)
    ]
    assert capture.problems == []


def test_what_scapy_writes_as_pcapng(tmp_path: Path, *, native: bool) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.utils import EDecimal, PcapNgWriter

    path = tmp_path / "capture"
    packets = [Ether() / IP(src=f"10.0.0.{number}") / TCP() for number in range(3)]
    with PcapNgWriter(str(path)) as writer:
        for number, packet in enumerate(packets):
            packet.time = EDecimal(f"1700000000.00000{number}")
            packet.sniffed_on = ["eth0", "eth1"][number % 2]
            writer.write(packet)
    frames, capture = read_path(path, native=native)
    assert frames == [
        Frame(1_700_000_000 * SECOND_NS + number * 1000, bytes(packet), len(packet), interface=interface)
        # Interface 0 is one without a name that scapy describes first.
        for number, (packet, interface) in enumerate(zip(packets, [1, 2, 1], strict=True))
    ]
    assert capture.problems == []
