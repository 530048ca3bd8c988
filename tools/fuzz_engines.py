"""``python -m tools.fuzz_engines DIR...``: damaged captures through both engines, which must give the same.

DIR holds captures to begin with; tools/fuzz.sh makes some of what the fuzz targets found. Each run takes the frames of
one capture or of two mixed, damages them, and compares all rows and counters under one of several limits. A difference
is made small and written to ``--findings`` as a capture; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hbids.capture import open_capture
from hbids.config import Limits
from hbids.decode.engine import open_engine
from hbids.facts import Facts, FrameBatch
from tests.capture.build import Frame
from tests.support.conversation import write_pcap
from tests.support.decoding import TABLES, all_facts, differences
from tests.support.mutation import DAMAGES, TINY_LIMITS, Damage, after

MOST_FRAMES = 120
"""Of one capture, so that a run is short."""
MOST_DAMAGES = 6
REPORT_S = 60


class Outcome(NamedTuple):
    """What an engine made of some frames."""

    facts: Facts
    counters: dict[str, int]
    """Those that are not zero."""
    failure: str = ""


def outcome(engine_name: str, batch: FrameBatch, limits: Limits) -> Outcome:
    """Run one engine."""
    engine = open_engine(engine_name, limits)
    try:
        facts = all_facts(engine, [batch])
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        return Outcome(Facts.empty(), {}, repr(error))
    return Outcome(facts, {name: count for name, count in engine.counters().items() if count})


def differing(batch: FrameBatch, limits: Limits) -> list[str]:
    """In what the engines differ, or how one failed; a line each."""
    native, reference = (outcome(name, batch, limits) for name in ("native", "reference"))
    found = [f"failure: {which.failure}" for which in (native, reference) if which.failure]
    for table in TABLES:
        lines = differences(getattr(native.facts, table), getattr(reference.facts, table))
        found += [f"{table}: {line}" for line in lines]
    if native.counters != reference.counters:
        found.append(f"counters: {native.counters} and {reference.counters}")
    return found


def load(folders: list[Path]) -> list[FrameBatch]:
    """The first frames of every capture."""
    paths = sorted(path for folder in folders for path in folder.iterdir())
    found = []
    for path in paths:
        batch = next(open_capture(str(path), native=True).batches(), None)
        if batch is not None:
            found.append(FrameBatch(batch.data, batch.frames[:MOST_FRAMES]))
    return found


def mixed(dice: random.Random, one: FrameBatch, other: FrameBatch) -> FrameBatch:
    """The frames of both, each in its order."""
    rows = other.frames.copy()
    rows["offset"] += len(one.data)
    rows = np.concatenate([one.frames, rows])
    turns = [0] * len(one.frames) + [1] * len(other.frames)
    dice.shuffle(turns)
    return FrameBatch(one.data + other.data, rows[np.argsort(np.argsort(turns, kind="stable"), kind="stable")])


def drawn(dice: random.Random, captures: list[FrameBatch]) -> FrameBatch:
    """One run's frames."""
    batch = dice.choice(captures)
    if dice.random() < 0.3:
        batch = mixed(dice, batch, dice.choice(captures))
    values: list[Callable[[], int]] = [
        lambda: dice.randrange(256),
        lambda: dice.randrange(-(10**10), 10**11),
        lambda: dice.choice([(1 << 63) - 1, -(1 << 63)]),
    ]
    damages = [
        Damage(dice.choice(DAMAGES), dice.randrange(100_000), dice.randrange(100_000), dice.choice(values)())
        for _ in range(dice.randrange(MOST_DAMAGES + 1))
    ]
    return after(batch, damages)


def smallest(batch: FrameBatch, limits: Limits) -> FrameBatch:
    """As few of the frames as still differ."""
    step = max(1, len(batch.frames) // 2)
    while True:
        at = 0
        while at < len(batch.frames):
            fewer = FrameBatch(batch.data, np.delete(batch.frames, slice(at, at + step)))
            if differing(fewer, limits):
                batch = fewer
            else:
                at += step
        if step == 1:
            return batch
        step //= 2


def report(batch: FrameBatch, limits: Limits, folder: Path) -> None:
    """Make the finding small, write it and tell about it."""
    batch = smallest(batch, limits)
    frames = [
        Frame(time_ns, bytes(batch.data[offset : offset + captured]), wire, link_type)
        for time_ns, offset, captured, wire, link_type, _ in batch.frames.tolist()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = write_pcap(folder / f"difference-{time.time_ns()}.pcap", frames)
    standard = asdict(Limits())
    changed = {name: value for name, value in asdict(limits).items() if value != standard[name]}
    print(f"{path}: {len(frames)} frames, limits {changed or 'as usual'}", *differing(batch, limits), sep="\n    ")


def main() -> int:
    """See the module's documentation."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz_engines", description=__doc__)
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("rust/fuzz/artifacts/engines"))
    args = parser.parse_args()
    captures, dice = load(args.dirs), random.Random(args.seed)  # noqa: S311  data, not secrets
    began, told, runs, findings = time.monotonic(), 0.0, 0, 0
    while (passed_s := time.monotonic() - began) < args.seconds:
        batch, limits = drawn(dice, captures), dice.choice(TINY_LIMITS)
        if differing(batch, limits):
            report(batch, limits, args.findings)
            findings += 1
        runs += 1
        if passed_s - told > REPORT_S:
            told = passed_s
            print(f"{runs} runs in {passed_s:.0f} s", flush=True)
    print(f"engines: {runs} runs on {len(captures)} captures, seed {args.seed}, {findings} differences")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
