"""``python -m benchmarks.sidecar``: how fast `hbids sidecar` reads EVE lines, beside `wc -l` and `jq` in the same run,
and that a longer log takes no more memory.

The three take turns; the ratios are those of CPU time, the medians of all rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.eve_log import write_log
from benchmarks.measure import Cost, Failed, run

__all__: list[str] = []

LOG_BYTES, QUICK_BYTES = 1 << 30, 1 << 26
PART = 8
"""The shorter log is so much shorter."""
MOST_GROWTH = 0.1


def main() -> int:
    """Write the log, let them read it, print what it took; 1 when a program is missing, failed or was wrong, or memory
    grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar", description=__doc__)
    parser.add_argument("captures", type=Path, nargs="*", help="what Suricata writes about, instead of made traffic")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="rounds")
    parser.add_argument("--quick", action="store_true", help="a small log, to see that it works")
    args = parser.parse_args()
    missing = [name for name in ("suricata", "jq", "wc") if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        log, part, summary = Path(folder, "log.json"), Path(folder, "part.json"), Path(folder, "summary.json")
        size = QUICK_BYTES if args.quick else LOG_BYTES
        write_log(log, size, args.captures)
        write_log(part, size // PART, args.captures)
        commands = {
            "hbids sidecar": _sidecar(log, summary),
            "wc -l": ["wc", "-l", str(log)],
            "jq": ["jq", "-c", 'select(.event_type=="flow")', str(log)],
        }
        try:
            before = run(_sidecar(part, summary)).peak_rss_bytes
            costs = [{name: run(command) for name, command in commands.items()} for _ in range(args.runs)]
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        found = json.loads(summary.read_text())
    if [endpoint["verdict"] for endpoint in found["endpoints"]] not in (["leaked"], ["harvested"]):
        print(f"the attacks in the log were not found: {found['endpoints']}", file=sys.stderr)
        return 1
    _print_speed(found["eve"], costs)
    peak = statistics.median(round_["hbids sidecar"].peak_rss_bytes for round_ in costs)
    print(
        f"peak memory of hbids: {before / 1e6:,.0f} MB over an eighth of the log, {peak / 1e6:,.0f} MB over all of it"
    )
    return int(peak > before * (1 + MOST_GROWTH))


def _sidecar(log: Path, summary: Path) -> list[str]:
    return [sys.executable, "-m", "hbids", "sidecar", "--once", "--summary", str(summary), str(log)]


def _print_speed(read: dict[str, Any], costs: list[dict[str, Cost]]) -> None:
    of_tls = read["events"]["tls"] + read["events"]["flow"]
    print(f"{read['lines']:,} lines, {read['bytes'] / 1e6:,.0f} MB, {of_tls / read['lines']:.0%} of them about TLS")
    cpu_s = {name: statistics.median(round_[name].cpu_s for round_ in costs) for name in costs[0]}
    for name, taken in cpu_s.items():
        speed = f"{read['lines'] / taken:12,.0f} lines/s {read['bytes'] / taken / 1e6:8,.0f} MB/s"
        print(f"{name:15} {speed} {taken / cpu_s['hbids sidecar']:8.2f} x the time of hbids")


if __name__ == "__main__":
    sys.exit(main())
