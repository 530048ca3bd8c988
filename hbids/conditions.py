"""What a user's signature asks of the rows of a table: the conditions under its ``match``.

Each is worked out over whole columns. What is absent never holds, but where it is asked for by that word.
docs/signatures.md tells how conditions are written.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import reduce
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import yaml

from hbids.columns import TABLES, Column, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hbids.keyed import Flags
    from hbids.yamlsource import Document

__all__ = ["Match", "read_match"]

_ABSENT_WORDS = ("absent", "unknown")
_OPERATION = re.compile(r"(!=|<=|>=|=|<|>)?\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}|[0-9]{1,18}")
_STANDARD_TAG = "tag:yaml.org,2002:"
_RANDOM_DIGITS = 64
_MAPPED_BITS = 96
"""Of an IPv4 address in its v4-mapped IPv6 form, those before it."""


class _Test(Protocol):
    def holds(self, values: npt.NDArray[Any]) -> Flags:
        """Of n values, which pass."""


@dataclass(frozen=True, slots=True)
class Match:
    """Which rows of a table a signature is about."""

    table: str
    wanted: tuple[tuple[str, _Test], ...]
    """By column: all must hold."""
    unwanted: tuple[tuple[str, _Test], ...]
    """None may."""

    @property
    def columns(self) -> list[str]:
        """Those that are asked about, without those that must not hold."""
        return [name for name, _ in self.wanted]

    def rows(self, table: Any, flags: Flags) -> Flags:
        """Which of the rows with ``flags`` match; ``table`` is as :class:`~hbids.columns.Column` takes it."""
        columns = TABLES[self.table]
        for name, test in self.wanted:
            flags = flags & test.holds(columns[name].values(table))
        for name, test in self.unwanted:
            flags = flags & ~test.holds(columns[name].values(table))
        return flags


@dataclass(frozen=True, slots=True)
class _Within:
    """A number, or one of several, in any of these spans."""

    spans: tuple[Span, ...]

    def holds(self, values: npt.NDArray[Any]) -> Flags:
        passed = _any((values >= low) & (values <= high) for low, high in self.spans)
        return np.asarray(passed.any(axis=1)) if passed.ndim > 1 else passed


@dataclass(frozen=True, slots=True)
class _InNetworks:
    """An address in any of these networks, or outside those that are refused."""

    networks: tuple[tuple[IPv6Network, bool], ...]
    """The flag says that it must be outside."""

    def holds(self, values: npt.NDArray[Any]) -> Flags:
        words = np.ascontiguousarray(values).view(">u8")
        return _any(_inside(words, network) ^ outside for network, outside in self.networks)


@dataclass(frozen=True, slots=True)
class _Like:
    """A text equal to any of these patterns, whatever its case; ``*`` at either end stands for anything."""

    patterns: tuple[tuple[bytes, bool], ...]
    """The flag says that it must be another, but not absent."""

    def holds(self, values: npt.NDArray[Any]) -> Flags:
        texts = np.char.lower(values)
        return _any(_alike(texts, pattern, other=other) for pattern, other in self.patterns)


@dataclass(frozen=True, slots=True)
class _BeginsWith:
    """Bytes that begin with any of these."""

    beginnings: tuple[bytes, ...]

    def holds(self, values: npt.NDArray[Any]) -> Flags:
        return _any(
            (values[:, : len(beginning)] == np.frombuffer(beginning, np.uint8)).all(axis=1)
            for beginning in self.beginnings
        )


def _any(flags: Iterable[Flags]) -> Flags:
    return reduce(np.logical_or, flags)


def _inside(words: npt.NDArray[Any], network: IPv6Network) -> Flags:
    masks = np.frombuffer(network.netmask.packed, ">u8")
    return np.asarray((words & masks == np.frombuffer(network.network_address.packed, ">u8")).all(axis=1))


def _alike(texts: npt.NDArray[Any], pattern: bytes, *, other: bool) -> Flags:
    wanted = pattern.strip(b"*")
    if pattern.startswith(b"*") and pattern.endswith(b"*") and wanted:
        same = np.char.find(texts, wanted) >= 0
    elif pattern.startswith(b"*"):
        same = np.char.endswith(texts, wanted)
    elif pattern.endswith(b"*"):
        same = np.char.startswith(texts, wanted)
    else:
        same = texts == wanted
    present = texts != b""
    return np.asarray(present & ~same if other else same & (present | (pattern == b"")))


# --- reading --------------------------------------------------------------------------------------------------------


def read_match(document: Document, node: yaml.Node) -> Match | None:
    """Read what stands under ``match``; mistakes are noted in the document."""
    entries = document.mapping(node)
    table_node, refused = entries.pop("table", None), entries.pop("not", None)
    if table_node is None:
        if isinstance(node, yaml.MappingNode):  # else that is told already
            document.fault(node, "a match without table", f"write table: and one of {', '.join(TABLES)}")
        return None
    table = document.scalar(table_node, str)
    if table not in TABLES:
        if table is not None:
            document.fault(table_node, f"there is no table '{table}'", f"use one of {', '.join(TABLES)}")
        return None
    wanted = _tests(document, table, entries)
    if not entries:
        document.fault(node, "a match without conditions", f"name a column of {table} and what it shall be")
    unwanted = _tests(document, table, document.mapping(refused)) if refused is not None else ()
    return Match(table, wanted, unwanted)


def _tests(document: Document, table: str, entries: dict[str, yaml.Node]) -> tuple[tuple[str, _Test], ...]:
    tests = []
    for name, node in entries.items():
        column = TABLES[table].get(name)
        if column is None:
            near = difflib.get_close_matches(name, TABLES[table], 1)
            remedy = f"did you mean '{near[0]}'?" if near else "docs/signatures.md lists those there are"
            document.fault(node, f"{table} have no column '{name}'", remedy)
            continue
        test = _test(document, name, column, node)
        if test is not None:
            tests.append((name, test))
    return tuple(tests)


def _test(document: Document, name: str, column: Column, node: yaml.Node) -> _Test | None:
    """One column's: a value or a list of values, any of which will do."""
    faults_before = len(document.problems)
    nodes = document.items(node) if isinstance(node, yaml.SequenceNode) else [node]
    operations = [(each, operation) for each in nodes if (operation := _operation(document, name, each)) is not None]
    if not nodes:
        document.fault(node, f"an empty list for {name}", "give a value")
    if len(nodes) > 1 and any(operator == "!=" for _, (operator, _) in operations):
        document.fault(node, "any value differs from one of several", "put the column under 'not:', without !=")
    test: _Test
    if column.kind == "address":
        test = _InNetworks(tuple(_network(document, each, *operation) for each, operation in operations))
    elif column.kind == "text":
        test = _Like(tuple(_pattern(document, each, *operation) for each, operation in operations))
    elif column.kind == "bytes":
        test = _BeginsWith(tuple(_beginning(document, each, *operation) for each, operation in operations))
    else:
        spans = [span for each, operation in operations for span in _spans(document, name, column, each, *operation)]
        test = _Within(tuple(spans))
    return test if len(document.problems) == faults_before else None


