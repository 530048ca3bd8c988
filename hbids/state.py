"""What a run remembers for the next one, in one SQLite file.

The file holds *parts*: tables (structured arrays, cut into blocks) and documents (JSON). A save is one transaction, so
that whatever happens in its middle leaves the save before. Blocks that did not change are not written again.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson
import zstandard

from hbids.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Part", "StateFile"]

Part = npt.NDArray[np.void] | dict[str, Any]

VERSION = 1
"""Raise it when parts change their meaning; a file of another version is refused."""
APPLICATION_ID = int.from_bytes(b"HBID")
BLOCK_BYTES = 1 << 18
"""Small, so that few change; large, so that they compress well."""

_MAGIC = b"SQLite format 3\0"
_VERSION_AT, _APPLICATION_AT, _HEADER_BYTES = 60, 68, 100
_SCHEMA = """
CREATE TABLE parts (name TEXT PRIMARY KEY, layout TEXT NOT NULL, blocks INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (part TEXT, number INTEGER, digest BLOB NOT NULL, content BLOB NOT NULL,
                     PRIMARY KEY (part, number)) WITHOUT ROWID;
"""


class StateFile:
    """A state file, locked for this process until it is closed. A missing or empty file is begun.

    Raises UserInputError when the file is none of ours, of another version, damaged, or in use; it is left as it is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._digests: dict[tuple[str, int], bytes] = {}
        """Of the blocks as they stand in the file."""
        fresh = self._is_fresh()
        try:
            self._file = sqlite3.connect(self.path, isolation_level=None, timeout=0)
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("BEGIN EXCLUSIVE")
            if fresh:
                self._begin()
            self._file.execute("COMMIT")
            if not fresh and self._file.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise self._unusable("is damaged")
        except sqlite3.OperationalError as error:
            raise self._cannot(error) from error
        except sqlite3.DatabaseError as error:
            raise self._unusable("is damaged") from error

    def load(self) -> dict[str, Part]:
        """All parts, by name; none of a file that was begun just now. Raises UserInputError when one is damaged."""
        try:
            listed = self._file.execute("SELECT name, layout, blocks FROM parts").fetchall()
            return {name: self._part(name, layout, blocks) for name, layout, blocks in listed}
        except (sqlite3.Error, zstandard.ZstdError, orjson.JSONDecodeError, ValueError, TypeError) as error:
            raise self._unusable("is damaged") from error

    def save(self, parts: Mapping[str, Part]) -> None:
        """Replace the parts; raises OSError when the file cannot be written, which leaves what was saved before."""
        try:
            self._file.execute("BEGIN IMMEDIATE")
            digests: dict[tuple[str, int], bytes] = {}
            for name, part in parts.items():
                blocks = 0
                for content in _blocks(part):
                    digests[name, blocks] = digest = blake2b(content, digest_size=16).digest()
                    if self._digests.get((name, blocks)) != digest:
                        packed = zstandard.compress(content, 1)
                        self._file.execute("REPLACE INTO blocks VALUES (?, ?, ?, ?)", (name, blocks, digest, packed))
                    blocks += 1
                layout = "" if isinstance(part, dict) else repr(part.dtype.descr)
                self._file.execute("REPLACE INTO parts VALUES (?, ?, ?)", (name, layout, blocks))
                self._file.execute("DELETE FROM blocks WHERE part = ? AND number >= ?", (name, blocks))
            self._file.execute("COMMIT")
            self._digests = digests
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise OSError(None, str(error), str(self.path)) from error

    def close(self) -> None:
        """Let others have the file."""
        self._file.close()

    def _is_fresh(self) -> bool:
        """Whether there is nothing yet. Looks at the file without touching it."""
        try:
            with self.path.open("rb") as file:
                header = file.read(_HEADER_BYTES)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise UserInputError([f"{self.path}: cannot be read, {error.strerror}"]) from error
        if not header:
            return True
        application = header[_APPLICATION_AT : _APPLICATION_AT + 4]
        if not header.startswith(_MAGIC) or application != APPLICATION_ID.to_bytes(4):
            raise self._unusable("is no state file of hbids")
        version = int.from_bytes(header[_VERSION_AT : _VERSION_AT + 4])
        if version != VERSION:
            raise self._unusable(f"is of version {version}, and this hbids writes version {VERSION}")
        return False

    def _begin(self) -> None:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self._file.execute(statement)
        self._file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._file.execute(f"PRAGMA user_version = {VERSION}")

    def _part(self, name: str, layout: str, blocks: int) -> Part:
        contents = []
        query = "SELECT number, digest, content FROM blocks WHERE part = ? ORDER BY number"
        for number, digest, packed in self._file.execute(query, (name,)):
            content = zstandard.decompress(packed)
            if blake2b(content, digest_size=16).digest() != digest:
                raise ValueError(name)
            self._digests[name, number] = digest
            contents.append(content)
        if len(contents) != blocks:
            raise ValueError(name)
        if not layout:
            document: dict[str, Any] = orjson.loads(contents[0])
            return document
        return np.frombuffer(b"".join(contents), np.dtype(_described(layout)))

    def _unusable(self, what: str) -> UserInputError:
        return UserInputError([f"{self.path}: {what}: give another path with --state, or move the file away"])

    def _cannot(self, error: sqlite3.Error) -> UserInputError:
        if "locked" in str(error):
            return UserInputError([f"{self.path}: is in use by another run of hbids: wait for its end"])
        return UserInputError([f"{self.path}: cannot be used, {error}"])


def _blocks(part: Part) -> Iterator[bytes]:
    if isinstance(part, dict):
        yield orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
        return
    rows = max(1, BLOCK_BYTES // part.itemsize)
    for start in range(0, len(part), rows):
        yield part[start : start + rows].tobytes()


def _described(layout: str) -> list[Any]:
    """What ``dtype.descr`` said."""
    from ast import literal_eval

    described: list[Any] = literal_eval(layout)
    return described
