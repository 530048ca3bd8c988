"""What is heard live is judged as the same packets are from a file: captures are sent over a wire at which both hbids
and dumpcap listen."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import PCAPS, require_tool, run_hbids, shared_path
from tests.support.wire import Sniffer, Wire, eventually

NUMBERED = {"flow_id", "message_id", "answers_message", "packet_number"}
"""Names within a run."""

NOT_OF_THE_PACKETS = {"sources", "seconds", "interfaces"}

_LAST = b"the last frame of this capture".ljust(60, b".")


@contextmanager
def dumped(wire: Wire, path: Path) -> Iterator[None]:
    """Capture meanwhile, with the tool everybody trusts."""
    command = (require_tool("dumpcap"), "-q", "-i", "out0", "-s", "262144", "-B", "64", "-w", path)
    process = subprocess.Popen(wire.inside(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _hears(wire, path))
        yield
        wire.send([("in0", _LAST)])
        eventually(lambda: _LAST in path.read_bytes(), "the last frame")
    finally:
        process.terminate()
        process.wait()


def _hears(wire: Wire, path: Path) -> bool:
    """Whether it has written more than the header; and something to write."""
    wire.send([("in0", bytes(60))])
    return path.exists() and path.stat().st_size > 500


def facts_of(folder: Path, table: str) -> Counter[str]:
    rows = pq.read_table(folder / f"{table}.parquet")
    numbers = [(entry.name, pa.int64() if pa.types.is_timestamp(entry.type) else entry.type) for entry in rows.schema]
    rows = rows.cast(pa.schema(numbers))
    return Counter(
        repr({name: value for name, value in row.items() if name not in NUMBERED}) for row in rows.to_pylist()
    )


def alerts_of(path: Path) -> Counter[str]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return Counter(json.dumps(_of_the_packets(event)) for event in events if event["event_type"] == "alert")


def _of_the_packets(event: dict[str, Any]) -> dict[str, Any]:
    context = event["alert"]["context"]["hbids"]
    for name in ("message_id", "request_id"):
        context.pop(name, None)
    return {name: value for name, value in event.items() if name not in {"pcap_cnt", "in_iface"}}


@pytest.fixture(params=["shipped", "labelled"])
def captures(request: pytest.FixtureRequest) -> list[Path]:
    folder = PCAPS if request.param == "shipped" else shared_path("corpus")
    return sorted(folder.glob("*.pcap*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_live_as_from_a_file(wire: Wire, captures: list[Path], workers: int, tmp_path: Path) -> None:
    capture, live, replayed = tmp_path / "out0.pcapng", tmp_path / "live", tmp_path / "replayed"
    sniffer = Sniffer(wire, live, ("out0", "--workers", str(workers), "--facts", live / "facts"))
    with dumped(wire, capture), sniffer:
        for path in captures:
            wire.replay(path)
    assert sniffer.status == 0, sniffer.said
    replayed.mkdir()
    options = ("--eve", replayed / "eve.json", "--summary", replayed / "summary.json", "--facts", replayed / "facts")
    assert run_hbids("replay", *options, capture).returncode == 0

    interface = sniffer.summary["interfaces"]["out0"]
    assert interface["kernel_drops"] == 0
    for table in ("heartbeats", "sessions", "flows"):
        facts = facts_of(live / "facts", table)
        assert facts == facts_of(replayed / "facts", table)
        assert facts
    summary = json.loads((replayed / "summary.json").read_text())
    assert sniffer.summary["alerts"].keys() == summary["alerts"].keys()
    same = summary.keys() - NOT_OF_THE_PACKETS - {"packets", "bytes", "drops"}  # dumpcap heard first that it listens
    if workers == 1:
        assert alerts_of(live / "eve.json") == alerts_of(replayed / "eve.json")
    else:  # what several tell of one endpoint comes in another order, so others of its sources are named
        same -= {"alerts"}
    assert {name: _settled(sniffer.summary[name]) for name in same} == {name: _settled(summary[name]) for name in same}
    assert sniffer.summary["packets"] == interface["frames"] == interface["kernel_packets"]


def _settled(value: Any) -> Any:
    """Endpoints and their sources stand in the order in which they were met."""
    if isinstance(value, dict):
        return {name: _settled(each) for name, each in value.items()}
    return sorted(map(_settled, value), key=json.dumps) if isinstance(value, list) else value