def _operation(document: Document, name: str, node: yaml.Node) -> tuple[str, str] | None:
    """Operator and operand; none but ``=`` where none is written."""
    if not isinstance(node, yaml.ScalarNode):
        document.fault(node, f"{name} is no value", "write a value, a comparison, a range, or a list of these")
        return None
    if node.style in ("|", ">") or not node.tag.startswith(_STANDARD_TAG):
        document.fault(node, f"{name} is compared without quotes", "YAML takes > | and ! for its own: write '> 5'")
        return None
    found = _OPERATION.fullmatch(str(node.value).strip())
    operator, operand = found.groups() if found else (None, "")
    if not operand:
        document.fault(node, f"{name} is compared with nothing", "write what it shall be, such as '> 5'")
        return None
    return operator or "=", operand


def _spans(
    document: Document, name: str, column: Column, node: yaml.Node, operator: str, operand: str
) -> tuple[Span, ...]:
    least, most = column.span
    if operand.lower() in _ABSENT_WORDS:
        return _absent(document, name, column, node, operator)
    first, dots, last = operand.partition("..")
    low = _value(document, name, column, node, first)
    high = _value(document, name, column, node, last) if dots else low
    if low is None or high is None:
        return ()
    if operator not in ("=", "!=") and (dots or column.kind == "word"):
        what = "a range is" if dots else f"{name} is a word, and words are"
        document.fault(node, f"{what} not compared by '{operator}'", "use = or !=")
        return ()
    spans = {
        "=": ((low, high),),
        "!=": ((least, low - 1), (high + 1, most)),
        "<": ((least, low - 1),),
        "<=": ((least, low),),
        ">": ((low + 1, most),),
        ">=": ((low, most),),
    }[operator]
    possible = tuple(span for span in spans if span[0] <= span[1])
    if low > high or not possible:
        what = operand if operator == "=" else f"{operator} {operand}"
        document.fault(node, f"{name} can never be {what}", _there_is(column))
    return possible


