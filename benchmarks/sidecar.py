"""``python -m benchmarks.sidecar``: how fast `hbids sidecar` reads EVE lines, beside `wc -l` and `jq` in the same run.

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

from benchmarks.eve_log import write_log
from benchmarks.measure import Failed, run

__all__: list[str] = []

LINES, QUICK_LINES = 1_000_000, 50_000


def main() -> int:
    """Write the log, let them read it, print what it took; 1 when a program is missing, failed or was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="rounds")
    parser.add_argument("--quick", action="store_true", help="a small log, to see that it works")
    args = parser.parse_args()
    missing = [name for name in ("suricata", "jq", "wc") if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        log, summary = Path(folder, "log.json"), Path(folder, "summary.json")
        write_log(log, QUICK_LINES if args.quick else LINES)
        sidecar = [sys.executable, "-m", "hbids", "sidecar", "--once", "--summary", str(summary), str(log)]
        commands = {
            "hbids sidecar": sidecar,
            "wc -l": ["wc", "-l", str(log)],
            "jq": ["jq", "-c", 'select(.event_type=="flow")', str(log)],
        }
        cpu_s: dict[str, list[float]] = {name: [] for name in commands}
        try:
            for _ in range(args.runs):
                for name, command in commands.items():
                    cpu_s[name].append(run(command).cpu_s)
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        found = json.loads(summary.read_text())
        size = log.stat().st_size
    if [endpoint["verdict"] for endpoint in found["endpoints"]] not in (["leaked"], ["harvested"]):
        print(f"the attacks in the log were not found: {found['endpoints']}", file=sys.stderr)
        return 1
    print(f"{found['eve']['lines']:,} lines, {size >> 20:,} MiB")
    ours = statistics.median(cpu_s["hbids sidecar"])
    for name, taken in cpu_s.items():
        middle = statistics.median(taken)
        print(f"{name:15} {found['eve']['lines'] / middle:12,.0f} lines/s {middle / ours:8.2f} x the time of hbids")
    return 0


if __name__ == "__main__":
    sys.exit(main())
