"""Whole lines out of what is read."""

from __future__ import annotations

__all__ = ["LineCutter", "LineWindow"]


class LineCutter:
    """Cuts what is read into whole lines; what has no end yet waits."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._skipping = False
        self.too_long = 0
        """Lines that were longer than ``most_bytes`` and are left out."""

    @property
    def waiting_bytes(self) -> int:
        """Of a line that has no end yet."""
        return len(self._rest)

    def push(self, data: bytes) -> bytes:
        """More bytes; the whole lines there are now, each with its end."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._wait(data)
            return b""
        head = data[:end]
        if self._skipping:
            head = head[head.find(b"\n") + 1 :]
            self._skipping = False
        elif self._rest:
            head = bytes(self._rest) + head
        self._rest.clear()
        self._wait(data[end:])
        return head

    def finish(self) -> bytes:
        """The last line, if it lacks its end: there is nothing to wait for any more."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest + b"\n" if rest else b""

    def _wait(self, data: bytes) -> None:
        if self._skipping:
            return
        self._rest += data
        if len(self._rest) > self._most_bytes:
            self.too_long += 1
            self._skipping = True
            self._rest.clear()


class LineWindow:
    """Finds whole lines in a window that moves over a file, where they lie."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._skipping = False
        self.too_long = 0
        """Lines that were longer than ``most_bytes`` and are left out."""

    def whole(self, window: bytes) -> tuple[int, int]:
        """Where whole lines begin and end; what stands before their end is done with. The next window begins there."""
        start, end = 0, window.rfind(b"\n") + 1
        if self._skipping:
            start = window.find(b"\n") + 1
            self._skipping = not end
            return (start, end) if end else (len(window), len(window))
        if not end and len(window) > self._most_bytes:
            self.too_long += 1
            self._skipping = True
            return len(window), len(window)
        return start, end
