"""HTML and SVG as trees of elements, so that text can only ever be text.

What comes from the wire may be anything; it stands in the tree as a string, and is escaped where the tree is written
out. There is no other way to put text into a page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Child", "dated", "document", "region", "table", "tag", "visible"]

Child = Element | str | None
"""None is left out."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?)")


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: str | float | None) -> Element:
    """An element. Attributes are written as in Python: ``class_`` is class, ``aria_label`` is aria-label."""
    element = Element(name)
    for key, value in attributes.items():
        if value is not None:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            element.set(key.rstrip("_").replace("_", "-"), visible(text))
    for child in children:
        for each in [child] if child is None or isinstance(child, (str, Element)) else child:
            _append(element, each)
    return element


def visible(text: str) -> str:
    """Characters without a shape (controls, marks that turn the direction of text) as escapes, to be seen as such."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def dated(text: str) -> list[Child]:
    """The same text, its dates and times not to be broken over lines."""
    pieces = _MOMENT.split(text)
    return [tag("time", piece) if number % 2 else piece for number, piece in enumerate(pieces) if piece]


def table(
    caption: str, heads: Iterable[str], rows: Iterable[Iterable[Child]], *, numbers: Iterable[int] = ()
) -> Element:
    """A table; the first cell of each row is its head. ``numbers``: columns that are aligned as numbers are."""
    right = set(numbers)
    aligned = [("num" if column in right else None, head) for column, head in enumerate(heads)]
    body = [
        tag(
            "tr",
            [
                tag("td" if column else "th", cell, class_=aligned[column][0], scope=None if column else "row")
                for column, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    head = tag("tr", [tag("th", head, class_=kind, scope="col") for kind, head in aligned])
    return region(caption, tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body)))


def region(label: str, *children: Child) -> Element:
    """What is scrolled sideways where the window is too narrow, with the keyboard, too."""
    return tag("div", *children, class_="scroll", role="region", aria_label=label, tabindex="0")


def document(title: str, style: str, style_hash: str, body: Element) -> str:
    """A whole page that may load nothing and run nothing. ``style`` is ours; ``style_hash`` is the base64 SHA-256 of
    it."""
    sheet = Element("style")
    sheet.text = style
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("meta", name_="robots", content="noindex"),
        tag("title", title),
        sheet,
    )
    return "<!DOCTYPE html>\n" + tostring(tag("html", head, body, lang="en"), encoding="unicode", method="html") + "\n"


def _append(element: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        element.append(child)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + visible(child)
    else:
        element.text = (element.text or "") + visible(child)
