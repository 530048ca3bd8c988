"""Tools and what gives them away: the entries of ``signatures/tools/tools.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

    from hbids.yamlsource import Document

__all__ = ["SESSION_CONSTANTS", "Tool", "load", "shipped"]

SESSION_CONSTANTS = ("client_random", "server_random", "ja3")
"""What a tool may be known by in its session, as lower-case hex; a beginning is enough."""

_REQUEST_NUMBERS = ("request_bytes", "claimed_length")
_KINDS = ("checker", "research", "exploit")
_VICTIMS = ("server", "client")
_REQUIRED = ("name", "kind", "confidence", "match")


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to recognise a tool. Every entry of ``request`` and ``session`` must hold."""

    name: str
    kind: str
    """``checker``, ``research`` or ``exploit``."""
    confidence: str
    request: dict[str, int | bool | str]
    """Of the request: ``sealed``, ``request_bytes``, ``claimed_length``, ``victim``."""
    session: dict[str, str]
    """Of the session: beginnings of :data:`SESSION_CONSTANTS`."""

    def matches(self, request: Mapping[str, object], session: Mapping[str, str]) -> bool:
        """Whether a request and its session (empty when not known) look like this tool."""
        return all(request.get(name) == value for name, value in self.request.items()) and all(
            session.get(name, "").startswith(value) for name, value in self.session.items()
        )


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
    fields = document.mapping(node, _REQUIRED)
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        document.fault(node, f"a tool without {', '.join(missing)}", "every tool says these")
        return None
    request: dict[str, int | bool | str] = {}
    session: dict[str, str] = {}
    known = ("sealed", "victim", *_REQUEST_NUMBERS, *SESSION_CONSTANTS)
    for name, value in document.mapping(fields["match"], known).items():
        if name in SESSION_CONSTANTS:
            session[name] = str(value.value).lower()
        elif name in _REQUEST_NUMBERS:
            request[name] = document.scalar(value, int) or 0
        elif name == "sealed":
            request[name] = _one_of(document, value, ("true", "false")) == "true"
        else:
            request[name] = _one_of(document, value, _VICTIMS)
    return Tool(
        document.scalar(fields["name"], str) or "",
        _one_of(document, fields["kind"], _KINDS),
        _one_of(document, fields["confidence"], ("High", "Medium", "Low")),
        request,
        session,
    )


def _one_of(document: Document, node: yaml.Node, words: tuple[str, ...]) -> str:
    if node.value not in words:
        document.fault(node, f"expected one of {', '.join(words)}", f"write {words[0]}")
    return str(node.value)
