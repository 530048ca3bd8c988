"""What a file that is no capture looks like, so that the message can say what to do with it."""

from __future__ import annotations

__all__ = ["looks_like"]

_MAGICS = (
    (b"snoop\0", "a Solaris snoop capture: convert it with Wireshark's editcap"),
    (b"TRSNIFF data", "a Sniffer capture: convert it with Wireshark's editcap"),
    (b"XCP\0", "a NetXRay capture: convert it with Wireshark's editcap"),
    (b"GMBU", "a Microsoft Network Monitor capture: convert it with Wireshark's editcap"),
    (b"RTSS", "a Microsoft Network Monitor capture: convert it with Wireshark's editcap"),
    (b"BZh", "a bzip2 archive: decompress it first"),
    (b"\xfd7zXZ\0", "an xz archive: decompress it first"),
    (b"\x04\x22\x4d\x18", "an lz4 archive: decompress it first"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"\x1f\x8b", "data compressed twice: decompress it once"),
    (b"\x28\xb5\x2f\xfd", "data compressed twice: decompress it once"),
    (b'{"', "JSON text: Suricata's eve.json is for `hbids sidecar`"),
)

_TAR_MAGIC_AT = 257
_PRINTABLE = bytes({*range(0x20, 0x7F), *b"\t\r\n\f\x1b"})


def looks_like(head: bytes, path: str) -> str:
    """Put a name to a file that begins with ``head``, with the remedy; empty when nothing is known of it."""
    for magic, words in _MAGICS:
        if head.startswith(magic):
            return words
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return "a tar archive: unpack it first"
    if path.lower().endswith(".etl"):  # event traces begin with no magic
        return "a Windows event trace: convert it with etl2pcapng"
    if not head.translate(None, _PRINTABLE):
        return "text"
    return ""
