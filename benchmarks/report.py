"""How the figures are shown: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import NATIVE

if TYPE_CHECKING:
    from benchmarks.content import Content
    from benchmarks.figures import Figure, Results

__all__ = ["print_tables", "write_json"]


def print_tables(contents: dict[str, Content], results: Results, figures: list[Figure]) -> None:
    """What each program cost on each capture, then the figures with their aims."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, content in contents.items():
        console.print(f"{name}: {content.bytes:,} bytes, {content.packets:,} packets, {content.flows:,} connections")
    costs = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in ("capture", "program"):
        costs.add_column(column, no_wrap=True)
    for column in ("CPU s", "reading", "ns/packet", "x native", "wall s", "MB"):
        costs.add_column(column, justify="right", no_wrap=True)
    for capture, programs in results.costs.items():
        costs.add_section()
        for program, runs in programs.items():
            reading_s = median(results.reading_cpu_s(capture, program))
            ratio = results.reading_ratio(capture, program, NATIVE)
            packets = contents[capture].packets
            costs.add_row(
                capture,
                program,
                f"{results.cpu_s(capture, program):.3f}",
                "-" if ratio is None else f"{reading_s:.3f}",
                "-" if ratio is None else f"{reading_s / packets * 1e9:,.0f}",
                "-" if ratio is None else f"{ratio:.2f}",
                f"{median(run.wall_s for run in runs):.2f}",
                f"{results.peak_rss_bytes(capture, program) / 1e6:.0f}",
            )
    console.print(costs)
    console.print(
        f"Medians on {os.cpu_count()} cores. CPU s and MB (peak memory) are of whole processes; reading is CPU s less "
        "those for the small capture, also by packet and as a multiple of native's, - where it is too little to tell.\n"
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


def write_json(
    path: Path, versions: dict[str, str], contents: dict[str, Content], results: Results, figures: list[Figure]
) -> None:
    """Everything measured, with every single run."""
    report = {
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "programs": versions,
        "captures": {name: {**asdict(content), "path": Path(content.path).name} for name, content in contents.items()},
        "runs": {
            capture: {program: [asdict(run) for run in runs] for program, runs in programs.items()}
            for capture, programs in results.costs.items()
        },
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


def _aim(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"<= {figure.at_most:g}"
    return "" if figure.at_least is None else f">= {figure.at_least:g}"
