"""``python -m benchmarks.stats``: what statistics and detection cost.

Rows of heartbeats are simulated (seeded) and analysed as replay does; the time to make them does not count. Each part
runs in a process of its own, so that its peak of memory is its own. The share of a replay is measured on the captures
of ``benchmarks.replay``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hbids
from benchmarks.captures import CAPTURES, make
from benchmarks.measure import REPOSITORY
from benchmarks.simulation import Exchanges, numbered_addresses, rows_of
from hbids.config import Config
from hbids.facts import Facts, Finding, Rows
from hbids.pipeline import Analysis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SEED = 20140407  # the day Heartbleed was told
_START_NS = 1_700_000_000_000_000_000
_STEP_ROWS = 32_768
_ROW_NS = 1_000
"""Simulated time between two rows: a million a second."""
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024

PARTS = {
    "harvest": (100, 1),
    "campaign": (10_000, 100),
    "crowd": (1_000_000, 1),
}
"""Sources and endpoints that exchanges are spread over at random."""


def _steps(sources: int, endpoints: int, rows: int) -> Iterator[Rows]:
    random = np.random.default_rng(_SEED)
    count = _STEP_ROWS // 2
    for start in range(0, rows, _STEP_ROWS):
        yield rows_of(
            Exchanges(
                _START_NS + (start + 2 * np.arange(count)) * _ROW_NS,
                numbered_addresses(random.integers(0, sources, count)),
                numbered_addresses(random.integers(0, endpoints, count), "203.0.113.0"),
                np.full(count, 0x4000),
            ),
            first_message=1 + start,
        )


def _analyse(name: str, rows: int) -> dict[str, float]:
    told: list[Finding] = []
    analysis = Analysis(Config(), told.append)
    nothing = Facts.empty()
    spent_s = copied_s = 0.0
    done = 0
    for step in _steps(*PARTS[name], rows):
        started = time.process_time()
        step.copy()
        copied = time.process_time()
        analysis.add(replace(nothing, heartbeats=step))
        spent_s += time.process_time() - copied
        copied_s += copied - started
        done += len(step)
    analysis.finish()
    leaks = sum(endpoint["leaking_answers"] for endpoint in analysis.endpoints())
    if leaks != done // 2:
        raise SystemExit(f"{name}: {leaks} leaks counted of {done // 2}")
    return {
        "rows": done,
        "rows_a_second": done / spent_s,
        "times_a_copy": spent_s / copied_s,
        "sources": len(analysis.statistics.sources),
        "alerts": len(told),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6,
    }


def _share(path: str) -> dict[str, float]:
    """Of a replay, what statistics and detection add to the rest."""
    spent_s = 0.0

    def timed(step: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            nonlocal spent_s
            started = time.process_time()
            step(*arguments)
            spent_s += time.process_time() - started

        return run

    for name in ("add", "finish"):
        setattr(Analysis, name, timed(getattr(Analysis, name)))
    started = time.process_time()
    result = hbids.replay(path, engine="native", collect=False)
    whole_s = time.process_time() - started
    return {"flows": result.totals["flows"], "cpu_s": whole_s, "added": spent_s / (whole_s - spent_s)}


def _in_a_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.stats", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=REPOSITORY)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    """Measure every part and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stats", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="heartbeats to simulate for each part")
    parser.add_argument("--dir", type=Path, default=Path("build/benchmarks"), help="where the captures are, or go")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--share", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part or args.share:
        print(json.dumps(_analyse(args.part, args.rows) if args.part else _share(args.share)))
        return
    print("| rows of | sources | endpoints | rows a second | times a copy of the rows | peak MB | alerts |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, (sources, endpoints) in PARTS.items():
        found = _in_a_process("--part", name, "--rows", str(args.rows))
        print(
            f"| {name} | {sources:,} | {endpoints:,} | {found['rows_a_second']:,.0f} | {found['times_a_copy']:.0f} "
            f"| {found['peak_mb']:.0f} | {found['alerts']:.0f} |",
            flush=True,
        )
    print("\n| capture | flows | replay, CPU s | added by statistics and detection |\n|---|---:|---:|---:|")
    for name in ("bulk", "short"):
        path = args.dir / f"{name}-1.pcap"
        make(CAPTURES[name], path)
        runs = [_in_a_process("--share", str(path.resolve())) for _ in range(5)]
        middle = sorted(runs, key=lambda run: run["added"])[len(runs) // 2]
        print(f"| {name} | {middle['flows']:,.0f} | {middle['cpu_s']:.3f} | {middle['added']:.1%} |", flush=True)


if __name__ == "__main__":
    main()