def _absent(document: Document, name: str, column: Column, node: yaml.Node, operator: str) -> tuple[Span, ...]:
    if operator not in ("=", "!="):
        document.fault(node, f"absent is not compared by '{operator}'", "use = or !=")
    if column.absent is None:
        document.fault(node, f"{name} is never absent", _there_is(column))
        return ()
    return (column.absent,) if operator == "=" else (column.span,)


def _value(document: Document, name: str, column: Column, node: yaml.Node, text: str) -> int | None:
    """A word or a number of the column; None after noting a fault."""
    text = text.strip()
    word = {"true": "yes", "false": "no"}.get(text.lower(), text.lower())
    if word in column.words:
        return column.words[word]
    if column.kind == "word" or not _NUMBER.fullmatch(text):
        document.fault(node, f"{name} cannot be '{text[:40]}'", _there_is(column))
        return None
    number = int(text, 16 if text[:2] == "0x" else 10)
    if not column.span[0] <= number <= column.span[1]:
        document.fault(node, f"{name} is never {text}", _there_is(column))
        return None
    return number


def _there_is(column: Column) -> str:
    words = [word for word, number in column.words.items() if column.span[0] <= number <= column.span[1]]
    numbers = [f"a number from {column.span[0]} to {column.span[1]}"] if column.kind == "number" else []
    return f"write {' or '.join([*numbers, ', '.join(words)] if words else numbers)}"


def _network(document: Document, node: yaml.Node, operator: str, operand: str) -> tuple[IPv6Network, bool]:
    network: IPv4Network | IPv6Network = IPv6Network("::/128")
    if operator not in ("=", "!="):
        document.fault(node, f"addresses are not compared by '{operator}'", "use = or !=")
    try:
        network = ip_network(operand, strict=False)
    except ValueError:
        document.fault(node, f"'{operand[:60]}' is not a network", "write it like 10.0.0.0/8 or fd00::/8")
    if isinstance(network, IPv4Network):
        network = IPv6Network((f"::ffff:{network.network_address}", _MAPPED_BITS + network.prefixlen))
    return network, operator == "!="


def _pattern(document: Document, node: yaml.Node, operator: str, operand: str) -> tuple[bytes, bool]:
    if operator not in ("=", "!="):
        document.fault(node, f"text is not compared by '{operator}'", "use = or !=, and * for any ending")
    if operand.lower() in _ABSENT_WORDS:
        return (b"", False) if operator == "=" else (b"*", False)
    if "*" in operand[1:-1]:
        document.fault(node, f"'{operand[:60]}' has a * inside", "write * at the beginning or the end")
    return operand.lower().encode(errors="replace"), operator == "!="


def _beginning(document: Document, node: yaml.Node, operator: str, operand: str) -> bytes:
    if operator != "=":
        document.fault(node, f"bytes are not compared by '{operator}'", "put the column under 'not:'")
    if len(operand) % 2 or len(operand) > _RANDOM_DIGITS or not re.fullmatch(r"[0-9a-fA-F]+", operand):
        document.fault(node, f"'{operand[:70]}' are no bytes in hex", "write up to 64 digits, two for each byte")
        return b""
    return bytes.fromhex(operand)
