"""What one run remembers, the next goes on from; and the file is never worse than the last save."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hbids
from hbids.capture import open_capture
from hbids.config import Config, Memory
from hbids.errors import UserInputError
from hbids.facts import Facts, Finding
from hbids.pipeline import Analysis, Keeper
from hbids.state import VERSION, StateFile
from tests.capture.build import Frame
from tests.conftest import PCAPS, REPOSITORY, run_hbids, shared_path
from tests.detect.casebook import leaks
from tests.stats.test_statistics import TABLES, exchanges, told
from tests.support.conversation import SECOND_NS, START_NS, frames_of, write_pcap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STAFFORD = PCAPS / "scan_vuln_stafford.pcap"
DAY_NS = 86_400 * SECOND_NS
LOW_AND_SLOW = "lowslow_single_6days.pcap"


def replayed(path: Path, state: Path, engine: str = "auto") -> tuple[dict[str, Any], list[Finding]]:
    result = hbids.replay(path, state=state, engine=engine)
    assert result.problems == []
    return result.summary(), result.findings


def frames_from(path: Path) -> list[Frame]:
    return [
        Frame(int(row["time_ns"]), batch.data[row["offset"] :][: row["captured_bytes"]], int(row["wire_bytes"]))
        for batch in open_capture(str(path), native=False).batches()
        for row in batch.frames
    ]


def ignore(_: Finding) -> None:
    """Nobody listens."""


def in_days(frames: Sequence[Frame], folder: Path) -> list[Path]:
    days = sorted({frame.time_ns // DAY_NS for frame in frames})
    return [
        write_pcap(folder / f"{day}.pcap", [frame for frame in frames if frame.time_ns // DAY_NS == day])
        for day in days
    ]


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_slow_harvest_is_found_from_daily_files(engine_name: str, tmp_path: Path) -> None:
    """Three answers a day: no day shows it."""
    days = in_days(frames_of(*leaks(21, seconds=86_400 / 3)), tmp_path)
    alone = [hbids.replay(day, engine=engine_name).endpoints[0]["verdict"] for day in days]
    assert alone == ["leaked"] * 8
    verdicts, sids = [], []
    for day in days:
        summary, findings = replayed(day, tmp_path / "state", engine_name)
        verdicts.append(summary["endpoints"][0]["verdict"])
        sids.append([finding.sid for finding in findings if 1016300 <= finding.sid < 1016400])
    assert verdicts == ["leaked"] * 3 + ["harvested"] * 5  # with the tenth answer
    assert sids[:4] == [[], [], [], [1016302]]


def test_the_low_and_slow_capture_is_a_harvest_day_by_day(tmp_path: Path) -> None:
    days = in_days(frames_from(shared_path("corpus") / LOW_AND_SLOW), tmp_path)
    assert len(days) > 5
    summaries = [replayed(day, tmp_path / "state")[0] for day in days]
    assert {endpoint["verdict"] for summary in summaries for endpoint in summary["endpoints"]} == {"harvested"}
    state = StateFile(tmp_path / "state")
    endpoints = state.load()["endpoints"]
    assert isinstance(endpoints, np.ndarray)
    assert endpoints["answers"].tolist() == [303]
    assert endpoints["leaked_bytes"].tolist() == [
        hbids.replay(shared_path("corpus") / LOW_AND_SLOW).totals["leaked_bytes"]
    ]


def test_pieces_with_a_state_are_told_like_the_whole(tmp_path: Path) -> None:
    """But for totals, which each run tells at its end."""
    frames = frames_of(*leaks(30, seconds=20_000))
    whole = hbids.replay(write_pcap(tmp_path / "whole.pcap", frames)).findings
    pieces = [finding for day in in_days(frames, tmp_path) for finding in replayed(day, tmp_path / "state")[1]]
    names = {finding.context["alert_id"] for finding in pieces}
    assert {finding.context["alert_id"] for finding in whole[:-1]} <= names
    assert len(names) == len(pieces)


def test_what_is_replayed_twice_counts_once(engine_name: str, tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "harvest.pcap", frames_of(*leaks(12)))
    state = tmp_path / "state"
    (first, told_first), (second, told_again) = (replayed(path, state, engine_name) for _ in range(2))
    assert first["endpoints"] == second["endpoints"]
    assert first["endpoints"][0]["verdict"] == "harvested"
    assert len(told_first) > 0
    assert told_again == []
    assert (first["drops"].get("heartbeats_repeated"), second["drops"]["heartbeats_repeated"]) == (None, 24)
    kept = StateFile(state).load()["sources"]
    assert isinstance(kept, np.ndarray)
    assert kept["answers"].tolist() == [12]


def test_other_traffic_of_the_same_time_counts(tmp_path: Path) -> None:
    """As of a second sensor."""
    frames = frames_of(*leaks(12))
    half = len(frames) // 2
    one, two = (
        write_pcap(tmp_path / f"{name}.pcap", part) for name, part in (("2", frames[half:]), ("1", frames[:half]))
    )
    assert replayed(one, tmp_path / "state")[0]["endpoints"][0]["verdict"] == "leaked"
    assert replayed(two, tmp_path / "state")[0]["endpoints"][0]["verdict"] == "harvested"


def test_a_state_holds_what_was_counted(tmp_path: Path) -> None:
    rows = exchanges([START_NS + number * SECOND_NS for number in range(5_000)], list(range(5_000)))
    whole = Analysis(Config(), ignore)
    nothing = Facts.empty()
    whole.add(Facts(rows, nothing.sessions, nothing.flows))
    for half in (rows[:4_000], rows[4_000:]):
        analysis = Analysis(Config(), ignore)
        keeper = Keeper(tmp_path / "state", analysis, Config())
        analysis.add(Facts(half, nothing.sessions, nothing.flows))
        assert keeper.close() == []
    for name in TABLES:
        assert told(getattr(analysis.statistics, name)) == told(getattr(whole.statistics, name))


def test_the_program_goes_on_from_a_state(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "scan.pcap", frames_of(*leaks(6)))
    later = write_pcap(tmp_path / "later.pcap", frames_of(*leaks(12)[6:]))
    assert "LEAKED" in run_hbids("replay", path, "--state", tmp_path / "state").stdout
    assert "HARVESTED" in run_hbids("replay", later, "--state", tmp_path / "state").stdout


# --- refusing ---------------------------------------------------------------------------------------------------------


def a_state(folder: Path) -> Path:
    hbids.replay(STAFFORD, state=folder / "state")
    return folder / "state"


def damaged_header(path: Path) -> str:
    content = bytearray(path.read_bytes())
    content[:4] = b"oops"
    path.write_bytes(content)
    return "is no state file of hbids"


def damaged_inside(path: Path) -> str:
    content = bytearray(path.read_bytes())
    at = content.rindex(b"\x28\xb5\x2f\xfd")  # where a packed block begins
    content[at + 20] ^= 0xFF
    path.write_bytes(content)
    return "is damaged"


def cut_off(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-4096])
    return "is damaged"


def without_a_table(path: Path) -> str:
    with sqlite3.connect(path) as file:
        file.execute("DROP TABLE blocks")
    return "is damaged"


def without_a_block(path: Path) -> str:
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM blocks WHERE part = 'sources'")
    return "is damaged"


def of_another_version(path: Path) -> str:
    with sqlite3.connect(path) as file:
        file.execute(f"PRAGMA user_version = {VERSION + 1}")
    return f"is of version {VERSION + 1}, and this hbids writes version {VERSION}"


def another_database(path: Path) -> str:
    path.unlink()
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE mine (x)")
    return "is no state file of hbids"


def a_capture(path: Path) -> str:
    path.write_bytes(STAFFORD.read_bytes())
    return "is no state file of hbids"


@pytest.mark.parametrize(
    "spoil",
    [
        damaged_header,
        damaged_inside,
        cut_off,
        without_a_table,
        without_a_block,
        of_another_version,
        another_database,
        a_capture,
    ],
)
def test_a_file_that_cannot_be_gone_on_from_is_refused_and_left_as_it_is(spoil: Any, tmp_path: Path) -> None:
    state = a_state(tmp_path)
    complaint = spoil(state)
    before = state.read_bytes()
    with pytest.raises(UserInputError) as error:
        hbids.replay(STAFFORD, state=state)
    assert f"{state}: {complaint}" in str(error.value)
    assert state.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_a_state_in_use_is_refused(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    keeper = Keeper(state, Analysis(Config(), ignore), Config())
    with pytest.raises(UserInputError, match="is in use by another run"):
        hbids.replay(STAFFORD, state=state)
    keeper.close()
    hbids.replay(STAFFORD, state=state)


def test_the_program_refuses_with_status_2(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a state")
    done = run_hbids("replay", STAFFORD, "--state", tmp_path / "state")
    assert done.returncode == 2
    assert "is no state file of hbids: give another path with --state" in done.stderr


@pytest.mark.parametrize("option", ["--eve", "--summary"])
def test_a_state_is_no_other_output(option: str, tmp_path: Path) -> None:
    done = run_hbids("replay", STAFFORD, "--state", tmp_path / "x", option, tmp_path / "x")
    assert (done.returncode, "both write to" in done.stderr) == (2, True)
    assert run_hbids("replay", STAFFORD, "--state", "-").returncode == 2


def test_a_state_that_cannot_be_written_fails_and_the_run_is_told_all_the_same(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    analysis = Analysis(Config(), ignore)
    keeper = Keeper(state, analysis, Config())
    keeper._file._file.execute("PRAGMA max_page_count = 4")  # noqa: SLF001  as a full disk does
    rows = exchanges([START_NS] * 20_000, list(range(20_000)))
    analysis.add(Facts(rows, Facts.empty().sessions, Facts.empty().flows))
    before = state.read_bytes()
    (problem,) = keeper.close()
    assert (problem.severity, problem.path) == ("error", str(state))
    assert problem.message.startswith("cannot be written, ")
    assert state.read_bytes() == before


# --- a crash ----------------------------------------------------------------------------------------------------------

WRITER = """
import sys
import numpy as np
from hbids.state import StateFile
state = StateFile(sys.argv[1])
rows = np.zeros(300_000, [("key", "<u8", (3,)), ("last_ns", "<i8")])
number = int(state.load().get("number", {"saved": 0})["saved"])
while True:
    number += 1
    rows["last_ns"] = number
    state.save({"rows": rows, "number": {"saved": number}})
    print(number, flush=True)
