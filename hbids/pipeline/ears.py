"""What listeners listen with: the native engine's rings, or whatever else brings frames."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from hbids.pipeline.listener import share_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hbids.capture.live import Tap
    from hbids.config import Limits
    from hbids.decode.native import NativeEngine
    from hbids.facts import Facts

__all__ = ["RingEars", "open_rings"]

_LONGEST_WAIT_MS = 200
"""A quiet interface wakes us so often, to let time go on."""

_MOST_MS = 20
"""On a busy one, facts are handed over so often."""


class RingEars:
    """Frames decoded where the kernel puts them."""

    def __init__(
        self, engine: NativeEngine, taps: dict[str, Tap], shares: dict[str, tuple[int | None, int] | None]
    ) -> None:
        """Open the taps, by interface. Raises OSError."""
        from hbids import _native

        self._engine = engine
        self._taps = _native.Taps()
        self._names = list(taps)
        self.groups = {name: self._taps.open(tap, shares[name]) for name, tap in taps.items()}
        """What other ears must join to share an interface's frames."""

    def start(self) -> None:
        """Hear, from now on."""
        self._taps.start()

    def step(self) -> Facts:
        """What was heard since the last call."""
        return self._engine.watch(self._taps, _LONGEST_WAIT_MS, _MOST_MS)

    def finish(self) -> Iterator[Facts]:
        """End every flow."""
        return self._engine.finish()

    def decoder_counters(self) -> dict[str, int]:
        """Totals of the decoder so far."""
        return self._engine.counters()

    def interface_counters(self) -> dict[str, dict[str, int]]:
        """Totals of each interface so far."""
        return dict(zip(self._names, map(dict, self._taps.counters()), strict=True))


def open_rings(taps: dict[str, Tap], limits: Limits, workers: int) -> list[RingEars]:
    """Ears for so many workers, who share the frames of each interface by one rule: all of a flow goes to one of them,
    from whatever interface. Raises OSError."""
    from hbids.decode.native import NativeEngine

    multiplier = secrets.randbits(32) | 1
    ears: list[RingEars] = []
    for number in range(workers):
        groups = ears[0].groups if ears else dict.fromkeys(taps)
        shares = {name: (group, multiplier) if workers > 1 else None for name, group in groups.items()}
        ears.append(RingEars(NativeEngine(share_of(limits, workers), number), taps, shares))
    return ears
