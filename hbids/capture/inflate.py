"""Compressed captures: the decompressed bytes, piece by piece, and every last one of them before an error.

A decompressor that meets an error withholds what the same call had already decompressed. Both functions therefore feed
theirs so that nothing is withheld, and raise :class:`BrokenStreamError` after it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

__all__ = ["GZIP_MAGIC", "ZSTD_MAGIC", "BrokenStreamError", "gunzip", "unzstd"]

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_PIECE_BYTES = 16_384
"""Deflate expands at most 1032 times, so a piece of input never becomes more than 17 MB."""

_GZIP_FORMAT = zlib.MAX_WBITS | 16

_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"  # behind a first byte of 0x50 to 0x5f
_RUN_LENGTH_BLOCK = 1

_CUT = "it ends too early"

Read = Callable[[int], bytes]
"""Gives as many bytes as asked for, fewer only at the end."""


class BrokenStreamError(Exception):
    """The compressed data cannot be followed further; the message says why."""


def gunzip(read: Read) -> Iterator[bytes]:
    """Decompress gzip members, one after another (RFC 1952 section 2.2)."""
    member = None
    while piece := read(_PIECE_BYTES):
        while piece:
            if member is None:
                piece = piece.lstrip(b"\0")  # padding between and behind members, as tapes have it
                if not piece:
                    break
                member = zlib.decompressobj(_GZIP_FORMAT)
            before = member.copy()
            try:
                yield member.decompress(piece)
            except zlib.error as error:
                yield from _until_error(before, piece)
                raise BrokenStreamError(str(error)) from error
            piece = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise BrokenStreamError(_CUT)


def _until_error(member: zlib._Decompress, piece: bytes) -> Iterator[bytes]:
    """Decompress byte by byte what ``piece`` still gives."""
    try:
        for at in range(len(piece)):
            yield member.decompress(piece[at : at + 1])
    except zlib.error:
        return


def unzstd(read: Read) -> Iterator[bytes]:
    """Decompress zstd frames, one after another (RFC 8878 section 3.1)."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    try:
        for piece in _zstd_blocks(read):
            yield decompressor.decompress(piece)
    except zstandard.ZstdError as error:
        raise BrokenStreamError(str(error)) from error


def _zstd_blocks(read: Read) -> Iterator[bytes]:
    """Cut the compressed data where its blocks end: there a decompressor has nothing to withhold."""
    while magic := read(4):
        if magic[1:] == _SKIPPABLE_MAGIC and magic[0] >> 4 == 5:
            rest = int.from_bytes(_exactly(read, 4), "little")
            while rest:
                rest -= len(_exactly(read, min(rest, _PIECE_BYTES)))
            continue
        if magic != ZSTD_MAGIC:
            raise BrokenStreamError(_CUT if len(magic) < 4 else "no zstd frame begins where one should")
        descriptor = _exactly(read, 1)
        single_segment, has_checksum = descriptor[0] >> 5 & 1, descriptor[0] >> 2 & 1
        window_bytes = 1 - single_segment
        dictionary_bytes = (0, 1, 2, 4)[descriptor[0] & 3]
        size_bytes = (single_segment, 2, 4, 8)[descriptor[0] >> 6]
        yield magic + descriptor + _exactly(read, window_bytes + dictionary_bytes + size_bytes)
        last = 0
        while not last:
            header = _exactly(read, 3)
            number = int.from_bytes(header, "little")
            last, kind, size = number & 1, number >> 1 & 3, number >> 3
            content_bytes = 1 if kind == _RUN_LENGTH_BLOCK else size
            content = read(content_bytes)
            yield header + content
            if len(content) < content_bytes:
                raise BrokenStreamError(_CUT)
        if has_checksum:
            yield _exactly(read, 4)


def _exactly(read: Read, count: int) -> bytes:
    data = read(count)
    if len(data) < count:
        raise BrokenStreamError(_CUT)
    return data
