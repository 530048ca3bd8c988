"""``python -m benchmarks.live``: what sniffing costs hbids beside Suricata on one wire, and how soon an alert is out.

A veth pair in a network namespace of its own is the wire; tcpreplay sends into one end, a program listens at the other.
They share the machine's cores, so what counts is the CPU time of the listener. Needs root, tcpreplay, and Suricata to
compare with.

Rates are stepped up, for 3 s each, whether or not a program drops; the programs take turns. CPU times are compared at
the highest rate that both took without a drop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.alarm import latencies_ms
from benchmarks.listeners import HbidsListener, Listener, SuricataListener
from benchmarks.measure import Failed
from benchmarks.wire import Wire, open_wire

_LEAKS = 300
"""Alerts whose way is measured."""

_RATES_MBIT = (250, 500, 1_000, 2_000, 3_000, 4_000, 0)
"""Offered; 0 is as fast as tcpreplay can."""

_STEP_S = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """A capture sent again and again."""

    path: Path
    bytes: int
    packets: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a program made of a rate."""

    sent_mbit_s: float
    sent_packets_s: float
    lost: float
    """Part of the packets."""
    cpu_s_per_gbit: float
    cpu_us_per_packet: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dir", type=Path, default=Path("build/benchmarks"), help="where the captures are, or go")
    parser.add_argument("--quick", action="store_true", help="two rates only: good for seeing that it works")
    args = parser.parse_args()
    try:
        loads = _loads(args.dir)
        with open_wire() as wire:
            _print_latency(wire)
            listeners: list[Listener] = [HbidsListener(1), HbidsListener(2), SuricataListener()]
            for name, load in loads.items():
                _print_rates(wire, name, load, listeners, _RATES_MBIT[1::5] if args.quick else _RATES_MBIT)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _loads(folder: Path) -> dict[str, Load]:
    command = [sys.executable, "-m", "benchmarks.captures", str(folder), "--divisor", "4"]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        name: Load(Path(made[name]["path"]), made[name]["bytes"], made[name]["packets"]) for name in ("bulk", "short")
    }


def _print_latency(wire: Wire) -> None:
    """From the time a packet has until its alert can be read from a pipe."""
    taken = latencies_ms(wire, _LEAKS)
    quantiles = statistics.quantiles(taken, n=100)
    median, late = quantiles[49], quantiles[98]
    print(f"From packet to alert, {len(taken)} alerts: median {median:.1f} ms, 99th percentile {late:.1f} ms\n")


def _print_rates(wire: Wire, name: str, load: Load, listeners: list[Listener], rates: tuple[int, ...]) -> None:
    print(f"{name}: packets of {load.bytes // load.packets} bytes on average")
    print("   offered  program            Mbit/s  packets/s     lost  CPU s/Gbit  us/packet")
    costs: dict[str, list[float]] = {}
    best: dict[str, float] = {}
    for rate in rates:
        for listener in listeners:
            step = _step(wire, load, listener, rate)
            offered = f"{rate:,}" if rate else "top"
            print(
                f"{offered:>10}  {listener.name:<16} {step.sent_mbit_s:>8,.0f} {step.sent_packets_s:>10,.0f} "
                f"{step.lost:>8.3%} {step.cpu_s_per_gbit:>11.3f} {step.cpu_us_per_packet:>10.3f}"
            )
            if not step.lost:
                best[listener.name] = max(best.get(listener.name, 0.0), step.sent_mbit_s)
                costs.setdefault(listener.name, []).append(step.cpu_s_per_gbit)
    first, *others = (listener.name for listener in listeners)
    for other in others:
        if costs.get(first) and costs.get(other):
            shared = min(len(costs[first]), len(costs[other]))
            ratio = costs[other][shared - 1] / costs[first][shared - 1]
            print(f"{other}: {ratio:.2f} times the CPU of {first} at the highest rate both took whole; ", end="")
            print(f"{best[other]:,.0f} against {best[first]:,.0f} Mbit/s without a drop")
    print()


def _step(wire: Wire, load: Load, listener: Listener, rate_mbit: int) -> Step:
    with tempfile.TemporaryDirectory() as folder, listener.listening(wire, Path(folder)) as process:
        cpu_before_s = process.cpu_s()
        sent = wire.send(load.path, rate_mbit, _STEP_S)
        time.sleep(1.0)
        cpu_s = process.cpu_s() - cpu_before_s
        counted = process.stop()
    missing = max(sent.packets - counted.packets, counted.drops)
    gbit = sent.bytes * 8 / 1e9
    return Step(
        sent.bytes * 8 / 1e6 / sent.seconds,
        sent.packets / sent.seconds,
        missing / sent.packets,
        cpu_s / gbit,
        cpu_s * 1e6 / sent.packets,
    )


if __name__ == "__main__":
    sys.exit(main())
