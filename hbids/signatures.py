"""Detection content: what each finding is called, how grave it is, and what to read about it.

The files lie in ``signatures/`` of the source tree and ship inside the package as ``signatures_data``. A signature's
title is a template over the numbers of the finding, because the signature text is often all that a consumer of alerts
keeps.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import yaml

    from hbids.yamlsource import Document

__all__ = ["CONTEXT_KEYS", "Signature", "load", "shipped", "shipped_files"]

CONTEXT_KEYS = frozenset(
    {
        "alert_id",
        "answer_bytes",
        "answer_records",
        "answers",
        "answers_per_hour",
        "bytes_to_client",
        "bytes_to_server",
        "claimed_length",
        "conflicts",
        "evidence",
        "first_seen",
        "flows",
        "key_effort",
        "last_seen",
        "leaked_bytes",
        "leaked_bytes_estimated",
        "message_id",
        "midstream",
        "negotiated",
        "network",
        "overread",
        "packets_to_client",
        "packets_to_server",
        "phase",
        "present_length",
        "record_length",
        "record_version",
        "request_bytes",
        "request_id",
        "requests",
        "sealed",
        "sources",
        "tool",
        "tool_class",
        "tool_confidence",
        "tools",
        "transport",
        "usual_flows",
        "verdict",
        "victim",
        "window_s",
    }
)
"""The keys of ``Finding.context``, and so what a title may name. docs/eve.md says what each means."""

_REQUIRED = frozenset({"sid", "rev", "title", "category", "severity"})
_OPTIONAL = frozenset({"metadata", "references"})


@dataclass(frozen=True, slots=True)
class Signature:
    """One kind of finding. ``sid`` never changes meaning; ``rev`` counts changes of text or grading."""

    sid: int
    rev: int
    title: str
    category: str
    """As in Suricata's classification.config."""
    severity: int
    """1 (worst) to 4."""
    metadata: dict[str, list[str]]
    references: list[str]
    place: str
    """``file:line`` of its definition."""

    def text(self, context: Mapping[str, Any]) -> str:
        """The title with the finding's numbers filled in; ``?`` stands for a number that is not known."""
        return self.title.format_map(_Known(context))


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


@cache
def shipped() -> dict[int, Signature]:
    """The signatures that come with hbids, by sid."""
    return load(shipped_files())


def shipped_files() -> list[Path]:
    """Where they are. ``importlib.resources`` would say the same, and costs 20 ms to import."""
    return sorted((Path(__file__).parent / "signatures_data").glob("*.yaml"))


def load(paths: Iterable[Path]) -> dict[int, Signature]:
    """Read signature files. Raises :class:`~hbids.errors.UserInputError` with every mistake in any of them."""
    from hbids.yamlsource import Document, raise_problems

    documents = [Document(path) for path in paths]
    found: dict[int, Signature] = {}
    for document in documents:
        for signature, node in _signatures(document):
            if signature.sid in found:
                document.fault(node, f"sid {signature.sid} is taken by {found[signature.sid].place}", "choose another")
            found.setdefault(signature.sid, signature)
    raise_problems(documents)
    return found


def _signatures(document: Document) -> Iterable[tuple[Signature, yaml.Node]]:
    if document.root is None:
        return  # unreadable and noted, or an empty file with nothing to say
    top = document.mapping(document.root, {"defaults", "signatures"})
    defaults = _extras(document, document.mapping(top["defaults"], _OPTIONAL)) if "defaults" in top else _Extras({}, [])
    if "signatures" not in top:
        document.fault(document.root, "no signatures", "add a list under 'signatures:'")
        return
    for node in document.items(top["signatures"]):
        faults_before = len(document.problems)
        signature = _signature(document, node, defaults)
        if len(document.problems) == faults_before:
            yield signature, node


class _Extras(NamedTuple):
    metadata: dict[str, list[str]]
    references: list[str]


def _extras(document: Document, fields: Mapping[str, yaml.Node]) -> _Extras:
    metadata = document.mapping(fields["metadata"]) if "metadata" in fields else {}
    references = _strings(document, fields["references"]) if "references" in fields else []
    return _Extras({key: _strings(document, value) for key, value in metadata.items()}, references)


def _signature(document: Document, node: yaml.Node, defaults: _Extras) -> Signature:
    fields = document.mapping(node, _REQUIRED | _OPTIONAL)
    missing = ", ".join(sorted(_REQUIRED - fields.keys()))
    if missing:
        document.fault(node, f"a signature without {missing}", "every signature says these itself")
    own = _extras(document, fields)
    return Signature(
        sid=_number(document, fields.get("sid"), 2**32 - 1),  # Suricata keeps sid and rev in 32 bits
        rev=_number(document, fields.get("rev"), 2**32 - 1),
        title=_title(document, fields.get("title")),
        category=_text(document, fields.get("category")),
        severity=_number(document, fields.get("severity"), 4),
        metadata=defaults.metadata | own.metadata,
        references=own.references or defaults.references,
        place=document.place(node),
    )


def _number(document: Document, node: yaml.Node | None, most: int) -> int:
    value = document.scalar(node, int) if node is not None else None
    if node is None or value is None:
        return 0
    if not 1 <= value <= most:
        document.fault(node, f"{value} is out of range", f"write a number from 1 to {most}")
    return value


def _text(document: Document, node: yaml.Node | None) -> str:
    value = document.scalar(node, str) if node is not None else None
    return value or ""


def _strings(document: Document, node: yaml.Node) -> list[str]:
    if isinstance(node.value, list) and not node.value:
        document.fault(node, "an empty list", "give a value or leave the key out")  # EVE forbids empty arrays
    return list(document.strings(node))


def _title(document: Document, node: yaml.Node | None) -> str:
    title = _text(document, node)
    if node is None:
        return title
    try:
        fields = [field for field in string.Formatter().parse(title) if field[1] is not None]
    except ValueError as error:
        document.fault(node, f"title: {error}", "write {name} for a number and {{ or }} for a brace")
        return title
    wrong = [f"{{{name}}}" for _, name, width, conversion in fields if name not in CONTEXT_KEYS or width or conversion]
    if wrong:
        known = ", ".join(sorted(CONTEXT_KEYS))
        document.fault(node, f"title: cannot fill in {', '.join(wrong)}", f"write just a name, one of {known}")
    return title
