"""Captures as they are and damaged ones: packets lost, twice, in another order, cut, changed, at other times."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from hbids.capture import open_capture
from hbids.config import Limits
from hbids.facts import FrameBatch
from tests.conftest import PCAPS, REPOSITORY
from tests.support.conversation import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hbids.facts import Rows

SMALL_BYTES = 130_000
"""Captures beyond it make the reference engine slow, and hold nothing that smaller ones lack."""

CORPUS = REPOSITORY.parent / "shared" / "corpus"


@cache
def _captures() -> dict[str, Path]:
    """The shipped captures, and those beside the repository if they are there."""
    found = {path.name: path for path in PCAPS.glob("*.pcap*")}
    if (CORPUS / "labels.json").exists():
        found |= {name: CORPUS / name for name in json.loads((CORPUS / "labels.json").read_text())}
    return {name: found[name] for name in sorted(found) if found[name].stat().st_size <= SMALL_BYTES}


def small_captures() -> list[Path]:
    """Where they are."""
    return list(_captures().values())


@cache
def batch_from(path: Path) -> FrameBatch:
    """A small capture as one batch."""
    (batch,) = open_capture(str(path), native=False).batches()
    return batch


TINY_LIMITS = (
    Limits(),
    Limits(flows=1),
    Limits(flows=3, closed_timeout_ns=1, opening_timeout_ns=1, plain_timeout_ns=1, tls_timeout_ns=1),
    Limits(out_of_order_bytes=2_000, hole_acked_wait_ns=1, hole_wait_ns=1_000_000, pending_requests=1),
    Limits(out_of_order_bytes_total=3_000, pending_wait_ns=1, answer_wait_ns=1, held_heartbeats=1),
    Limits(search_bytes=100, hello_bytes=200, tls_timeout_ns=SECOND_NS, checkpoint_ns=SECOND_NS // 1_000),
    Limits(state_bytes_total=2_000),
)
limits = st.sampled_from(TINY_LIMITS)


class Damage(NamedTuple):
    """One thing that happens to a capture. The numbers are reduced to what is there when it does."""

    what: str
    place: int
    """Which packet."""
    amount: int
    """How much, where to, or which byte."""
    value: int


class Damaged(NamedTuple):
    """A capture and what happens to it."""

    name: str
    damages: list[Damage]

    def batch(self) -> FrameBatch:
        """What is left."""
        return after(batch_from(_captures()[self.name]), self.damages)


DAMAGES = ("lose", "repeat", "swap", "reverse", "cut", "flip", "retime")


def after(whole: FrameBatch, damages: Iterable[Damage]) -> FrameBatch:
    """What is left of a batch to which all this happens."""
    data, rows = bytearray(whole.data), whole.frames.copy()
    order = list(range(len(rows)))
    for damage in damages:
        if order:
            _suffer(damage, data, rows, order)
    return FrameBatch(bytes(data), rows[order])


def _suffer(damage: Damage, data: bytearray, rows: Rows, order: list[int]) -> None:
    what, place, amount, value = damage
    place %= len(order)
    row = rows[order[place]]
    captured = int(row["captured_bytes"])
    if what == "lose":
        del order[place : place + 1 + amount % 40]
    elif what == "repeat":
        order.insert(amount % len(order), order[place])
    elif what == "swap":
        other = amount % len(order)
        order[place], order[other] = order[other], order[place]
    elif what == "reverse":
        order[place : place + 2 + amount % 8] = order[place : place + 2 + amount % 8][::-1]
    elif what == "cut":
        row["captured_bytes"] = amount % (captured + 1)
    elif what == "flip" and captured:
        data[int(row["offset"]) + amount % captured] = value & 0xFF
    elif what == "retime":
        somewhat = abs(value) < 10**15 and 0 <= row["time_ns"] < 1 << 62
        row["time_ns"] = row["time_ns"] + value if somewhat else value


_numbers = st.integers(0, 100_000)
_values = st.integers(0, 255) | st.integers(-(10**14), 10**14) | st.sampled_from([(1 << 63) - 1, -(1 << 63)])
_damages = st.builds(
    Damage,
    st.sampled_from(DAMAGES),
    _numbers,
    _numbers,
    _values,
)
damaged = st.builds(Damaged, st.sampled_from(sorted(_captures())), st.lists(_damages, max_size=8))
