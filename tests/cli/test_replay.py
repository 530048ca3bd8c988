"""``hbids replay`` as a user runs it: outputs, exit statuses, bad input."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hbids.decode.engine import native_available
from tests.conftest import PCAPS, REPOSITORY, run_hbids

LEAK = PCAPS / "scan_vuln_stafford.pcap"
PATCHED = PCAPS / "scan_patched_nmap.pcap"
HEADLINE = "10.66.0.10:443 LEAKED 32,736 bytes of its memory to 1 source."


def alerts_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_options_prints_the_verdict_and_writes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hbids", "replay", str(LEAK)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == "" or not native_available()  # without the native engine it says so
    assert done.stdout.startswith(HEADLINE)
    assert list(tmp_path.iterdir()) == []


def test_writes_alerts_and_summary(tmp_path: Path) -> None:
    eve, summary = tmp_path / "eve.json", tmp_path / "summary.json"
    done = run_hbids("replay", LEAK, "--eve", eve, "--summary", summary)
    assert done.returncode == 0
    assert done.stdout.startswith(HEADLINE)
    told = json.loads(summary.read_text())
    assert told["leaked_bytes"] == 32736
    counted: dict[str, int] = {}
    for event in alerts_in(eve.read_text()):
        sid = str(event["alert"]["signature_id"])
        counted[sid] = counted.get(sid, 0) + 1
    assert counted == told["alerts"]
    assert counted["1016102"] == 2


def test_alerts_go_to_every_destination(tmp_path: Path) -> None:
    eve, path = tmp_path / "eve.json", tmp_path / "eve.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        done = run_hbids("replay", LEAK, "--eve", eve, "--eve", f"unix:{path}", "--eve", "-")
        connection = listener.accept()[0]
        received = connection.makefile().read()
        connection.close()
    assert done.returncode == 0
    assert alerts_in(done.stdout)
    assert eve.read_text() == received == done.stdout


def test_a_destination_that_is_not_there_fails(tmp_path: Path) -> None:
    done = run_hbids("replay", LEAK, "--eve", f"unix:{tmp_path}/nobody", "--eve", tmp_path / "eve.json")
    assert done.returncode == 1
    assert f"unix:{tmp_path}/nobody: cannot be written, No such file" in done.stderr


@pytest.mark.parametrize("option", ["--eve", "--summary"])
def test_a_dash_gives_standard_output_to_json_and_stderr_to_people(option: str) -> None:
    done = run_hbids("replay", LEAK, option, "-")
    assert done.returncode == 0
    assert HEADLINE in done.stderr
    if option == "--eve":
        assert {event["event_type"] for event in alerts_in(done.stdout)} == {"alert"}
    else:
        assert json.loads(done.stdout)["endpoints"][0]["verdict"] == "leaked"


def test_the_sensors_name_and_seed_come_from_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "hbids.yaml"
    config.write_text("output: {sensor_name: span-1, community_id_seed: 7}\n")
    plain = alerts_in(run_hbids("replay", LEAK, "--eve", "-").stdout)
    named = alerts_in(run_hbids("replay", LEAK, "--eve", "-", "--config", config).stdout)
    assert {event["host"] for event in named} == {"span-1"}
    assert not {event["community_id"] for event in plain} & {event["community_id"] for event in named}


@pytest.mark.parametrize(
    ("verdict", "capture", "status"),
    [("leaked", LEAK, 3), ("exposed", LEAK, 3), ("harvested", LEAK, 0), ("leaked", PATCHED, 0)],
)
def test_fail_on(verdict: str, capture: Path, status: int) -> None:
    assert run_hbids("replay", capture, "--fail-on", verdict).returncode == status


def test_home_net_leaves_other_peoples_endpoints_alone() -> None:
    assert HEADLINE in run_hbids("replay", LEAK, "--home-net", "10.66.0.0/24").stdout
    others = run_hbids("replay", LEAK, "--home-net", "192.168.0.0/16,fd00::/8").stdout
    assert "No sign of Heartbleed on home networks; 6 findings about endpoints elsewhere" in others


def test_a_missing_file_fails_but_the_others_are_judged() -> None:
    done = run_hbids("replay", "nowhere.pcap", LEAK)
    assert done.returncode == 1
    assert "hbids: error: nowhere.pcap: cannot be opened" in done.stderr
    assert HEADLINE in done.stdout


def test_a_truncated_capture_is_a_warning(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(LEAK.read_bytes()[:-7])
    done = run_hbids("replay", cut)
    assert done.returncode == 0
    assert f"hbids: warning: {cut}, offset " in done.stderr
    assert "LEAKED" in done.stdout


def test_a_capture_from_a_pipe_compressed() -> None:
    done = run_hbids("replay", "-", stdin=gzip.compress(LEAK.read_bytes()))
    assert done.returncode == 0
    assert HEADLINE in done.stdout


def test_wrong_usage_tells_every_mistake(tmp_path: Path) -> None:
    config = tmp_path / "hbids.yaml"
    config.write_text("limit: 3\nthresholds: {flood_messages: none}\n")
    done = run_hbids("replay", LEAK, "--config", config)
    assert done.returncode == 2
    assert f"{config}:1: unknown key 'limit'" in done.stderr
    assert f"{config}:2: expected a whole number" in done.stderr
    done = run_hbids("replay", LEAK, "--home-net", "here,10.0.0.0/8,there")
    assert done.returncode == 2
    assert "'here' is not a network" in done.stderr
    assert "'there' is not a network" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("--fail-on", "bad"), ("--engine", "fast"), ("--eve", "-", "--summary", "-")],
)
def test_wrong_options(arguments: tuple[str, ...]) -> None:
    inputs = (LEAK,) if arguments else ()
    assert run_hbids("replay", *inputs, *arguments).returncode == 2


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(LEAK.read_bytes())
    done = run_hbids("replay", capture, "--eve", tmp_path / "." / "capture.pcap")
    assert done.returncode == 2
    assert "is an input of this run" in done.stderr
    assert capture.read_bytes() == LEAK.read_bytes()


def test_an_output_that_cannot_be_opened_is_told_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "eve.json"
    done = run_hbids("replay", LEAK, "--eve", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"hbids: error: {path}: cannot be written, No such file or directory")
    assert done.stdout == ""


@pytest.mark.parametrize("option", ["--eve", "--summary"])
def test_a_full_disk_costs_that_output_only(option: str, tmp_path: Path) -> None:
    other = {"--eve": "--summary", "--summary": "--eve"}[option]
    path = tmp_path / "other.json"
    done = run_hbids("replay", LEAK, option, "/dev/full", other, path)
    assert done.returncode == 1
    assert "hbids: error: /dev/full: cannot be written, No space left on device" in done.stderr
    assert HEADLINE in done.stdout
    assert path.stat().st_size > 100


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "hbids", "replay", str(LEAK), "--eve", "-"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert "standard output: cannot be written, Broken pipe" in done.stderr
    assert "Traceback" not in done.stderr
    assert HEADLINE in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    eve, summary = tmp_path / "eve.json", tmp_path / "summary.json"
    arguments = ["replay", "-", "--eve", str(eve), "--summary", str(summary)]
    with subprocess.Popen(
        [sys.executable, "-m", "hbids", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as run:
        assert run.stdin
        assert run.stdout
        run.stdin.write(LEAK.read_bytes())
        run.stdin.flush()  # and the pipe stays open: the run waits for more
        while not (eve.exists() and eve.stat().st_size):
            assert run.poll() is None
        run.send_signal(number)
        told = run.stdout.read()
        assert run.wait() == 0
    assert b"LEAKED" in told
    assert json.loads(summary.read_text())["leaked_bytes"] == 32736


def test_facts_as_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'hbids[parquet]'")
    done = run_hbids("replay", LEAK, "--facts", tmp_path / "facts")
    assert done.returncode == 0
    heartbeats = parquet.read_table(tmp_path / "facts" / "heartbeats.parquet")
    assert heartbeats.column("claimed_length").to_pylist().count(16384) == 4  # two requests, two answers
    assert set(heartbeats.column("is_final").to_pylist()) == {1}
    assert parquet.read_table(tmp_path / "facts" / "sessions.parquet").num_rows == 1
    flows = parquet.read_table(tmp_path / "facts" / "flows.parquet")
    assert flows.column("client_addr").to_pylist() == [bytes(10) + b"\xff\xff" + bytes((10, 66, 9, 66))]


def test_facts_without_pyarrow_name_the_extra(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError(name='pyarrow')\n")
    done = subprocess.run(
        [sys.executable, "-m", "hbids", "replay", str(LEAK), "--facts", str(tmp_path / "facts")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'hbids[parquet]'" in done.stderr
