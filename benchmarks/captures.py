"""The captures the benchmarks read. ``python -m benchmarks.captures DIR`` makes those that are not there yet.

It prints what each holds as JSON. Making them needs a process of its own: Linux counts a parent's memory into the peak
of the children it starts, so whoever measures children must stay small.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import conversation
from benchmarks.content import Content
from benchmarks.frames import PCAP_HEADER, Connections, record_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.conversation import Packet

__all__ = ["CAPTURES", "Recipe", "make"]

_SEED = 20140407  # the day Heartbleed was told
_SHAKING_HANDS = 1_000
"""Connections in their handshake at once: what 20,000 new ones a second at 50 ms each come to."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a capture is made: the connections shake hands some at a time; once all are up, they hold the rest of the
    conversation all at once, packet by packet in turn, and none ends before the last began."""

    connections: int
    conversation: Callable[[], list[Packet]]

    def divided(self, divisor: int) -> Recipe:
        """The same with fewer connections."""
        return Recipe(max(1, self.connections // divisor), self.conversation)


CAPTURES = {
    "bulk": Recipe(2_000, lambda: conversation.bulk(records=29)),
    "short": Recipe(110_000, conversation.short),
    "small": Recipe(20, lambda: conversation.bulk(records=3)),
}
"""1 GB of full frames, 2 million packets in connections that are all alive at once, and 1 MB."""


def make(recipe: Recipe, path: Path) -> Content:
    """Write the capture unless a file of the right size is there."""
    packets = recipe.conversation()
    per_connection = sum(map(record_bytes, packets))
    size = len(PCAP_HEADER) + per_connection * recipe.connections
    if not path.exists() or path.stat().st_size != size:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        connections = Connections(recipe.connections, np.random.default_rng(_SEED))
        everybody = range(recipe.connections)
        opening = len(conversation.handshake())
        with unfinished.open("wb") as file:
            file.write(PCAP_HEADER)
            for start in everybody[::_SHAKING_HANDS]:
                for packet in packets[:opening]:
                    file.write(connections.exchange(packet, everybody[start : start + _SHAKING_HANDS]).data)
            for packet in packets[opening:]:
                file.write(connections.exchange(packet, everybody).data)
        unfinished.rename(path)
    return Content(
        path=str(path),
        packets=len(packets) * recipe.connections,
        bytes=(per_connection - 16 * len(packets)) * recipe.connections,
        flows=recipe.connections,
    )


def main() -> None:
    """Make the captures and print what they hold, by name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--divisor", type=int, default=1, help="make bulk and short this much smaller")
    parser.add_argument("--sample-divisor", type=int, default=10, help="and these parts of them for slow programs")
    args = parser.parse_args()
    contents = {"small": make(CAPTURES["small"], args.dir / "small.pcap")}
    for name in ("bulk", "short"):
        for label, divisor in ((name, args.divisor), (f"{name}-sample", args.divisor * args.sample_divisor)):
            contents[label] = make(CAPTURES[name].divided(divisor), args.dir / f"{name}-{divisor}.pcap")
    print(json.dumps({label: asdict(content) for label, content in contents.items()}))


if __name__ == "__main__":
    main()
