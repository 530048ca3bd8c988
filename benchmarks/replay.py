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
from benchmarks.figures import NATIVE, SAMPLES, Results, Round, figures
from benchmarks.measure import REPOSITORY, Failed
from benchmarks.programs import DpktLoop, Hbids, Suricata, Tcpdump

if TYPE_CHECKING:
    from benchmarks.programs import Program

_QUICK_DIVISOR = 20
_READ_BYTES = 1 << 20


def main() -> int:
    """Make the captures, let the programs read them, print the figures; 1 when a program failed or was wrong."""
    args = _arguments()
    fast: list[Program] = [Hbids("native"), Tcpdump(), Suricata()]
    slow: list[Program] = [Hbids("reference"), DpktLoop()]
    versions = {program.name: version for program in (*fast, *slow) if (version := program.version())}
    for program in (*fast, *slow):
        if program.name not in versions:
            print(f"{program.name} is not installed and left out", file=sys.stderr)
    if NATIVE not in versions:
        return 1
    contents = _captures(args.dir, quick=args.quick)
    results = Results(contents)
    try:
        _measure(results, ["bulk", "short"], [program for program in fast if program.name in versions], args.runs)
        _measure(results, list(SAMPLES), [program for program in slow if program.name in versions], args.slow_runs)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    found = figures(results)
    report.print_tables(results, found)
    if args.quick:
        print("Quick sizes: good for seeing that it works, the figures are those of the full sizes.")
    if args.json:
        report.write_json(args.json, versions, results, found)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path("build/benchmarks"), help="where the captures are, or go")
    parser.add_argument("--runs", type=_positive, default=5, metavar="N", help="rounds of the fast programs")
    parser.add_argument(
        "--slow-runs", type=_positive, default=3, metavar="N", help="rounds of the slow ones, on samples"
    )
    parser.add_argument("--quick", action="store_true", help="captures of a twentieth of the size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} rounds measure nothing: give at least 1")
    return number


def _captures(folder: Path, *, quick: bool) -> dict[str, Content]:
    sizes = ["--divisor", str(_QUICK_DIVISOR), "--sample-divisor", "1"] if quick else []
    command = [sys.executable, "-m", "benchmarks.captures", str(folder.resolve()), *sizes]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=REPOSITORY)
    return {name: Content(**content) for name, content in json.loads(made.stdout).items()}


def _measure(results: Results, captures: list[str], programs: list[Program], rounds: int) -> None:
    small = results.contents["small"]
    for name in captures:
        capture = results.contents[name]
        with Path(capture.path).open("rb", buffering=0) as file:  # into the page cache
            while file.read(_READ_BYTES):
                pass
        for number in range(1, rounds + 1):
            for program in programs:
                print(f"{name}, round {number} of {rounds}: {program.name}", file=sys.stderr)
                results.add(name, program.name, Round(start=program.read(small), whole=program.read(capture)))


if __name__ == "__main__":
    sys.exit(main())
