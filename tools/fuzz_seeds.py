"""``python -m tools.fuzz_seeds DIR``: what the fuzz targets begin with, in a folder for each.

The seeds are the shipped captures, and every batch that the tests of decoding feed to an engine: they hold more kinds
of traffic than any capture does; and some lines of EVE. How each target reads its input stands at the top of
rust/fuzz/fuzz_targets/*.rs.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hbids.capture import open_capture
from hbids.config import Limits
from hbids.decode.reference import ReferenceEngine
from hbids.decode.reference.frame import FrameReader
from hbids.decode.reference.layers import Datagram, Segment
from tests.support import eve_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hbids.facts import Facts, FrameBatch

REPOSITORY = Path(__file__).resolve().parents[1]
SEED_BYTES = 6_000
"""Small inputs are run more often; what a long capture has more of is mostly more of the same."""
SEGMENT_BYTES = 200
"""Of a longer payload the rest is left out, as bytes that were lost."""

HOW = bytes([0b10_1111, 0b0010_1101])
"""Wide limits, several calls."""
LINK_TYPES = (1, 1, 1, 101, 101, 0, 108, 113, 276, 9, 50, 51, 12, 228, 229, 105)
LOST = 0x10
"""In what stands before each segment of the target tls."""


class Recorder:
    """A pytest plugin that keeps every batch fed to the reference engine."""

    def __init__(self) -> None:
        self.batches: list[FrameBatch] = []

    @pytest.fixture(autouse=True)
    def _record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        feed = ReferenceEngine.feed

        def recording(engine: ReferenceEngine, batch: FrameBatch, at_least_rows: int = 0) -> Facts:
            self.batches.append(batch)
            return feed(engine, batch, at_least_rows)

        monkeypatch.setattr(ReferenceEngine, "feed", recording)


def recorded() -> list[FrameBatch]:
    """The batches of the tests of decoding, those of random tests left out."""
    recorder = Recorder()
    tests = [
        str(REPOSITORY / "tests" / "decode"),
        "-k",
        "not properties and not native",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    if pytest.main(tests, plugins=[recorder]) not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit("the tests of decoding do not run")
    return recorder.batches


def shipped() -> Iterator[FrameBatch]:
    """The first batch of each shipped capture."""
    for path in sorted((REPOSITORY / "pcaps").glob("*.pcap*")):
        yield next(open_capture(str(path), native=False).batches())


def frames_of(batch: FrameBatch) -> Iterator[tuple[int, bytes, int, int]]:
    """Time, bytes, length on the wire and link type of each frame."""
    for time_ns, offset, captured, wire, link_type, _ in batch.frames.tolist():
        yield time_ns, bytes(batch.data[offset : offset + captured]), wire, link_type


def pause(before_ns: int, now_ns: int) -> int:
    """The byte that comes nearest to the time between two frames."""
    passed_ns = now_ns - before_ns
    if passed_ns < 0:
        return 255
    return min(127, passed_ns // 100_000) if passed_ns < 250_000_000 else min(254, 127 + passed_ns // 250_000_000)


def engine_seed(batch: FrameBatch) -> bytes:
    """A capture file."""
    frames = list(frames_of(batch))
    link_type = frames[0][3]
    seed = HOW + struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link_type)
    for time_ns, data, wire, _ in (frame for frame in frames if frame[3] == link_type and frame[0] >= 0):
        seconds, fraction_ns = divmod(time_ns, 1_000_000_000)
        seed += struct.pack("<IIII", seconds & 0xFFFF_FFFF, fraction_ns, len(data), wire) + data
    return seed


def frame_seed(batch: FrameBatch) -> bytes:
    """Frames of the first one's link type."""
    frames = list(frames_of(batch))
    link_type = frames[0][3]
    index = LINK_TYPES.index(link_type) if link_type in LINK_TYPES else len(LINK_TYPES) - 1
    seed, before_ns = bytes([index]) + HOW, frames[0][0]
    for time_ns, data, wire, _ in (frame for frame in frames if frame[3] == link_type):
        kept = data[: 2 * SEGMENT_BYTES]
        seed += struct.pack(">BH", pause(before_ns, time_ns), len(kept) | (len(kept) < wire) << 15) + kept
        before_ns = time_ns
    return seed