"""


def test_a_run_killed_while_it_writes_leaves_the_save_before(tmp_path: Path) -> None:
    state, saved = tmp_path / "state", 0
    command = [sys.executable, "-c", WRITER, str(state)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for attempt in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.013 * attempt)
            writer.kill()
            told_saved = [int(line) for line in writer.stdout.read().split()]
        file = StateFile(state)
        parts = file.load()
        file.close()
        rows, number = parts["rows"], parts["number"]
        assert isinstance(rows, np.ndarray)
        assert isinstance(number, dict)
        assert np.unique(rows["last_ns"]).tolist() == [number["saved"]]
        assert number["saved"] >= max([saved, *told_saved])
        saved = number["saved"]


def test_a_replay_killed_on_its_way_is_gone_on_from(tmp_path: Path) -> None:
    """The same file again: what was saved counts once, and what was lost counts, too."""
    path = write_pcap(tmp_path / "long.pcap", frames_of(*leaks(2_000, seconds=0.5)))
    config = tmp_path / "config.yaml"
    config.write_text("memory: {save_interval_s: 0.000001}")
    state, summary = tmp_path / "state", tmp_path / "summary"
    command = [sys.executable, "-m", "hbids", "replay", *map(str, (path, "--state", state, "--config", config))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as replay:
        while replay.poll() is None and not (state.exists() and state.stat().st_size > 20_000):
            time.sleep(0.002)
        replay.kill()
    assert run_hbids("replay", path, "--state", state, "--summary", summary).returncode == 0
    assert json.loads(summary.read_text())["endpoints"][0]["verdict"] == "harvested"
    kept = StateFile(state).load()["endpoints"]
    assert isinstance(kept, np.ndarray)
    assert kept["answers"].tolist() == [2_000]


def test_the_memory_of_flows_is_bounded(tmp_path: Path) -> None:
    config = Config(memory=Memory(flows=40_000))
    analysis = Analysis(config, ignore)
    keeper = Keeper(tmp_path / "state", analysis, config)
    nothing = Facts.empty()
    for start in range(0, 100_000, 10_000):
        rows = exchanges([START_NS + start * SECOND_NS] * 10_000, [1] * 10_000)
        rows["flow_start_ns"] = np.arange(len(rows)) + START_NS + start * SECOND_NS
        analysis.add(Facts(rows, nothing.sessions, nothing.flows))
    keeper.close()
    flows = StateFile(tmp_path / "state").load()["flows"]
    assert len(flows) <= 40_000
