"""HTML read back: what a browser's parser would see, as far as tests ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

_VOID = {"meta", "br"}


@dataclass(slots=True)
class Node:
    """An element; ``pieces`` are its texts and children in order."""

    name: str
    attributes: dict[str, str | None]
    pieces: list[str | Node] = field(default_factory=list)

    def all(self, name: str, class_: str | None = None) -> list[Node]:
        """Elements below this one, in order."""
        found = []
        for piece in self.pieces:
            if isinstance(piece, Node):
                if piece.name == name and (class_ is None or class_ in (piece.attributes.get("class") or "").split()):
                    found.append(piece)
                found += piece.all(name, class_)
        return found

    @property
    def text(self) -> str:
        """All text, spaces as one."""
        return " ".join("".join(each.text if isinstance(each, Node) else each for each in self._spaced()).split())

    def _spaced(self) -> list[str | Node]:
        blocks = {"p", "li", "td", "th", "dd", "dt", "h1", "h2", "h3", "caption", "br", "text"}
        return [
            part
            for piece in self.pieces
            for part in ((" ", piece, " ") if isinstance(piece, Node) and piece.name in blocks else (piece,))
        ]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.open[-1].pieces.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.open[-1].pieces.append(data)


@dataclass(slots=True)
class Page:
    """A whole document."""

    source: str
    root: Node

    @classmethod
    def read(cls, source: str) -> Self:
        reader = _Reader()
        reader.feed(source)
        reader.close()
        assert len(reader.open) == 1, f"<{reader.open[-1].name}> is never closed"
        return cls(source, reader.open[0])

    def section(self, heading: str) -> Node:
        """The section under an h2."""
        (found,) = [
            each
            for each in self.root.all("section")
            if any(h.text == heading for h in each.pieces if isinstance(h, Node))
        ]
        return found
