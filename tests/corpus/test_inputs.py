"""A capture gives the same verdict, whatever way it comes in."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

import hbids
from tests.conftest import PCAPS, require_tool, run_hbids, shared_path

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = "harvest_distributed_8src_stafford_real.pcap"
"""Of the corpus, larger than the chunks in which files are read: flows go on over their borders."""

CAPTURES = [*sorted(path.name for path in PCAPS.glob("*.pcap*")), LARGE]

PACKETS_PER_SLICE = 7
"""Few, so that handshakes and answers are cut."""


def capture(name: str) -> Path:
    return shared_path("corpus") / name if name == LARGE else PCAPS / name


def with_gzip(path: Path, folder: Path) -> Path:
    packed = folder / "capture.pcap.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), compresslevel=1))
    return packed


def with_zstd(path: Path, folder: Path) -> Path:
    packed = folder / "capture.pcap.zst"
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    return packed


def as_pcapng(path: Path, folder: Path) -> Path:
    converted = folder / "capture.pcapng"
    subprocess.run([require_tool("editcap"), "-F", "pcapng", path, converted], check=True)
    return converted


def as_pcap(path: Path, folder: Path) -> Path:
    converted = folder / "capture.pcap"
    subprocess.run([require_tool("editcap"), "-F", "pcap", path, converted], check=True)
    return converted


def in_slices(path: Path, folder: Path) -> Path:
    """Named by editcap with number and time, as capture tools name rolling files."""
    slices = folder / "slices"
    slices.mkdir()
    subprocess.run([require_tool("editcap"), "-c", str(PACKETS_PER_SLICE), path, slices / path.name], check=True)
    assert len(list(slices.iterdir())) > 1
    return slices


@pytest.mark.parametrize("changed", [with_gzip, with_zstd, as_pcapng, as_pcap, in_slices])
@pytest.mark.parametrize("name", CAPTURES)
def test_same_verdict_of_a_changed_file(
    name: str, changed: Callable[[Path, Path], Path], engine_name: str, tmp_path: Path
) -> None:
    path = capture(name)
    plain = hbids.replay(path, engine=engine_name)
    result = hbids.replay(changed(path, tmp_path), engine=engine_name)
    assert result.problems == plain.problems == []
    assert verdict(result.summary()) == verdict(plain.summary())


@pytest.mark.parametrize("name", CAPTURES)
def test_same_verdict_from_standard_input(name: str) -> None:
    path = capture(name)
    done = run_hbids("replay", "-", "--summary", "-", stdin=path.read_bytes())
    assert done.returncode == 0
    assert verdict(json.loads(done.stdout)) == verdict(hbids.replay(path).summary())


def test_two_captures_in_one_run_add_up(engine_name: str, tmp_path: Path) -> None:
    """Named one by one they are captures of their own: the same flow in both is two flows."""
    path = PCAPS / "scan_vuln_stafford.pcap"
    again = Path(shutil.copy(path, tmp_path))
    once = hbids.replay(path, engine=engine_name).summary()
    twice = hbids.replay(path, again, engine=engine_name).summary()
    for name in ("packets", "bytes", "flows", "tls_sessions", "leaked_bytes"):
        assert twice[name] == 2 * once[name]


def verdict(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary without what the way in changes."""
    told = {name: value for name, value in summary.items() if name not in {"sources", "seconds"}}
    return told | {"capture": summary["seconds"]["capture"]}
