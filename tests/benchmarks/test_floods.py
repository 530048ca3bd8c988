"""The floods are packets that other programs read, the attack in their middle is one, and answers are checked."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.utils import rdpcap

import hbids
from benchmarks.attack import LEAKED_BYTES, SERVER, attack
from benchmarks.flood import Result
from benchmarks.flood_capture import flooded, plain
from benchmarks.floods import FLOODS
from benchmarks.frames import PCAP_HEADER
from benchmarks.measure import Failed
from benchmarks.packets import stamp
from benchmarks.watch import Watched, watch
from hbids.facts import Verdict
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from scapy.packet import Packet

SMALL = {name: replace(flood, flows=7, together=3) for name, flood in FLOODS.items()}


def read(blocks: list[bytes]) -> list[Packet]:
    return list(rdpcap(io.BytesIO(PCAP_HEADER + b"".join(blocks))))


@pytest.mark.parametrize("name", SMALL)
def test_scapy_computes_the_same_lengths_and_checksums(name: str) -> None:
    packets = read([block.tobytes() for block in flooded(SMALL[name], attack_gap_packets=2)])
    assert len(packets) == 7 * SMALL[name].packets_a_flow + len(attack(7))
    for packet in packets:
        again = packet.copy()
        del again[IP].len, again[IP].chksum
        is_decoy = name == "decoys" and len(packet) == 94
        for layer in (layer for layer in (TCP, UDP) if layer in again and not again[IP].flags.MF and not is_decoy):
            del again[layer].chksum
        assert bytes(again) == bytes(packet)


@pytest.mark.parametrize("name", SMALL)
def test_plain_traffic_has_as_many_frames_of_the_same_lengths(name: str) -> None:
    flood = replace(SMALL[name], flows=40, together=40)
    frames = [block.shape for block in plain(flood)]
    whole = [block.shape for block in flooded(flood, attack_gap_packets=10**6)]
    wanted = sum(rows for rows, _ in whole) - len(attack(flood.flows))
    assert sum(rows for rows, _ in frames) == wanted
    assert {length for _, length in frames} <= {max(70, length) for _, length in whole}


def test_the_attack_alone_leaks_what_the_benchmark_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "attack.pcap"
    path.write_bytes(PCAP_HEADER + b"".join(stamp(frame, at).tobytes() for at, frame in enumerate(attack(1))))
    (endpoint,) = hbids.replay(path).endpoints
    assert (endpoint["ip"], endpoint["verdict"], endpoint["leaked_bytes"]) == (
        SERVER,
        Verdict.LEAKED.word,
        LEAKED_BYTES,
    )


def test_the_same_flood_is_made_of_the_same_bytes() -> None:
    first, second = (
        b"".join(block.tobytes() for block in flooded(SMALL["DTLS hellos"], attack_gap_packets=3)) for _ in range(2)
    )
    assert first == second


def test_memory_is_sampled_after_so_many_packets() -> None:
    program = "import sys; data = sys.stdin.buffer.read()"
    blocks = list(flooded(replace(FLOODS["fragments"], flows=20_000), attack_gap_packets=100))
    found = watch([sys.executable, "-c", program], PCAP_HEADER, blocks, [10_000, 20_000])
    (some, some_bytes), (more, more_bytes) = found.curve
    assert (some, more, found.packets) == (10_000, 20_000, 20_000 + len(attack(1)))
    assert some_bytes + 10_000_000 < more_bytes <= found.peak_rss_bytes
    assert found.cpu_s > 0


def test_a_program_that_ends_badly_is_told_with_its_words() -> None:
    program = "import sys; sys.stdin.buffer.read(); sys.exit('no such thing')"
    with pytest.raises(Failed, match=r"(?s)exit status 1.*no such thing"):
        watch([sys.executable, "-c", program], PCAP_HEADER, [], [])


def test_ratios_leave_out_the_start_of_the_program() -> None:
    start, beside, flood = (Watched(packets=1_000, cpu_s=cpu_s, peak_rss_bytes=50) for cpu_s in (0.2, 0.3, 0.5))
    result = Result("one-packet flows", "native", 1, start, beside, flood, {})
    assert result.ratio == pytest.approx(3)
    assert result.grown_bytes == 0
    assert replace(result, plain=start).ratio is None


def test_the_benchmark_tells_what_was_counted_and_held(tmp_path: Path) -> None:
    path = tmp_path / "floods.json"
    command = [sys.executable, "-m", "benchmarks.flood", "--quick", "--json", str(path)]
    command += ["--flood", "torn hellos", "--flood", "one-packet flows"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=REPOSITORY, text=True)
    assert done.returncode == 0, done.stderr
    assert "one-packet flows, reference: flows_evicted 40,001" in done.stdout
    assert '"flows_evicted": 40001' in path.read_text()
