"""Tools and what gives them away: the entries of ``signatures/tools/tools.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import yaml

    from hbids.yamlsource import Document

__all__ = ["SESSION_CONSTANTS", "UNKNOWN", "Tool", "load", "most_telling", "shipped"]

SESSION_CONSTANTS = ("client_random", "server_random", "ja3")
"""What a tool may be known by in its session, as lower-case hex; a beginning is enough."""

UNKNOWN = "unknown"
"""The class of a tool that is not recognised."""

_NUMBERS = ("request_bytes", "claimed_length", "server_port")
_WORDS = {
    "sealed": ("true", "false"),
    "negotiated": ("true", "false"),
    "phase": ("before_server_hello", "handshake", "after"),
    "victim": ("server", "client"),
    "outcome": ("leak", "silence"),
}
_CLASSES = ("checker", "research scanner", "exploit")
_CONFIDENCES = ("High", "Medium", "Low")
_REQUIRED = ("name", "class", "confidence", "match")


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to recognise a tool. Every entry of ``numbers``, ``words`` and ``session`` must hold."""

    name: str
    tool_class: str
    """``checker``, ``research scanner`` or ``exploit``."""
    confidence: str
    """``High``, ``Medium`` or ``Low``."""
    numbers: dict[str, range]
    words: dict[str, str | bool]
    session: dict[str, str]
    """Beginnings of :data:`SESSION_CONSTANTS`."""
    copy_of: str | None = None
    """The name of the tool it was made of."""

    @property
    def strength(self) -> int:
        """How telling a match is: constants before sizes, sizes before a JA3."""
        if self.session.keys() - {"ja3"}:
            return 2
        return 0 if self.session else 1

    def matches(self, request: dict[str, object], session: Mapping[str, str]) -> bool:
        """Whether a request and its session (empty when not known) look like this tool."""
        return (
            all(request.get(name) in numbers for name, numbers in self.numbers.items())
            and all(request.get(name) == word for name, word in self.words.items())
            and all(session.get(name, "").startswith(value) for name, value in self.session.items())
        )

    def may_yet_match(self, request: dict[str, object], session: Mapping[str, str]) -> bool:
        """Whether they look like this tool but for what comes back, by which it is known."""
        return "outcome" in self.words and self.matches(request | {"outcome": self.words["outcome"]}, session)


def most_telling(fitting: Iterable[Tool]) -> Tool | None:
    """Which of the entries that fit names the tool: one name, or the one of which all others are copies."""
    fitting = list(fitting)
    strongest = max((tool.strength for tool in fitting), default=0)
    fitting = [tool for tool in fitting if tool.strength == strongest]
    originals = {tool.copy_of for tool in fitting}
    copies = [tool for tool in fitting if tool.name not in originals]
    if len({tool.name for tool in copies}) > 1:
        parents = {tool.copy_of for tool in copies}
        copies = [tool for tool in fitting if parents == {tool.name}]
    return copies[0] if copies else None


@cache
def shipped() -> tuple[Tool, ...]:
    """The tools that hbids knows."""
    return load(Path(__file__).parent / "signatures_data" / "tools" / "tools.yaml")


def load(path: Path) -> tuple[Tool, ...]:
    """Read a file. Raises :class:`~hbids.errors.UserInputError` with every mistake in it."""
    from hbids.yamlsource import Document, raise_problems

    document = Document(path)
    tools: list[Tool] = []
    if document.root is not None:
        top = document.mapping(document.root, ("tools",))
        nodes = document.items(top["tools"]) if "tools" in top else []
        tools = [tool for node in nodes if (tool := _tool(document, node)) is not None]
    raise_problems([document])
    return tuple(tools)


def _tool(document: Document, node: yaml.Node) -> Tool | None:
    fields = document.mapping(node, (*_REQUIRED, "copy_of"))
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        document.fault(node, f"a tool without {', '.join(missing)}", "every tool says these")
        return None
    numbers: dict[str, range] = {}
    words: dict[str, str | bool] = {"victim": "server"}
    session: dict[str, str] = {}
    for name, value in document.mapping(fields["match"], (*_NUMBERS, *_WORDS, *SESSION_CONSTANTS)).items():
        if name in SESSION_CONSTANTS:
            session[name] = str(value.value).lower()
        elif name in _NUMBERS:
            numbers[name] = _range(document, value)
        else:
            word = _one_of(document, value, _WORDS[name])
            words[name] = {"true": True, "false": False}.get(word, word)
    return Tool(
        document.scalar(fields["name"], str) or "",
        _one_of(document, fields["class"], _CLASSES),
        _one_of(document, fields["confidence"], _CONFIDENCES),
        numbers,
        words,
        session,
        document.scalar(fields["copy_of"], str) if "copy_of" in fields else None,
    )


def _range(document: Document, node: yaml.Node) -> range:
    first, dots, last = str(node.value).partition("..")
    if not first.isdecimal() or not (last.isdecimal() if dots else not last):
        document.fault(node, "expected a number or a range", "write 3 or 20..64")
        return range(0)
    return range(int(first), int(last or first) + 1)


def _one_of(document: Document, node: yaml.Node, words: tuple[str, ...]) -> str:
    if node.value not in words:
        document.fault(node, f"expected one of {', '.join(words)}", f"write {words[0]}")
    return str(node.value)
