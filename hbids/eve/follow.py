"""Files that Suricata goes on writing, through every way of rotation, so that each line is read once.

A file is known by what it begins with, then by device and inode; its name says only where to look. Renamed files are
read to their end before the new one begins; of truncated files the copy gives what was missed; what was rotated away
while nobody read is caught up, compressed or not.
"""

from __future__ import annotations

import glob
from collections import Counter, OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from hbids.eve.file import UNREADABLE, EveFile, Place

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

__all__ = ["Follower"]

_COMPRESSED = (".gz", ".zst")
_MOST_LEFT = 4_096
"""Files that are remembered as read: years of days, days of minutes."""
_MOST_OPEN = 256
"""Files that are open at once; Suricata writes one a thread."""
_MOST_PROBLEMS = 100
_MOST_CHUNKS = 16
"""Of one file, before others have their turn."""
_PLACES_LEFT = 64
"""Of the files that are read, the latest: those that come into question when reading goes on."""


class Follower:
    """Follows files by name or pattern. ``places`` says where an earlier run stood; without them reading begins with
    the files of these names as they are, and what was rotated away before is left alone."""

    def __init__(self, patterns: Iterable[str], most_line_bytes: int, places: Iterable[Place] = ()) -> None:
        self._patterns = list(patterns)
        self._most_line_bytes = most_line_bytes
        self._open: dict[str, EveFile] = {}
        """By the name under which they are written."""
        self._left: OrderedDict[str, Place] = OrderedDict()
        """Files that were read and closed, by their heads."""
        self._past = list(places)
        """Behind which something is still to be read that was rotated away."""
        self._past_file: EveFile | None = None
        self._begun = [place for place in self._past if not place.inode][:1]
        """A place without a file: when reading began, as long as there was nothing to read."""
        self.counters: Counter[str] = Counter(rotations=0, truncations=0, files_lost=0, too_long=0)
        self.problems: list[str] = []
        """What was lost, for people."""

    def begin(self, now_ns: int) -> None:
        """Before the first reading, where there are no places: what is written from now on will be caught up, whatever
        happens to it; and what stands in the files that are there."""
        for path in self._live():
            file = self._opened(path)
            if file is not None:
                self._open[path] = file
        self._begun = [Place(path, 0, 0, "", 0, 0, now_ns, done=False) for path in self._patterns[:1]]

    def read(self) -> Iterator[bytes]:
        """All that came since, in pieces of whole lines. :meth:`places` is right between any two of them."""
        if self._past:
            yield from self._catch_up(self._past)
        for path in dict.fromkeys([*self._live(), *self._open]):
            yield from self._read_live(path)

    def close(self) -> None:
        """Let go of all files, where they are."""
        while self._open:
            self._forget(self._open.popitem()[1])

    def places(self) -> list[Place]:
        """Where reading stands."""
        files = [*self._open.values(), *([self._past_file] if self._past_file else [])]
        left = sorted(self._left.values(), key=lambda place: place.mtime_ns)[-_PLACES_LEFT:]
        places = [*left, *self._past, *(file.place for file in files)]
        return places or self._begun

    @property
    def lag_bytes(self) -> int:
        """What is there and was not read."""
        return sum(file.lag_bytes for file in self._open.values())

    # --- names ---

    def _live(self) -> list[str]:
        """The files that are written now, as far as names tell."""
        names: dict[str, None] = {}
        for pattern in self._patterns:
            names |= dict.fromkeys(_matching(pattern) if glob.has_magic(pattern) else [pattern])
        return [name for name in names if not name.endswith(_COMPRESSED)]

    def _rotated(self) -> list[str]:
        """The files that may have been written under these names before."""
        names: dict[str, None] = {}
        for pattern in self._patterns:
            shape = pattern if glob.has_magic(pattern) else glob.escape(pattern)
            for suffix in ("", ".*", "-*"):
                names |= dict.fromkeys(_matching(shape + suffix))
        return list(names)

    # --- files ---

    def _read_live(self, path: str) -> Iterator[bytes]:
        status = _status(path)
        file = self._open.get(path)
        if file is not None:
            yield from self._see_rotation(file, status)
            file = self._open.get(path)
        if file is None and status is not None:
            file = self._resumed(path, status)
            if file is None:
                return
            self._open[path] = file
            yield from self._close_idle()
            if self._left:  # others may have come and gone under this name
                yield from self._catch_up([max(self._left.values(), key=lambda place: place.mtime_ns)])
        if file is not None:
            yield from self._drain(file, _MOST_CHUNKS)

    def _see_rotation(self, file: EveFile, status: os.stat_result | None) -> Iterator[bytes]:
        """Whether something else stands in the file, or another file under its name, which has this status; then what
        was written meanwhile."""
        if file.was_replaced():
            self.counters["truncations"] += file.offset > 0
            del self._open[file.path]
            file.close()
            self.counters["too_long"] += file.too_long
            yield from self._catch_up([file.place])
        elif file.is_gone if status is None else (status.st_dev, status.st_ino) != (file.device, file.inode):
            self.counters["rotations"] += 1
            yield from self._drain(file)
            del self._open[file.path]
            yield from self._leave(file)
            yield from self._catch_up([file.place])

    def _resumed(self, path: str, status: os.stat_result) -> EveFile | None:
        """The file, where it was left; None when there is nothing new in it."""
        as_it_was = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if any((left.device, left.inode, left.offset, left.mtime_ns) == as_it_was for left in self._left.values()):
            return None
        file = self._opened(path)
        place = self._left_place(file) if file is not None else None
        if file is not None and place is not None:
            if file.lag_bytes <= place.offset:
                file.close()
                return None
            del self._left[place.head]
            file.seek(place.offset)
        return file

    def _close_idle(self) -> Iterator[bytes]:
        """Those not written for longest, when there are too many."""
        while len(self._open) > _MOST_OPEN:
            path = min(self._open, key=lambda path: self._open[path].mtime_ns)
            file = self._open.pop(path)
            yield from self._drain(file)
            self._forget(file)

    def _drain(self, file: EveFile, chunks: int | None = None) -> Iterator[bytes]:
        """What a file has by now."""
        while chunks is None or chunks > 0:
            try:
                lines = file.read()
            except UNREADABLE as error:
                self._complain(f"{file.path}: cannot be read on behind {file.offset}: {error}")
                return
            if not lines:
                return
            yield lines
            chunks = None if chunks is None else chunks - 1

    def _complain(self, problem: str) -> None:
        """Once, though it may be met at every look."""
        if problem not in self.problems and len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)

    def _leave(self, file: EveFile) -> Iterator[bytes]:
        """It is read to its end, and nothing more will come."""
        rest = file.rest()
        self._forget(file)
        if rest:
            yield rest

    def _forget(self, file: EveFile) -> None:
        file.close()
        self.counters["too_long"] += file.too_long
        place = file.place
        self._left[place.head] = place
        self._left.move_to_end(place.head)
        if len(self._left) > _MOST_LEFT:
            self._left.popitem(last=False)

    def _left_place(self, file: EveFile) -> Place | None:
        return next((place for place in self._left.values() if file.is_at(place)), None)

    # --- what was rotated away ---

    def _catch_up(self, places: list[Place]) -> Iterator[bytes]:
        """What was written behind these places, oldest first. Files that are still written are opened on the way."""
        self._past = missing = list(places)
        self._left |= {place.head: place for place in places if place.done}
        live = set(self._live())
        unread = [place for place in places if not place.done] or places
        for file in self._past_files(min(place.mtime_ns for place in unread)):
            place = next((place for place in missing if file.is_at(place)), None)
            if place is not None:
                missing.remove(place)
                file.seek(place.offset)
            elif self._left_place(file) is not None:
                file.close()
                continue
            if file.path in live and not file.compressed:
                self._open[file.path] = file
                continue
            self._past_file = file
            yield from self._drain(file)
            self._past_file = None
            yield from self._leave(file)
        self._past = []
        for place in missing:
            if not place.done and place.head_bytes:
                self.counters["files_lost"] += 1
                text = f"{place.path}: what was written behind {place.offset} was rotated away unread, or truncated"
                self._complain(text)

    def _past_files(self, since_ns: int) -> list[EveFile]:
        """Files under these names or those that rotation gives, written to since then, the oldest first. Of two that
        begin alike one is being compressed, and the plain one counts."""
        found: dict[str, EveFile] = {}
        for path in self._rotated():
            status = _status(path)
            if path in self._open or status is None or status.st_mtime_ns < since_ns:
                continue
            file = self._opened(path)
            if file is None:
                continue
            head = file.place.head
            twin = found.get(head)
            if twin is None or (twin.compressed and not file.compressed):
                found[head], file = file, twin
            if file is not None:
                file.close()
        return sorted(found.values(), key=lambda file: file.mtime_ns)

    def _opened(self, path: str) -> EveFile | None:
        try:
            return EveFile(path, self._most_line_bytes)
        except UNREADABLE:
            return None


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))  # noqa: PTH207  patterns may be absolute


def _status(path: str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except OSError:
        return None
