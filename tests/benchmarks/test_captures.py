"""The captures of the benchmarks are traffic that other tools find nothing wrong with."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.utils import rdpcap

from benchmarks import conversation
from benchmarks.captures import CAPTURES, Recipe, make
from benchmarks.content import Content
from benchmarks.programs import Hbids
from hbids.decode.engine import native_available
from tests.conftest import REPOSITORY, missing, require_tool

CONNECTIONS = 7
RECIPES = {
    "bulk": Recipe(CONNECTIONS, lambda: conversation.bulk(records=2)),
    "short": Recipe(CONNECTIONS, conversation.short),
}


@pytest.fixture(scope="module", params=RECIPES)
def capture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Content:
    return make(RECIPES[request.param], tmp_path_factory.mktemp("captures") / f"{request.param}.pcap")


def _tshark(capture: Content, *options: str) -> list[str]:
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command = [require_tool("tshark"), "-r", capture.path, *checks, *options]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()


def test_scapy_reads_as_many_packets_and_bytes_as_announced(capture: Content) -> None:
    packets = rdpcap(capture.path)
    assert len(packets) == capture.packets
    assert sum(map(len, packets)) == capture.bytes


def test_scapy_computes_the_same_lengths_and_checksums(capture: Content) -> None:
    for packet in rdpcap(capture.path):
        again = packet.copy()
        del again[IP].len, again[IP].chksum, again[TCP].chksum
        assert bytes(again) == bytes(packet)


def test_every_connection_lives_before_any_ends(capture: Content) -> None:
    flags = [str(packet[TCP].flags) for packet in rdpcap(capture.path)]
    first_end = next(number for number, seen in enumerate(flags) if "F" in seen)
    assert flags[:first_end].count("S") == CONNECTIONS
    assert "S" not in flags[first_end:]


def test_tshark_sees_no_loss_no_wrong_checksum_and_nothing_malformed(capture: Content) -> None:
    wrong = "tcp.analysis.flags || _ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0"
    assert _tshark(capture, "-Y", wrong) == []


def test_tshark_sees_a_full_handshake_on_every_connection(capture: Content) -> None:
    lines = _tshark(capture, "-Y", "tls.handshake.type", "-T", "fields", "-e", "tls.handshake.type")
    seen = Counter(number for line in lines for number in line.split(","))
    assert {number: seen[number] for number in ("1", "2", "11", "12", "14", "16")} == dict.fromkeys(
        ("1", "2", "11", "12", "14", "16"), CONNECTIONS
    )
    suites = _tshark(capture, "-Y", "tls.handshake.type == 2", "-T", "fields", "-e", "tls.handshake.ciphersuite")
    assert set(suites) == {"0xc02b"}


def test_hellos_differ_between_connections(capture: Content) -> None:
    names = ("tls.handshake.random", "tls.handshake.extensions_server_name")
    fields = [option for name in names for option in ("-e", name)]
    hellos = _tshark(capture, "-Y", "tls.handshake.type == 1", "-T", "fields", *fields)
    assert len({hello.split("\t")[0] for hello in hellos}) == CONNECTIONS
    assert len({hello.split("\t")[1] for hello in hellos}) == CONNECTIONS


def test_bulk_sends_full_frames_and_whole_records(tmp_path: Path) -> None:
    capture = make(RECIPES["bulk"], tmp_path / "bulk.pcap")
    lengths = Counter(int(line) for line in _tshark(capture, "-T", "fields", "-e", "ip.len"))
    assert lengths[1500] == CONNECTIONS * (2 * 16_413 // conversation.SEGMENT_BYTES)
    lines = _tshark(capture, "-Y", "tls.record.content_type == 23", "-T", "fields", "-e", "tls.record.length")
    records = Counter(number for line in lines for number in line.split(","))
    assert records["16408"] == 2 * CONNECTIONS  # 16384 of data, nonce and tag


def test_the_same_recipe_gives_the_same_bytes(capture: Content, tmp_path: Path) -> None:
    recipe = RECIPES[Path(capture.path).stem]
    make(recipe, tmp_path / "again.pcap")
    assert (tmp_path / "again.pcap").read_bytes() == Path(capture.path).read_bytes()


def test_a_capture_of_the_right_size_is_kept_and_any_other_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "short.pcap"
    capture = make(RECIPES["short"], path)
    made = path.read_bytes()
    path.write_bytes(bytes(len(made)))
    assert make(RECIPES["short"], path) == capture
    assert path.read_bytes() == bytes(len(made))
    path.write_bytes(made[:-1])
    make(RECIPES["short"], path)
    assert path.read_bytes() == made


def test_the_captures_are_as_large_as_their_names_promise() -> None:
    bulk, short = (len(CAPTURES[name].conversation()) * CAPTURES[name].connections for name in ("bulk", "short"))
    assert 650_000 < bulk < 750_000
    assert 1_900_000 < short < 2_100_000


def test_hbids_answers_are_checked_against_what_was_made(capture: Content) -> None:
    Hbids("reference").read(capture)
    wrong = Content(**{**asdict(capture), "flows": capture.flows + 1})
    with pytest.raises(RuntimeError, match=r"flows 7 instead of 8; tls_sessions 7 instead of 8"):
        Hbids("reference").read(wrong)


def test_the_benchmark_prints_ratios_and_writes_json(tmp_path: Path) -> None:
    if not native_available():
        missing("the native engine; install Rust 1.85 or newer, then `make clean test`")
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.replay", "--quick", "--runs", "1", "--slow-runs", "1"]
    command += ["--dir", str(tmp_path), "--json", str(path)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=REPOSITORY, text=True)
    assert done.returncode == 0, done.stderr
    assert "bulk: native peak memory" in done.stdout
    report = json.loads(path.read_text())
    assert {"bulk: native peak memory", "small: CPU native"} <= {figure["name"] for figure in report["figures"]}
    short = {"path": "short-20.pcap", "packets": 99_000, "bytes": 23_881_000, "flows": 5_500}
    assert report["captures"]["short"] == short
    assert str(tmp_path) not in path.read_text()
