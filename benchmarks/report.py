"""How the figures are shown: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import NATIVE, SAMPLES

if TYPE_CHECKING:
    from benchmarks.figures import Figure, Results
    from benchmarks.measure import Cost

__all__ = ["print_tables", "write_json"]


def print_tables(results: Results, figures: list[Figure]) -> None:
    """What each program cost on each capture, then the figures with their aims."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, content in results.contents.items():
        console.print(f"{name}: {content.bytes:,} bytes, {content.packets:,} packets, {content.flows:,} connections")
    costs = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in ("capture", "program"):
        costs.add_column(column, no_wrap=True)
    for column in ("CPU s", "reading", "ns/packet", "ratio", "wall s", "MB"):
        costs.add_column(column, justify="right", no_wrap=True)
    for program, starts in results.starts().items():
        costs.add_row("small", program, *_whole(starts), "", "", "", *_beside(starts))
    for capture, programs in results.rounds.items():
        costs.add_section()
        for program, rounds in programs.items():
            runs = [one.whole for one in rounds]
            costs.add_row(capture, program, *_whole(runs), *_reading(results, capture, program), *_beside(runs))
    console.print(costs)
    console.print(
        f"Medians on {os.cpu_count()} cores. CPU s and MB (peak memory) are of whole processes; reading is CPU s less "
        "those for small in the same round, also by packet, and as a multiple of native's reading (samples: "
        "by packet, of native's on the whole capture); - where it is too little to tell.\n"
    )

    aims = Table("figure", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("measured", "aim", "met"):
        aims.add_column(column, justify="right", no_wrap=True)
    for figure in figures:
        aims.add_row(
            figure.name,
            "too little to tell" if figure.value is None else f"{figure.value:,.2f} {figure.unit}",
            _aim(figure),
            {True: "yes", False: "no", None: ""}[figure.met],
        )
    console.print(aims)


def write_json(path: Path, versions: dict[str, str], results: Results, figures: list[Figure]) -> None:
    """Everything measured, with every single run."""
    report = {
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "programs": versions,
        "captures": {
            name: {**asdict(content), "path": Path(content.path).name} for name, content in results.contents.items()
        },
        "rounds": {
            capture: {program: [asdict(one) for one in rounds] for program, rounds in programs.items()}
            for capture, programs in results.rounds.items()
        },
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


def _whole(runs: list[Cost]) -> list[str]:
    return [f"{median(run.cpu_s for run in runs):.3f}"]


def _reading(results: Results, capture: str, program: str) -> list[str]:
    nanoseconds = results.reading_ns_a_packet(capture, program)
    sampled = capture in SAMPLES
    ratio = results.sample_ratio(capture, program) if sampled else results.reading_ratio(capture, program, NATIVE)
    return [
        "-" if nanoseconds is None else f"{nanoseconds * results.contents[capture].packets / 1e9:.3f}",
        "-" if nanoseconds is None else f"{nanoseconds:,.0f}",
        "-" if ratio is None else f"{ratio:.2f}",
    ]


def _beside(runs: list[Cost]) -> list[str]:
    return [f"{median(run.wall_s for run in runs):.2f}", f"{median(run.peak_rss_bytes for run in runs) / 1e6:.0f}"]


def _aim(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"<= {figure.at_most:g}"
    return "" if figure.at_least is None else f">= {figure.at_least:g}"
