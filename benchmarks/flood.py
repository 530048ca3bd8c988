"""``python -m benchmarks.flood``: what hbids holds, and what it still finds, under floods made against its limits.

Each flood has one plain attack in its middle, which must be found with every leaked byte; the counters must tell of the
flood and of nothing else. Beside each flood runs plain traffic of as many frames of the same lengths.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.attack import LEAKED_BYTES, SERVER
from benchmarks.figures import MEASURABLE_S
from benchmarks.flood_capture import flooded, plain
from benchmarks.floods import FLOODS
from benchmarks.frames import PCAP_HEADER
from benchmarks.measure import Failed
from benchmarks.watch import Watched, watch
from hbids.config import Limits
from hbids.decode.engine import native_available

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.floods import Flood

_SMALL_DIVISOR = 100
"""For the reference engine, and for a quick run. Limits are divided, too."""
_ATTACK_GAP_PACKETS = 2_000
"""At the floods' 100,000 packets a second, round trips of 20 ms."""
_SAMPLES = 10
_FLOW_BYTES, _ROWS_BYTES = 500, 60_000_000
"""What hbids/config.py says of a flow, and what rows and buffers on their way may take."""
_DIVIDED = ("flows", "state_bytes_total", "out_of_order_bytes_total", "fragment_bytes", "fragments")


@dataclass(frozen=True, slots=True)
class Result:
    """A flood and the plain traffic beside it."""

    flood: str
    engine: str
    divisor: int
    start: Watched
    """The program without packets."""
    plain: Watched
    flooded: Watched
    drops: dict[str, int]

    @property
    def ratio(self) -> float | None:
        """CPU a packet of the flood over that of plain traffic."""
        flooded, beside = self.ns_a_packet(self.flooded), self.ns_a_packet(self.plain)
        return None if flooded is None or beside is None else flooded / beside

    def ns_a_packet(self, run: Watched) -> float | None:
        """CPU without the program's start; None when that is too little to tell from noise."""
        reading_s = run.cpu_s - self.start.cpu_s
        return None if reading_s < MEASURABLE_S else reading_s / run.packets * 1e9

    @property
    def most_bytes(self) -> int:
        """What the limits allow, over what plain traffic takes."""
        flood, limits = FLOODS[self.flood], Limits()
        flows = min(flood.flows, limits.flows) if flood.reaches_flows else 0
        room = getattr(limits, flood.limit) if flood.limit.endswith(("_bytes", "_total")) else 0
        return (flows * _FLOW_BYTES + room) // self.divisor + _ROWS_BYTES

    @property
    def grown_bytes(self) -> int:
        """Peak memory over that of plain traffic."""
        return self.flooded.peak_rss_bytes - self.plain.peak_rss_bytes


def main() -> int:
    """Run the floods and print what they cost; 1 when an attack was lost, a counter wrong, or too much held."""
    args = _arguments()
    engines = [("native", _SMALL_DIVISOR if args.quick else 1)] if native_available() else []
    engines.append(("reference", _SMALL_DIVISOR))
    results = []
    try:
        for engine, divisor in engines:
            for name in args.flood or FLOODS:
                print(f"{name}: {engine}", file=sys.stderr)
                results.append(_run(name, engine, divisor))
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    _print(results)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    too_much = [result for result in results if result.engine == "native" and result.grown_bytes > result.most_bytes]
    for result in too_much:
        print(f"{result.flood}: held {result.grown_bytes:,} bytes, {result.most_bytes:,} are allowed", file=sys.stderr)
    return 1 if too_much else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="floods and limits of a hundredth of the size")
    parser.add_argument("--flood", action="append", choices=FLOODS, help="only this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    return parser.parse_args()


def _run(name: str, engine: str, divisor: int) -> Result:
    flood = FLOODS[name].divided(divisor)
    packets = flood.flows * flood.packets_a_flow
    samples = [packets * part // _SAMPLES for part in range(1, _SAMPLES + 1)]
    with tempfile.TemporaryDirectory() as folder:
        summary, config = Path(folder, "summary.json"), Path(folder, "config.yaml")
        limits = {limit: getattr(Limits(), limit) // divisor for limit in _DIVIDED}
        config.write_text(json.dumps({"limits": limits}))  # YAML, too
        command = [sys.executable, "-m", "hbids", "replay", "--engine", engine, "--config", str(config)]
        command += ["--summary", str(summary), "-"]
        start = watch(command, PCAP_HEADER, [], [])
        beside = watch(command, PCAP_HEADER, plain(flood), samples)
        gap_packets = max(1, _ATTACK_GAP_PACKETS // divisor)
        found = watch(command, PCAP_HEADER, flooded(flood, gap_packets), samples)
        drops = _checked(name, flood, json.loads(summary.read_text()), found)
    return Result(name, engine, divisor, start, beside, found, drops)


def _checked(name: str, flood: Flood, summary: dict[str, Any], found: Watched) -> dict[str, int]:
    """The counters; raises :class:`Failed` when the summary says anything but what was made."""
    drops: dict[str, int] = {counter: count for counter, count in summary["drops"].items() if count}
    leaks = [(entry["ip"], entry["leaked_bytes"]) for entry in summary["endpoints"] if entry["verdict"] == "leaked"]
    least_flows = 1 + flood.flows * flood.reaches_flows  # one that was evicted may come back as another
    wrong = [
        f"{what} {seen} instead of {wanted}"
        for what, seen, wanted in (
            ("packets", summary["packets"], found.packets),
            ("flows", min(summary["flows"], least_flows), least_flows),
            ("leaks", leaks, [(SERVER, LEAKED_BYTES)]),
            ("counters", sorted(drops), sorted(flood.counted)),
        )
        if seen != wanted
    ]
    if wrong:
        raise Failed(f"{name}: {'; '.join(wrong)}")
    return drops


def _print(results: Sequence[Result]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    costs = Table("flood", "engine", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("packets", "ns/packet", "plain", "ratio", "grew by MB", "allowed"):
        costs.add_column(column, justify="right", no_wrap=True)
    memory = Table("flood", "engine", box=box.SIMPLE_HEAD, pad_edge=False)
    for part in range(1, _SAMPLES + 1):
        memory.add_column(f"{100 * part // _SAMPLES}%", justify="right", no_wrap=True)
    for result in results:
        costs.add_row(
            result.flood,
            result.engine,
            f"{result.flooded.packets:,}",
            *(_shown(result.ns_a_packet(run), ",.0f") for run in (result.flooded, result.plain)),
            _shown(result.ratio, ".1f"),
            f"{result.grown_bytes / 1e6:,.0f}",
            f"{result.most_bytes / 1e6:,.0f}" if result.engine == "native" else "",
        )
        memory.add_row(result.flood, result.engine, *(f"{rss / 1e6:,.0f}" for _, rss in result.flooded.curve))
    console.print(costs, memory)
    console.print("ns/packet is CPU without the program's start; the second table is resident memory in MB.\n")
    for result in results:
        counted = ", ".join(f"{counter} {count:,}" for counter, count in result.drops.items())
        console.print(f"{result.flood}, {result.engine}: {counted}")


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


if __name__ == "__main__":
    sys.exit(main())
