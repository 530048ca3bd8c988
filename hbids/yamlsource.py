"""YAML written by people, read so that every mistake is reported at once, as ``file:line: what is wrong: remedy``.

A :class:`Document` walks PyYAML's node tree, whose nodes know their line, and collects problems instead of stopping at
the first. Whoever reads a document ends with :func:`raise_problems`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from hbids.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

__all__ = ["Document", "raise_problems"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster; some builds lack it

_MAX_DEPTH = 32
"""Nesting of a document; ours need five levels."""

_Scalar = TypeVar("_Scalar", int, float, str)

_KINDS: dict[type, tuple[str, tuple[str, ...]]] = {
    int: ("a whole number", ("int",)),
    float: ("a number", ("int", "float")),
    str: ("text", ("str", "int", "float", "timestamp")),  # unquoted text may look like any of these
}
"""For each type of scalar: its name in messages, and the YAML tags taken for it."""


class Document:
    """One YAML file: its ``root`` node (None when empty or unreadable) and the ``problems`` found so far, by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[tuple[int, str]] = []
        self.root = self._compose()

    def _compose(self) -> yaml.Node | None:
        try:
            text = self.path.read_bytes()
            if self._too_deep(text):
                return None
            root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
        except OSError as error:
            self.problems.append((0, f"{self.path}: {error.strerror}: give a file that can be read"))
        except ValueError:  # of a path that no file can have
            self.problems.append((0, f"{self.path}: no name of a file: give a file that can be read"))
        except yaml.MarkedYAMLError as error:
            if "nesting depth" in str(error.problem):  # PyYAML from 6.0.4 on has a limit of its own
                self._note_too_deep(error.problem_mark)
                return None
            self._note(
                _line(error.problem_mark),
                f"not YAML ({error.problem})",
                "mend the syntax there, or put the value in quotes",
            )
        except yaml.YAMLError as error:
            self._note(1, f"not YAML ({' '.join(str(error).split())})", "save the file as UTF-8 text")
        else:
            return root
        return None

    def _too_deep(self, text: bytes) -> bool:
        """Composing recurses, and libyaml's binding overflows the C stack instead of raising."""
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                self._note_too_deep(event.start_mark)
                return True
        return False

    def _note_too_deep(self, mark: object) -> None:
        self._note(_line(mark), "nested too deeply", f"stay below {_MAX_DEPTH} levels")

    def place(self, node: yaml.Node) -> str:
        """``file:line`` of ``node``."""
        return f"{self.path}:{_line(node.start_mark)}"

    def fault(self, node: yaml.Node, what: str, remedy: str) -> None:
        """Note a mistake at ``node``."""
        self._note(_line(node.start_mark), what, remedy)

    def _note(self, line: int, what: str, remedy: str) -> None:
        self.problems.append((line, f"{self.path}:{line}: {what}: {remedy}"))

    def mapping(self, node: yaml.Node, known: Collection[str] | None = None) -> dict[str, yaml.Node]:
        """The entries of a mapping. Keys that are not ``known``, not text or given twice are faults and left out."""
        entries: dict[str, yaml.Node] = {}
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, f"expected a mapping, found {_kind(node)}", "write 'key: value' lines")
            return entries
        for key_node, value in node.value:
            key = key_node.value
            if not isinstance(key, str):
                self.fault(key_node, "a key that is not text", "write a plain word before the colon")
            elif known is not None and key not in known:
                near = difflib.get_close_matches(key, known, 1)
                remedy = f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(sorted(known))}"
                self.fault(key_node, f"unknown key '{key}'", remedy)
            elif key in entries:
                self.fault(key_node, f"key '{key}' given twice", "keep one of them")
            else:
                entries[key] = value
        return entries

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """The entries of a list."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.fault(node, f"expected a list, found {_kind(node)}", "write '- item' lines or [a, b]")
        return []

    def scalar(self, node: yaml.Node, kind: type[_Scalar]) -> _Scalar | None:
        """One value, or None after noting a fault. A whole number is also a ``float`` and a ``str``."""
        noun, tags = _KINDS[kind]
        if isinstance(node, yaml.ScalarNode) and node.tag.rpartition(":")[2] in tags:
            try:
                return kind(node.value)  # as people read it: YAML would take 010 for 8 and 1:30 for 90
            except ValueError:
                pass
        self.fault(node, f"expected {noun}, found {_kind(node)}", f"write {noun}")
        return None

    def strings(self, node: yaml.Node) -> tuple[str, ...]:
        """A list of text values."""
        values = (self.scalar(item, str) for item in self.items(node))
        return tuple(value for value in values if value is not None)


def raise_problems(documents: Iterable[Document]) -> None:
    """Raise :class:`~hbids.errors.UserInputError` with the problems of all ``documents`` when there are any."""
    problems = [text for document in documents for _, text in sorted(document.problems, key=lambda problem: problem[0])]
    if problems:
        raise UserInputError(problems)


def _line(mark: object) -> int:
    line: int = getattr(mark, "line", 0)  # a mark may be missing when a document was not read from text
    return line + 1


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"'{node.value[:40]}'" if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
