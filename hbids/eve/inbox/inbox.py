"""Between a source and whoever reads it: a bounded queue and a thread that fills it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from hbids.eve.inbox.source import WAIT_S, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hbids.eve.inbox.source import Source

__all__ = ["Inbox"]


class Inbox:
    """The lines of one source, between its thread and whoever reads them."""

    def __init__(self, name: str, source: Source, most_bytes: int) -> None:
        self._name = name
        self._source = source
        self._most_bytes = most_bytes
        self._pieces: deque[tuple[bytes, str | None]] = deque()
        self._position = source.position
        """Behind the piece that was read last."""
        self._let_go: str | None = None
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._dropped = 0
        self.failure = ""
        """Why the source ended, when it should not have."""
        self._thread = threading.Thread(target=self._fill, name="eve inbox", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines for which there was no room, here or where they were kept."""
        return self._dropped + self._source.lost

    @property
    def is_over(self) -> bool:
        """Nothing more will come, and all was read."""
        return not self._thread.is_alive() and not self._pieces

    @property
    def lag_bytes(self) -> int:
        """What is there and was not read."""
        return self._held_bytes

    @property
    def keeps(self) -> bool:
        """See :attr:`Source.keeps`."""
        return self._source.keeps

    @property
    def mark(self) -> Mark | None:
        """Where reading stands, between two pieces; None if nothing is kept, or nothing was read."""
        return None if self._position is None else Mark(self._name, self._position)

    def read(self) -> Iterator[bytes]:
        """What came since, in pieces of whole lines. :attr:`mark` is right between any two of them."""
        for _ in range(len(self._pieces)):
            with self._changed:
                piece, self._position = self._pieces.popleft()
                self._held_bytes -= len(piece)
                self._changed.notify()
            yield piece

    def let_go(self, mark: Mark) -> None:
        """What came before this mark is not needed any more; nothing happens if it is of another source."""
        if mark.source == self._name:
            self._let_go = mark.position
            if not self._thread.is_alive():
                self._forget()

    def close(self) -> None:
        """Take nothing more."""
        self._closed.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()
        self._forget()

    def _fill(self) -> None:
        try:
            for piece in self._source.pieces(self._closed.is_set):
                if piece:
                    self._put(piece)
                self._forget()
        except OSError as error:
            self.failure = str(error)

    def _forget(self) -> None:
        position, self._let_go = self._let_go, None
        if position is not None:
            self._source.let_go(position)

    def _put(self, piece: bytes) -> None:
        with self._changed:
            while self._source.waits and self._held_bytes > self._most_bytes and not self._closed.is_set():
                self._changed.wait(WAIT_S)
            if self._held_bytes > self._most_bytes:
                self._dropped += piece.count(b"\n")
                return
            self._pieces.append((piece, self._source.position))
            self._held_bytes += len(piece)
