"""Live frames through scapy: for systems without AF_PACKET, and for the reference engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hbids.capture.live.interface import CannotListen
from hbids.capture.split import ROW
from hbids.facts import FRAME_DTYPE, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LACKS", "PortableSource"]

LACKS = (
    "captures through scapy: a few thousand packets a second, times in microseconds, one worker, no hardware times; "
    "what the kernel drops is not counted"
)

_MOST_FRAMES = 1_000
"""In a batch: as many as come while the one before is decoded, on the reference engine."""

_LINK_ETHERNET = 1


class PortableSource:
    """Frames of some interfaces, as they come."""

    def __init__(
        self, interfaces: Iterable[str], *, filter_text: str | None, promiscuous: bool, snap_bytes: int
    ) -> None:
        """Raises CannotListen."""
        # set up conf for this system and the link layers
        import scapy.arch
        import scapy.layers.inet
        import scapy.layers.l2  # noqa: F401
        from scapy.config import conf
        from scapy.error import Scapy_Exception

        self._conf = conf
        self._snap_bytes = snap_bytes
        self._sockets: dict[Any, str] = {}
        for name in interfaces:
            try:
                options: dict[str, Any] = {"iface": name, "promisc": promiscuous, "filter": filter_text}
                self._sockets[conf.L2listen(**options)] = name
            except (OSError, Scapy_Exception) as error:
                raise CannotListen(f"{name}: scapy cannot listen to it: {error}") from error
        self.counters = {name: dict.fromkeys(("frames", "bytes"), 0) for name in self._sockets.values()}

    def next_batch(self, longest_wait_s: float) -> FrameBatch:
        """What has come, waiting for it so long; it may be nothing. Raises OSError when an interface fails."""
        pieces: list[bytes] = []
        rows: list[bytes] = []
        at = 0
        sockets = list(self._sockets)
        while len(rows) < _MOST_FRAMES:
            ready = sockets[0].select(sockets, longest_wait_s if not rows else 0)
            received = 0
            for number, each in enumerate(ready):
                layer, data, time_s = each.recv_raw(self._snap_bytes)
                if data is None:
                    continue
                received += 1
                counters = self.counters[self._sockets[each]]
                counters["frames"] += 1
                counters["bytes"] += len(data)
                link_type = self._conf.l2types.layer2num.get(layer, _LINK_ETHERNET)
                rows.append(ROW.pack(round(time_s * 1e6) * 1_000, at, len(data), len(data), link_type, number))
                pieces.append(data)
                at += len(data)
            if not received:
                break
        return FrameBatch(b"".join(pieces), np.frombuffer(b"".join(rows), FRAME_DTYPE))

    def close(self) -> None:
        """Stop listening."""
        for each in self._sockets:
            each.close()
