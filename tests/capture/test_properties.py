"""What holds for every file: how it is cut does not matter, no content raises, both splitters agree."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.capture.problems import Fault, FaultKind, describe
from hbids.decode.engine import native_available
from tests.capture.build import (
    KUZNETZOV,
    NANOSECONDS,
    block,
    enhanced,
    interface,
    kinds,
    obsolete,
    option,
    pcap_header,
    pcap_record,
    read_path,
    resolution,
    section,
    simple,
    split,
    time_offset,
)
from tests.conftest import missing

if TYPE_CHECKING:
    from pathlib import Path

_random = random.Random(20140407)  # noqa: S311  data, not secrets


def _data() -> bytes:
    return _random.randbytes(_random.choice([0, 1, 40, 60, 333, 1500]))


def _pcap(order: str, magic: int) -> bytes:
    extra = bytes(8) if magic == KUZNETZOV else b""
    records = (
        pcap_record(_data(), 1_700_000_000 + number, number, order=order, extra=extra, wire=1514)
        for number in range(12)
    )
    return pcap_header(order, magic, snap_length=1400) + b"".join(records)


def _pcapng() -> bytes:
    data = b""
    for order in "<>":
        options = option(2, b"eth0", order=order) + resolution(0x80 | 30, order) + time_offset(1_700_000_000, order)
        data += section(order) + interface(1, 900, options, order=order) + interface(113, order=order)
        data += block(4, b"names", order=order)
        for number in range(4):
            data += enhanced(_data(), 1_700_000_000_000_000 + number, number % 3, order=order)
            data += obsolete(_data(), number, number % 2, order=order) + simple(_data()[:900], wire=1500, order=order)
    return data


CAPTURES = {
    "microseconds": _pcap("<", 0xA1B2C3D4),
    "nanoseconds, big endian": _pcap(">", NANOSECONDS),
    "Kuznetzov": _pcap("<", KUZNETZOV),
    "pcapng": _pcapng(),
}

captures = st.sampled_from(list(CAPTURES.values()))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A capture with some bytes changed, taken out or put in, seldom within the data."""
    data = bytearray(draw(captures))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        what = draw(st.sampled_from(["set", "word", "cut", "insert", "repeat"]))
        if what == "set":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif what == "word":
            number = draw(st.sampled_from([0, 1, 8, 12, 16, 20, 32, 0xFFFF, 0x40000, 0x40001, 0x7FFFFFFF, 0xFFFFFFFF]))
            data[at & ~3 : (at & ~3) + 4] = number.to_bytes(4, draw(st.sampled_from(["little", "big"])))
        elif what == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif what == "insert":
            data[at:at] = draw(st.binary(max_size=32))
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 200))]
    return bytes(data)


pieces = st.lists(st.integers(0, 700), max_size=60)

each_run = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@each_run
@given(data=captures | mutated(), pieces=pieces)
def test_how_a_file_is_cut_does_not_matter(data: bytes, pieces: list[int], *, native: bool) -> None:
    assert split(data, pieces, native=native) == split(data, native=native)


@settings(max_examples=2000, deadline=None)
@given(data=mutated() | st.binary(max_size=200) | st.builds(lambda head, rest: head + rest, captures, st.binary()))
def test_both_splitters_agree_on_whatever_they_are_given(data: bytes) -> None:
    if not native_available():
        missing("the native engine")
    rows, faults = split(data, native=False)
    assert split(data, native=True) == (rows, faults)
    assert sum(FaultKind(fault.kind).severity == "error" for fault in faults) <= 1
    for fault in faults:
        assert "{" not in describe(fault)
        assert 0 <= fault.offset <= len(data)


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_has_words(kind: FaultKind) -> None:
    assert describe(Fault(kind, 0, 1, 2))
    assert describe(Fault(kind, 0, 1, 2, times=3)).endswith("(first of 3 in this file)")


@pytest.mark.parametrize("label", CAPTURES)
def test_cut_at_every_byte_a_file_gives_its_first_frames_and_one_problem(label: str, *, native: bool) -> None:
    whole = CAPTURES[label]
    rows, faults = split(whole, native=native)
    known = {(fault.kind, fault.offset) for fault in faults}
    for kept in range(min(len(whole), 4096)):
        some, told = split(whole[:kept], native=native)
        assert some == rows[: len(some)]
        assert all(row[1] + row[2] <= kept for row in some)
        new = [fault for fault in told if (fault.kind, fault.offset) not in known]
        assert set(kinds(new)) <= {FaultKind.TRUNCATED, FaultKind.EMPTY, FaultKind.ENDS_IN_HEADER}
        assert len(new) <= 1


@pytest.mark.parametrize("label", CAPTURES)
def test_a_file_cut_anywhere_is_read_without_an_exception(tmp_path: Path, label: str, *, native: bool) -> None:
    path = tmp_path / "capture"
    for kept in [*range(200), *_random.sample(range(len(CAPTURES[label])), 50)]:
        path.write_bytes(CAPTURES[label][:kept])
        _, capture = read_path(path, native=native)
        assert all(str(problem).startswith(str(path)) for problem in capture.problems)
