"""What two sides said in plain text before TLS: no more of it than tells whether TLS begins, and after which words.

A turn is all that one side says until the other speaks. Of each side's last turn the first and the last bytes are kept.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DIALOGUE_BYTES", "TAIL_BYTES", "Dialogue", "Turn"]

HEAD_BYTES = 16
"""A PROXY header of version 2 up to its length; an HTTP method or status."""
TAIL_BYTES = 112
"""The longest PROXY header of version 1 is 107 bytes; a request for TLS is shorter, whichever the protocol."""
DIALOGUE_BYTES = 288
"""What a dialogue takes in the native engine."""


class Turn(NamedTuple):
    """What one side said last."""

    head: bytes = b""
    tail: bytes = b""
    length: int = 0

    def and_then(self, data: bytes) -> Turn:
        """The turn goes on."""
        head = self.head + data[: HEAD_BYTES - len(self.head)]
        return Turn(head, (self.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:], self.length + len(data))

    @property
    def whole(self) -> bytes:
        """All of it; empty when it was longer than what is kept."""
        return self.tail if self.length <= TAIL_BYTES else b""

    @property
    def last_line(self) -> bytes:
        """Its last line without the line's end, in capitals, as far as it is kept; empty when the line goes on."""
        if not self.tail.endswith(b"\n"):
            return b""
        return self.tail.rstrip(b"\r\n").rpartition(b"\n")[2].upper()


class Dialogue:
    """The last turn of each side."""

    def __init__(self) -> None:
        self.turns = [Turn(), Turn()]
        self.speaker: int | None = None
        """Who spoke last."""

    def hear(self, side: int, data: bytes) -> Turn:
        """A side says something; its turn."""
        turn = self.turns[side] if side == self.speaker else Turn()
        self.turns[side] = turn.and_then(data)
        self.speaker = side
        return self.turns[side]
