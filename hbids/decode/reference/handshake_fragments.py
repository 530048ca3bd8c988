"""A handshake message of DTLS, put together from its fragments (RFC 6347 section 4.2.3)."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["Pieces"]

PIECES_BYTES, RUN_BYTES = 512, 96
"""What the native engine needs beside the bytes of a message in the making, and for each run."""


class Pieces:
    """What has come of a message, in any order; of bytes that come twice the first copy counts.

    It stands in runs. A run grows only at its end, so that no order of fragments makes bytes move again and
    again.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        """Sorted."""
        self._runs: list[bytearray] = []
        self._covered = 0

    def __len__(self) -> int:
        return len(self._runs)

    def held_bytes(self) -> int:
        """With what the native engine needs beside the bytes; there, what grows has room for as much again."""
        return PIECES_BYTES + 2 * self._covered + len(self._runs) * RUN_BYTES

    def add(self, offset: int, data: bytes) -> None:
        """Add a fragment."""
        at, end = offset, offset + len(data)
        while at < end:
            index = bisect_right(self._starts, at)
            covered_to = self._starts[index - 1] + len(self._runs[index - 1]) if index else 0
            if covered_to > at:
                at = covered_to
                continue
            until = min(end, self._starts[index]) if index < len(self._starts) else end
            new = data[at - offset : until - offset]
            if index and covered_to == at:
                self._runs[index - 1] += new
            else:
                self._starts.insert(index, at)
                self._runs.insert(index, bytearray(new))
            self._covered += len(new)
            at = until

    def whole(self, length: int) -> bytes | None:
        """All bytes, once there is no hole."""
        return b"".join(self._runs) if self._covered == length else None
