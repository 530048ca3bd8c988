"""What a user may name: files plain and compressed, pipes, directories, and everything that is none of them."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import subprocess
import sys
import threading
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from hbids.capture import open_capture, rolling, source
from hbids.capture.reader import FileReader
from tests.capture.build import block, enhanced, interface, pcap_header, pcap_record, read_path, section, simple
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hbids.capture import Capture, Problem
    from tests.capture.build import Frame

PACKETS = [os.urandom(100) for _ in range(300)]
CAPTURE = pcap_header() + b"".join(pcap_record(packet, number) for number, packet in enumerate(PACKETS))


def zstd(data: bytes, *, sized: bool = True) -> bytes:
    """A frame with a checksum, of many blocks, so that damage hits one of them."""
    compressor = zstandard.ZstdCompressor(write_checksum=True, write_content_size=sized).compressobj()
    pieces = [data[at : at + 3000] for at in range(0, len(data), 3000)]
    flushed = [compressor.compress(piece) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for piece in pieces]
    return b"".join(flushed) + compressor.flush()


def skippable(data: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A57, len(data)) + data


COMPRESSED = {
    "gzip": gzip.compress(CAPTURE),
    "gzip with a name": b"\x1f\x8b\x08\x08\0\0\0\0\0\xffname\0" + gzip.compress(CAPTURE)[10:],
    "gzip members": b"".join(gzip.compress(CAPTURE[at : at + 5000]) for at in range(0, len(CAPTURE), 5000)),
    "gzip padded": gzip.compress(CAPTURE[:5000]) + bytes(512) + gzip.compress(CAPTURE[5000:]) + bytes(70_000),
    "zstd": zstandard.compress(CAPTURE),
    "zstd blocks": zstd(CAPTURE),
    "zstd unsized": zstd(CAPTURE, sized=False),
    "zstd runs": zstandard.compress(CAPTURE + pcap_record(bytes(250_000))),
    "zstd frames": zstd(CAPTURE[:5000]) + skippable(b"index" * 999) + zstd(b"") + zstd(CAPTURE[5000:]),
}


def datas(frames: list[Frame]) -> list[bytes]:
    return [frame.data for frame in frames]


def one_problem(capture: Capture) -> Problem:
    (problem,) = capture.problems
    return problem


@pytest.mark.parametrize("data", [CAPTURE, *COMPRESSED.values()], ids=["plain", *COMPRESSED])
def test_a_file_is_read_for_what_it_holds_whatever_its_name(tmp_path: Path, data: bytes, *, native: bool) -> None:
    path = tmp_path / "capture.txt"
    path.write_bytes(data)
    frames, capture = read_path(path, native=native)
    assert datas(frames)[:300] == PACKETS
    assert capture.problems == []
    assert capture.sources == [str(path)]
    assert capture.bytes_read == capture.total_bytes == len(data)


@pytest.mark.parametrize("data", [CAPTURE, *COMPRESSED.values()], ids=["plain", *COMPRESSED])
@pytest.mark.parametrize("stdin", ["pipe", "file"])
def test_standard_input_is_read_the_same(tmp_path: Path, data: bytes, stdin: str, *, native: bool) -> None:
    script = (
        "import sys; from hbids.capture import open_capture\n"
        f"capture = open_capture('-', native={native})\n"
        "frames = sum(len(batch.frames) for batch in capture.batches())\n"
        "print(frames >= 300, capture.problems, capture.sources, capture.bytes_read, capture.total_bytes)"
    )
    path = tmp_path / "stdin"
    path.write_bytes(data)
    with path.open("rb") as file:
        command = [sys.executable, "-c", script]
        if stdin == "file":
            done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, stdin=file)
        else:
            done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, input=data)
    size = len(data) if stdin == "file" else None
    assert done.stdout.decode().strip() == f"True [] ['-'] {len(data)} {size}"


def test_a_pipe_is_read_as_it_fills(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    first_was_seen = threading.Event()

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for piece in (CAPTURE[:1], CAPTURE[1:24], CAPTURE[24:150]):
                pipe.write(piece)
            first_was_seen.wait(60)
            pipe.write(CAPTURE[150:])

    writer = threading.Thread(target=write)
    writer.start()
    capture = open_capture(str(path), native=native)
    batches = capture.batches()
    assert len(next(batches).frames) == 1
    assert not first_was_seen.is_set()
    first_was_seen.set()
    assert sum(len(batch.frames) for batch in batches) == 299
    writer.join()
    assert capture.problems == []
    assert capture.total_bytes is None


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_records_larger_than_a_chunk(
    tmp_path: Path, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch, *, native: bool
) -> None:
    monkeypatch.setattr(source, "_READ_BYTES", 1000)
    monkeypatch.setattr(rolling, "FileReader", partial(FileReader, chunk_bytes=1000))
    large = section() + interface() + block(99, os.urandom(5_000_000)) + simple(bytes(9_000_000)) + enhanced(b"end")
    path = tmp_path / "capture"
    path.write_bytes(pack(large))
    frames, capture = read_path(path, native=native)
    assert [len(frame.data) for frame in frames] == [9_000_000, 3]
    assert capture.problems == []


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gzip", "gzip members", "zstd blocks", "zstd frames"])
def test_a_compressed_file_cut_off_gives_all_that_can_be_decompressed(
    tmp_path: Path, name: str, *, native: bool
) -> None:
    path = tmp_path / "capture"
    data = COMPRESSED[name]
    path.write_bytes(data[: len(data) * 2 // 3])
    frames, capture = read_path(path, native=native)
    assert datas(frames) == PACKETS[: len(frames)]
    assert len(frames) > 150
    problem = one_problem(capture)
    assert (problem.severity, problem.path) == ("error", str(path))
    assert "compressed data is broken: it ends too early" in problem.message


def test_a_damaged_gzip_gives_every_byte_before_the_damage(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    data = bytearray(gzip.compress(CAPTURE))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(zlib.error):
        zlib.decompress(bytes(data), 31)
    before = zlib.decompressobj(31).decompress(bytes(data[: len(data) // 2]))
    frames, capture = read_path(path, native=native)
    certain = (len(before) - 24) // 116
    assert certain > 100
    assert datas(frames)[:certain] == PACKETS[:certain]
    assert "error" in {problem.severity for problem in capture.problems}


@pytest.mark.parametrize(("pack", "trailer_bytes"), [(gzip.compress, 8), (zstd, 4)], ids=["gzip", "zstd"])
def test_a_wrong_checksum_loses_no_packet(
    tmp_path: Path, pack: Callable[[bytes], bytes], trailer_bytes: int, *, native: bool
) -> None:
    path = tmp_path / "capture"
    data = bytearray(pack(CAPTURE))
    data[-trailer_bytes] ^= 1
    path.write_bytes(data)
    frames, capture = read_path(path, native=native)
    assert datas(frames) == PACKETS
    assert one_problem(capture).severity == "error"


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_rubbish_behind_the_compressed_data_is_an_error_and_loses_nothing(
    tmp_path: Path, pack: Callable[[bytes], bytes], *, native: bool
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(pack(CAPTURE) + b"rubbish")
    frames, capture = read_path(path, native=native)
    assert datas(frames) == PACKETS
    assert one_problem(capture).severity == "error"


def test_a_damaged_zstd_block_loses_only_what_follows(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    data = bytearray(zstd(CAPTURE))
    at = len(data) * 2 // 3
    data[at:] = b"\xff" * (len(data) - at)
    path.write_bytes(data)
    frames, _ = read_path(path, native=native)
    assert datas(frames) == PACKETS[: len(frames)]
    assert len(frames) > 150


def test_the_offset_of_a_fault_in_compressed_data_says_what_it_counts(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(CAPTURE[:-1]))
    frames, capture = read_path(path, native=native)
    assert len(frames) == 299
    problem = one_problem(capture)
    assert (problem.severity, problem.offset) == ("warning", len(CAPTURE) - 116)
    assert "decompressed" in problem.message


def test_a_cut_capture_names_file_and_offset_and_keeps_the_rest(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(CAPTURE[:-50])
    frames, capture = read_path(path, native=native)
    assert datas(frames) == PACKETS[:-1]
    assert [problem.severity for problem in capture.problems] == ["warning"]
    assert str(one_problem(capture)).startswith(f"{path}, offset {len(CAPTURE) - 116}: ")


def test_a_file_that_shrinks_and_one_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, native: bool
) -> None:
    monkeypatch.setattr(rolling, "FileReader", partial(FileReader, chunk_bytes=1000))
    for new_size in (5000, len(CAPTURE) + 116):
        path = tmp_path / "capture"
        path.write_bytes(CAPTURE)
        capture = open_capture(str(path), native=native)
        batches = capture.batches()
        count = len(next(batches).frames)
        path.write_bytes((CAPTURE + CAPTURE[-116:])[:new_size])
        count += sum(len(batch.frames) for batch in batches)
        assert count == (301 if new_size > 5000 else (5000 - 24) // 116)


# --- no capture -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (gzip.compress(b""), "empty"),
        (b"\xd4\xc3", "ends inside its header"),
        (b"snoop\0\0\0\0\0\0\2", "snoop"),
        (b"GMBU\0", "Network Monitor"),
        (b"PK\x03\x04", "zip"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (gzip.compress(gzip.compress(CAPTURE)), "compressed twice"),
        (b"name".ljust(257, b"\0") + b"ustar\0", "tar"),
        (b'{"timestamp":"2014-04-07"}\n', "hbids sidecar"),
        (b"just some words\n", "text"),
        (b"\x7fELF", "not a capture"),
        (bytes(100), "not a capture"),
    ],
)
def test_what_is_no_capture_is_called_by_its_name(tmp_path: Path, content: bytes, words: str, *, native: bool) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    frames, capture = read_path(path, native=native)
    assert frames == []
    problem = one_problem(capture)
    assert (problem.severity, problem.path) == ("error", str(path))
    assert words in problem.message


def test_an_event_trace_is_known_by_its_name_alone(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "trace.ETL"
    path.write_bytes(struct.pack("<II", 65536, 1016) + bytes(64))
    assert "etl2pcapng" in one_problem(read_path(path, native=native)[1]).message


@pytest.mark.parametrize("argument", ["missing.pcap", "a\0b", ""])
def test_what_cannot_be_opened_is_an_error(argument: str, *, native: bool) -> None:
    frames, capture = read_path(argument, native=native)
    assert frames == []
    assert capture.sources == []
    problem = one_problem(capture)
    assert (problem.severity, problem.offset) == ("error", None)
    assert "cannot be opened" in problem.message


def test_standard_input_that_is_closed_is_an_error(*, native: bool) -> None:
    script = (
        "from hbids.capture import open_capture\n"
        f"capture = open_capture('-', native={native})\n"
        "print(list(capture.batches()), capture.problems)"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, script], cwd=REPOSITORY, check=True, capture_output=True
    )
    assert b"cannot be opened" in done.stdout


def test_a_file_without_permission_is_an_error(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(CAPTURE)
    path.chmod(0)
    with _as_nobody():
        frames, capture = read_path(path, native=native)
    assert frames == []
    assert "cannot be opened: Permission denied; check" in one_problem(capture).message


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Put off the rights of root, who may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    yield
    os.seteuid(user)


# --- directories ----------------------------------------------------------------------------------------------------


def capture_at(seconds: int, data: bytes = b"frame") -> bytes:
    return pcap_header() + pcap_record(data, seconds)


def test_a_directory_is_one_capture_in_the_order_of_first_packets(tmp_path: Path, *, native: bool) -> None:
    (tmp_path / "older" / "deep").mkdir(parents=True)
    (tmp_path / "a").write_bytes(capture_at(30, b"third"))
    (tmp_path / "b").write_bytes(gzip.compress(capture_at(10, b"first")))
    (tmp_path / "older" / "deep" / "c").write_bytes(zstandard.compress(capture_at(20, b"second")))
    (tmp_path / "tie").write_bytes(section() + interface() + enhanced(b"fourth", 30_000_000))
    (tmp_path / "before the tie").write_bytes(capture_at(30, b"of one time, by name"))
    (tmp_path / "no packets").write_bytes(pcap_header())
    frames, capture = read_path(tmp_path, native=native)
    assert datas(frames) == [b"first", b"second", b"third", b"of one time, by name", b"fourth"]
    names = ["b", "older/deep/c", "a", "before the tie", "tie", "no packets"]
    assert capture.sources == [str(tmp_path / name) for name in names]
    assert capture.problems == []
    assert capture.bytes_read == capture.total_bytes


def test_what_is_no_capture_in_a_directory_is_named_and_counted(tmp_path: Path, *, native: bool) -> None:
    for name in "abcdef":
        (tmp_path / f"{name}.txt").write_bytes(b"words")
    (tmp_path / "just begun").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
        (tmp_path / "capture").write_bytes(capture_at(1))
        frames, capture = read_path(tmp_path, native=native)
    assert len(frames) == 1
    problem = one_problem(capture)
    assert (problem.severity, problem.path) == ("warning", str(tmp_path))
    assert "a.txt, b.txt, c.txt, d.txt, dangling and 5 more" in problem.message


def test_a_bad_file_in_a_directory_does_not_stop_the_others(tmp_path: Path, *, native: bool) -> None:
    (tmp_path / "1").write_bytes(capture_at(1) + pcap_record(b"", captured=0xFFFFFFFF) + pcap_record(b"lost"))
    (tmp_path / "2").write_bytes(gzip.compress(capture_at(2) * 2)[:-20])
    (tmp_path / "3").write_bytes(capture_at(3)[:-1])
    (tmp_path / "4").write_bytes(capture_at(4))
    (tmp_path / "5").write_bytes(b"\x1f\x8b\x08 broken from the start")
    frames, capture = read_path(tmp_path, native=native)
    assert [frame.time_ns // 10**9 for frame in frames if frame.data == b"frame"][-1] == 4
    told = {(problem.path.rsplit("/", 1)[1], problem.severity) for problem in capture.problems}
    assert told >= {("1", "error"), ("2", "error"), ("3", "warning"), ("5", "error")}
    assert "4" not in {name for name, _ in told}


def test_a_directory_without_captures_is_an_error(tmp_path: Path, *, native: bool) -> None:
    (tmp_path / "readme").write_bytes(b"words")
    frames, capture = read_path(tmp_path, native=native)
    assert frames == []
    assert [problem.severity for problem in capture.problems] == ["warning", "error"]
    assert "holds no capture files" in capture.problems[-1].message


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path: Path, *, native: bool) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(path, "wb") as file:  # noqa: PTH123  a Path has no bytes
        file.write(CAPTURE[:-1])
    _, capture = read_path(os.fsdecode(path), native=native)
    assert capture.sources == [f"{tmp_path}/caf\\xe9"]
    assert str(one_problem(capture)).encode().startswith(os.fsencode(tmp_path))


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_reader_that_stops_early_closes_the_file_and_tells_what_it_met(tmp_path: Path, *, native: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(pcap_header(snap_length=4) + pcap_record(b"five!") * 9)
    opened = _open_files()
    capture = open_capture(str(path), native=native)
    batches = capture.batches()
    next(batches)
    batches.close()
    assert _open_files() == opened
    assert "first of 9 in this file" in one_problem(capture).message
