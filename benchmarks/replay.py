"""``python -m benchmarks.replay``: what reading captures costs hbids, as ratios to other programs in the same run.

Programs take turns, A B C A B C, so that a slow minute of the machine meets them all; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.content import Content
from benchmarks.figures import NATIVE, Results, figures
from benchmarks.measure import REPOSITORY, Failed
from benchmarks.programs import DpktLoop, Hbids, Suricata, Tcpdump

if TYPE_CHECKING:
    from benchmarks.programs import Program

_QUICK_DIVISOR = 20
_READ_BYTES = 1 << 20


def main() -> int:
    """Make the captures, let the programs read them, print the figures; 1 when a program failed or was wrong."""
    args = _arguments()
    programs: list[Program] = [Hbids("native"), Tcpdump(), Suricata(), Hbids("reference"), DpktLoop()]
    versions = {program.name: version for program in programs if (version := program.version())}
    for program in programs:
        if program.name not in versions:
            print(f"{program.name} is not installed and left out", file=sys.stderr)
    if NATIVE not in versions:
        return 1
    contents = _captures(args.dir, quick=args.quick)
    present = [program for program in programs if program.name in versions]
    fast = [program for program in present if not isinstance(program, DpktLoop) and program.name != "hbids reference"]
    slow = [program for program in present if program.name == NATIVE or program not in fast]
    results = Results()
    try:
        _measure(results, contents, ["small"], present, args.runs)
        _measure(results, contents, ["bulk", "short"], fast, args.runs)
        _measure(results, contents, ["bulk-sample", "short-sample"], slow, args.slow_runs)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    found = figures(results, contents["short"].flows)
    report.print_tables(contents, results, found)
    if args.quick:
        print("Quick sizes: good for seeing that it works, the figures are those of the full sizes.")
    if args.json:
        report.write_json(args.json, versions, contents, results, found)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path("build/benchmarks"), help="where the captures are, or go")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="rounds of the fast programs")
    parser.add_argument("--slow-runs", type=int, default=3, metavar="N", help="rounds of the slow ones, on samples")
    parser.add_argument("--quick", action="store_true", help="captures of a twentieth of the size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    return parser.parse_args()


def _captures(folder: Path, *, quick: bool) -> dict[str, Content]:
    sizes = ["--divisor", str(_QUICK_DIVISOR), "--sample-divisor", "1"] if quick else []
    command = [sys.executable, "-m", "benchmarks.captures", str(folder.resolve()), *sizes]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=REPOSITORY)
    return {name: Content(**content) for name, content in json.loads(made.stdout).items()}


def _measure(
    results: Results, contents: dict[str, Content], captures: list[str], programs: list[Program], rounds: int
) -> None:
    for capture in captures:
        with Path(contents[capture].path).open("rb", buffering=0) as file:  # into the page cache
            while file.read(_READ_BYTES):
                pass
        for number in range(1, rounds + 1):
            for program in programs:
                print(f"{capture}, round {number} of {rounds}: {program.name}", file=sys.stderr)
                results.add(capture, program.name, program.read(contents[capture]))


if __name__ == "__main__":
    sys.exit(main())