def packets_of(batch: FrameBatch) -> Iterator[tuple[int, int, Segment | Datagram]]:
    """Pause, number of the flow (below 16) and what is carried."""
    reader, flows = FrameReader(Limits()), dict[frozenset[tuple[bytes, int]], int]()
    before_ns: int | None = None
    for time_ns, data, _, link_type in frames_of(batch):
        packet = reader.read(link_type, data)
        if isinstance(packet, Segment | Datagram):
            ends = frozenset([(packet.src_addr, packet.src_port), (packet.dst_addr, packet.dst_port)])
            yield pause(before_ns or time_ns, time_ns), flows.setdefault(ends, len(flows)) & 15, packet
            before_ns = time_ns


def from_server(packet: Segment | Datagram) -> bool:
    """By the lower port."""
    return packet.src_port < packet.dst_port


def stream_seed(batch: FrameBatch) -> bytes:
    """Segments of up to 16 connections, sequence numbers counted from the first one seen."""
    seed, first = HOW, dict[tuple[int, bool], int]()
    for wait, flow, packet in packets_of(batch):
        if isinstance(packet, Segment):
            side = from_server(packet)
            base = first.setdefault((flow, side), packet.seq)
            seq = packet.seq - base
            ack = packet.ack - first.setdefault((flow, not side), packet.ack)
            for at in range(0, max(1, len(packet.payload)), 255):
                payload = packet.payload[at : at + 255]
                seed += bytes([flow << 4 | side, packet.flags, wait])
                seed += struct.pack(">HHB", seq + at & 0xFFFF, ack & 0xFFFF, len(payload)) + payload
    return seed


def tls_seed(batch: FrameBatch) -> bytes:
    """The payloads of the first connection."""
    seed = HOW + b"\x00"
    for wait, flow, packet in packets_of(batch):
        if isinstance(packet, Segment) and flow == 0 and packet.length:
            side, kept = int(from_server(packet)), packet.payload[:SEGMENT_BYTES]
            seed += struct.pack(">BBH", side, wait, len(kept)) + kept
            if len(kept) < packet.length:
                seed += struct.pack(">BBH", side | LOST, 0, min(19_999, packet.length - len(kept)))
    return seed


def dtls_seed(batch: FrameBatch) -> bytes:
    """Datagrams of up to 16 flows."""
    seed = HOW
    for wait, flow, packet in packets_of(batch):
        if isinstance(packet, Datagram):
            kept = packet.payload[: 4 * SEGMENT_BYTES]
            seed += struct.pack(">BBH", flow << 4 | from_server(packet), wait, len(kept)) + kept
    return seed


def capture_seeds() -> Iterator[bytes]:
    """The beginnings of the shipped capture files; the first byte is the size of chunks."""
    for path in sorted((REPOSITORY / "pcaps").glob("*.pcap*")):
        data = path.read_bytes()
        yield from (bytes([size]) + data[:length] for size in (7, 255) for length in (300, SEED_BYTES))


def eve_seeds() -> Iterator[bytes]:
    """Lines of some flows; before them which flow is known, and how long blocks are."""
    session, end = eve_lines.tls, eve_lines.flow
    lines = [session(1), end(1), session(2, 1, "-15"), end(3, 2, vlan='"vlan":[1,2],'), session(2, 3), end(2, 9)]
    lines += [b'{"event_type":"alert","flow_id":1}\n', end(5, app='"app_proto":"http",'), session(5)]
    yield from (bytes([known, size]) + b"".join(lines) for known in (0, 1, 5) for size in (1, 250))
    yield from (b"\x01\x01" + line for line in lines)


def write(folder: Path, seeds: Iterable[bytes]) -> None:
    """Each once, named after its content."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        if len(seed) > len(HOW) + 1:
            data = seed[:SEED_BYTES]
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def main() -> None:
    """See the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    folder = parser.parse_args().dir
    batches = [batch for batch in [*recorded(), *shipped()] if len(batch.frames)]
    makers = {"engine": engine_seed, "frame": frame_seed, "stream": stream_seed, "tls": tls_seed, "dtls": dtls_seed}
    for target, seed in makers.items():
        write(folder / target, map(seed, batches))
    write(folder / "capture", [*capture_seeds(), *(b"\xff" + engine_seed(batch)[len(HOW) :] for batch in batches[::9])])
    write(folder / "eve", eve_seeds())
    for target in (*makers, "capture", "eve"):
        print(f"{target}: {len(list((folder / target).iterdir()))} seeds")


if __name__ == "__main__":
    main()
