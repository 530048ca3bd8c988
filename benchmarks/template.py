"""Bytes that many connections share, with places that differ from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Bytes", "Template", "letters", "literal", "noise"]

Bytes = npt.NDArray[np.uint8]

_LITERAL, _NOISE, _LETTER = range(3)


@dataclass(frozen=True, slots=True)
class Template:
    """Templates concatenate with ``+`` and cut with ``[a:b]``; ``fill`` makes the bytes of many connections at once."""

    data: Bytes
    kinds: Bytes
    """Shape of ``data``: what each byte is; its value counts only where it is literal."""

    def __len__(self) -> int:
        return len(self.data)

    def __add__(self, other: Template) -> Template:
        return Template(np.concatenate((self.data, other.data)), np.concatenate((self.kinds, other.kinds)))

    def __getitem__(self, part: slice) -> Template:
        return Template(self.data[part], self.kinds[part])

    def fill(self, connections: int, random: np.random.Generator) -> Bytes:
        """Shape (connections, len(self))."""
        rows = random.integers(0, 256, (connections, len(self)), np.uint8)
        fixed = np.flatnonzero(self.kinds == _LITERAL)
        rows[:, fixed] = self.data[fixed]
        alphabetic = np.flatnonzero(self.kinds == _LETTER)
        rows[:, alphabetic] = rows[:, alphabetic] % 26 + ord("a")
        return rows


def literal(data: bytes) -> Template:
    """Bytes that every connection has."""
    return _of_kind(np.frombuffer(data, np.uint8), _LITERAL)


def noise(length: int) -> Template:
    """Any bytes: keys, randoms, whatever is encrypted."""
    return _of_kind(np.zeros(length, np.uint8), _NOISE)


def letters(length: int) -> Template:
    """Small letters."""
    return _of_kind(np.zeros(length, np.uint8), _LETTER)


def _of_kind(data: Bytes, kind: int) -> Template:
    return Template(data, np.full(len(data), kind, np.uint8))
