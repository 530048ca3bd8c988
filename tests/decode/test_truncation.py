"""Captures cut off anywhere: what is left is judged, what is missing is told, nothing raises.

Every byte is tried on the reader. A cut within a packet leaves the frames before it, so the rest of the way is gone
once for each number of frames.
"""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

import hbids
from hbids.capture import open_capture
from hbids.decode.engine import native_available
from hbids.facts import FrameBatch
from tests.conftest import PCAPS, missing
from tests.repository.manifest import CAPTURES
from tests.support.decoding import decode_batches
from tests.support.mutation import batch_from

if TYPE_CHECKING:
    from pathlib import Path

FIRST_BYTES = 4096
RANDOM_PLACES = 500
REFERENCE_EVERY = 20


def places(name: str, size: int) -> list[int]:
    """Where to cut, from the end to the beginning."""
    dice = random.Random(name)  # noqa: S311  data, not secrets
    return sorted({*range(min(size, FIRST_BYTES)), *dice.sample(range(size), RANDOM_PLACES)}, reverse=True)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_cut_anywhere_is_judged_as_far_as_it_goes(name: str, tmp_path: Path) -> None:
    if not native_available():
        missing("the native engine")
    path = tmp_path / name
    shutil.copyfile(PCAPS / name, path)
    frames_before = CAPTURES[name]["expected"]["packets"] + 1
    leaked_before = CAPTURES[name]["expected"]["leaked_bytes"]
    judged = 0
    for kept in places(name, path.stat().st_size):
        os.truncate(path, kept)
        capture = open_capture(str(path), native=True)
        frames = sum(len(batch.frames) for batch in capture.batches())
        assert frames <= frames_before
        assert len(capture.problems) <= 1
        if frames == frames_before:
            continue
        frames_before = frames
        judged += 1
        for engine in ["native"] if judged % REFERENCE_EVERY else ["native", "reference"]:
            result = hbids.replay(path, engine=engine)
            assert (result.engine, result.problems) == (engine, capture.problems)
            assert result.totals["packets"] == frames
            assert result.totals["leaked_bytes"] <= leaked_before
            assert sum(row["packets_to_server"] + row["packets_to_client"] for row in result.flows) <= frames
        leaked_before = result.totals["leaked_bytes"]
    assert (frames, leaked_before) == (0, 0)


@pytest.mark.parametrize("name", CAPTURES)
def test_packets_cut_off_by_any_snap_length_are_counted(name: str, engine_name: str) -> None:
    batch = batch_from(PCAPS / name)
    for snap_bytes in (0, 1, 13, 14, 20, 33, 34, 40, 53, 54, 60, 66, 71, 100, 400):
        frames = batch.frames.copy()
        frames["captured_bytes"] = frames["captured_bytes"].clip(max=snap_bytes)
        decoded = decode_batches(engine_name, [FrameBatch(batch.data, frames)])
        assert decoded.counters["packets"] == len(frames)
        in_flows = sum(row["packets_to_server"] + row["packets_to_client"] for row in decoded.flows)
        unread = ("frame_truncated", "not_ip", "not_tcp", "ip_malformed", "tcp_malformed", "eap_malformed")
        assert in_flows + sum(decoded.drops.get(counter, 0) for counter in unread) == len(frames)
