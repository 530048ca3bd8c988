"""What can be wrong with a capture, and how to say it.

The splitters, Python and Rust, report a :class:`Fault` in numbers only; the words are here, once, for both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

__all__ = ["Fault", "FaultKind", "Problem", "Severity", "describe", "shown"]

Severity = Literal["warning", "error"]


class FaultKind(IntEnum):
    """What a splitter met in a file. The numbers are those of the native engine's ``FaultKind``."""

    # Nothing behind these can be read:
    EMPTY = 1
    NOT_A_CAPTURE = 2
    ENDS_IN_HEADER = 3
    PACKET_TOO_LARGE = 4
    BLOCK_LENGTH = 5
    BLOCK_TOO_LARGE = 6
    BLOCK_TRAILER = 7
    BYTE_ORDER = 8
    SECTION_VERSION = 9
    INTERFACE_BLOCK = 10
    ENGINE_FAILURE = 11
    # Reading goes on after these:
    TRUNCATED = 65
    EMPTY_PACKET = 66
    OVER_SNAP_LENGTH = 67
    UNKNOWN_INTERFACE = 68
    PACKET_BLOCK_SHORT = 69
    PACKET_PAST_BLOCK = 70
    INTERFACE_OPTION = 71
    TOO_MANY_INTERFACES = 72

    @property
    def severity(self) -> Severity:
        """``error`` when nothing behind it can be read."""
        return "error" if self < FaultKind.TRUNCATED else "warning"


class Fault(NamedTuple):
    """The first fault of a kind, and how often that kind was met."""

    kind: int
    offset: int
    """Of the record or block, in bytes from the file's start (of the decompressed data)."""
    seen: int
    """The number found; what it counts depends on the kind."""
    expected: int
    """The number that would have been right, or its limit."""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the user should know about the input."""

    severity: Severity
    path: str
    offset: int | None
    """Bytes from the start of the file, of its decompressed data if it is compressed; None: the file as a whole."""
    message: str

    def __str__(self) -> str:
        place = self.path if self.offset is None else f"{self.path}, offset {self.offset}"
        return f"{place}: {self.message}"


_KEPT = "everything before it was read"
_DAMAGED = f"the file is damaged here; {_KEPT}; capture or copy it again"

_TEXTS = {
    FaultKind.EMPTY: "the file is empty: give a capture file",
    FaultKind.NOT_A_CAPTURE: "not a capture file: give pcap or pcapng, plain or compressed with gzip or zstd",
    FaultKind.ENDS_IN_HEADER: "the file ends inside its header, after {seen} bytes: capture or copy it again",
    FaultKind.PACKET_TOO_LARGE: f"a packet claims {{seen}} bytes, tools capture {{expected}} at most: {_DAMAGED}",
    FaultKind.BLOCK_LENGTH: (
        f"a block claims a length of {{seen}} bytes, which is no multiple of 4 or less than {{expected}}: {_DAMAGED}"
    ),
    FaultKind.BLOCK_TOO_LARGE: f"a block claims {{seen}} bytes, tools write {{expected}} at most: {_DAMAGED}",
    FaultKind.BLOCK_TRAILER: f"a block begins with length {{expected}} but ends with length {{seen}}: {_DAMAGED}",
    FaultKind.BYTE_ORDER: f"a section begins with the unknown byte-order mark {{seen:#010x}}: {_DAMAGED}",
    FaultKind.SECTION_VERSION: (
        f"a section is of pcapng version {{seen}}, only version {{expected}} is known: {_KEPT}; "
        "convert it with Wireshark's editcap"
    ),
    FaultKind.INTERFACE_BLOCK: f"an interface description has {{seen}} bytes, fewer than {{expected}}: {_DAMAGED}",
    FaultKind.ENGINE_FAILURE: (
        f"the native engine failed on this file: {_KEPT}; run with --engine reference and report the file"
    ),
    FaultKind.TRUNCATED: f"the last packet is cut off, {{seen}} of {{expected}} bytes are there: {_KEPT}",
    FaultKind.EMPTY_PACKET: "a packet of 0 bytes: counted as it is (files not closed properly may end in zeros)",
    FaultKind.OVER_SNAP_LENGTH: (
        "a packet of {seen} bytes in a file that promises at most {expected}: used whole; other tools may cut it"
    ),
    FaultKind.UNKNOWN_INTERFACE: (
        "a packet names interface {seen}, the section describes {expected}: packet skipped, its link type is not known"
    ),
    FaultKind.PACKET_BLOCK_SHORT: "a packet block has {seen} bytes, its header alone takes {expected}: packet skipped",
    FaultKind.PACKET_PAST_BLOCK: "a packet claims {seen} bytes in a block with room for {expected}: cut to the room",
    FaultKind.INTERFACE_OPTION: (
        "an interface option has {seen} bytes where {expected} are right: ignored, so timestamps may be off"
    ),
    FaultKind.TOO_MANY_INTERFACES: "a section describes more than {expected} interfaces: the rest is ignored",
}


def describe(fault: Fault) -> str:
    """Say what the fault means and what can be done about it."""
    text = _TEXTS[FaultKind(fault.kind)].format(seen=fault.seen, expected=fault.expected)
    return text if fault.times == 1 else f"{text} (first of {fault.times} in this file)"


def shown(path: str) -> str:
    """Write the path as any output can carry it: bytes that are no UTF-8 as backslash escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
