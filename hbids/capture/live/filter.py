"""Filters in the language of tcpdump (pcap-filter(7)), compiled by libpcap for the interface they are meant for: where
the kernel takes VLAN tags out of frames, libpcap knows where to look for them."""

from __future__ import annotations

import ctypes
import re
from ctypes.util import find_library
from typing import TYPE_CHECKING

from hbids.capture.live.interface import CannotListen
from hbids.errors import UserInputError

if TYPE_CHECKING:
    from hbids.capture.live.tap import Instruction

__all__ = ["compile_filter"]

_ERROR_BYTES = 256
_NETMASK_UNKNOWN = 0xFFFFFFFF

_CONTINUATIONS = ("", "1", "10.0.0.1", "00:00:00:00:00:00", "port 1", "ip", "and ip", "= 1")
"""One of them completes the beginning of nearly any filter."""


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction)))


def compile_filter(expression: str, interface: str, snap_bytes: int) -> list[Instruction]:
    """The program that lets through what ``expression`` says, ``snap_bytes`` of each frame.

    Raises UserInputError with the place when the expression is wrong, CannotListen without libpcap or privileges.
    """
    name = find_library("pcap")
    if name is None:
        raise CannotListen("--filter needs libpcap: install it (Debian and Ubuntu: apt-get install libpcap0.8)")
    compiler = _Compiler(ctypes.CDLL(name), interface, snap_bytes)
    try:
        program = compiler.compile(expression)
        if isinstance(program, str):
            raise UserInputError([f"--filter '{expression}': {program}{_place(expression, compiler)}"])
        return program
    finally:
        compiler.close()


class _Compiler:
    def __init__(self, libpcap: ctypes.CDLL, interface: str, snap_bytes: int) -> None:
        self._libpcap = libpcap
        libpcap.pcap_create.restype = ctypes.c_void_p
        libpcap.pcap_geterr.restype = ctypes.c_char_p
        told = ctypes.create_string_buffer(_ERROR_BYTES)
        handle = libpcap.pcap_create(interface.encode(), told)
        if handle is None:
            raise CannotListen(f"{interface}: {told.value.decode(errors='replace')}")
        self._handle = ctypes.c_void_p(handle)
        libpcap.pcap_set_snaplen(self._handle, snap_bytes)
        if libpcap.pcap_activate(self._handle) < 0:
            why = libpcap.pcap_geterr(self._handle).decode(errors="replace")
            self.close()
            raise CannotListen(f"{interface}: the filter cannot be compiled for it: {why}")

    def compile(self, expression: str) -> list[Instruction] | str:
        """The program, or what is wrong."""
        program = _Program()
        reference = ctypes.byref(program)
        if self._libpcap.pcap_compile(self._handle, reference, expression.encode(), 1, _NETMASK_UNKNOWN) < 0:
            text: bytes = self._libpcap.pcap_geterr(self._handle)
            return text.decode(errors="replace")
        instructions = [(each.code, each.jt, each.jf, each.k) for each in program.instructions[: program.length]]
        self._libpcap.pcap_freecode(reference)
        return instructions

    def close(self) -> None:
        self._libpcap.pcap_close(self._handle)


def _place(expression: str, compiler: _Compiler) -> str:
    """Where the first word stands behind which nothing makes sense any more; libpcap does not tell."""
    for word in re.finditer(r"[()!]|[^\s()!]+", expression):
        begun = expression[: word.end()]
        closing = ")" * max(0, begun.count("(") - begun.count(")"))
        attempts = (f"{begun} {more} {closing}" for more in _CONTINUATIONS)
        if all(isinstance(compiler.compile(attempt), str) for attempt in attempts):
            return f", at '{word.group()}' (character {word.start() + 1})"
    return ", at its end: something is missing"
