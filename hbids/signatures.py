"""Detection content: what each finding is called, how grave it is, and what to read about it.

The files lie in ``signatures/`` of the source tree and ship inside the package as ``signatures_data``. A signature's
title is a template over the numbers of the finding, because the signature text is often all that a consumer of alerts
keeps.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import yaml

    from hbids.user_signatures import UserSignatures
    from hbids.yamlsource import Document

__all__ = [
    "CONTEXT_KEYS",
    "OPTIONAL",
    "REQUIRED",
    "SENSOR_SIDS",
    "Signature",
    "changed",
    "complete",
    "entries",
    "in_force",
    "load",
    "shipped",
    "shipped_files",
]

CONTEXT_KEYS = frozenset(
    {
        "alert_id",
        "answer_bytes",
        "answer_records",
        "answers",
        "answers_per_hour",
        "assets",
        "authorized_scanner",
        "before_disclosure",
        "bytes_to_client",
        "bytes_to_server",
        "claimed_length",
        "conflicts",
        "evidence",
        "first_seen",
        "flows",
        "frames",
        "frames_lost",
        "key_effort",
        "last_seen",
        "leaked_bytes",
        "leaked_bytes_estimated",
        "matches",
        "message_id",
        "midstream",
        "negotiated",
        "network",
        "network_direction",
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

SENSOR_SIDS = range(1016900, 1017000)
"""Signatures of the sensor itself; all others are some detector's."""

REQUIRED = frozenset({"sid", "rev", "title", "category", "severity"})
OPTIONAL = frozenset({"metadata", "references"})
_MOST_NUMBER = 2**32 - 1
"""Suricata keeps sid and rev in 32 bits."""


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
    place: str = ""
    """``file:line`` of its definition."""
    thresholds: tuple[str, ...] = ()
    """Of :class:`~hbids.config.Thresholds`, those the finding rests on, by the names that configuration files use."""

    def text(self, context: Mapping[str, Any]) -> str:
        """The title with the finding's numbers filled in; ``?`` stands for a number that is not known."""
        return self.title.format_map(_Known(context))

    @property
    def names(self) -> list[str]:
        """Those that the title fills in."""
        return [name for _, name, _, _ in string.Formatter().parse(self.title) if name]


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


@cache
def shipped() -> dict[int, Signature]:
    """The signatures that come with hbids, by sid."""
    return load(shipped_files())


def in_force(user: UserSignatures | None) -> dict[int, Signature]:
    """The signatures of a run: those of hbids, and what a user made of them and added."""
    return shipped() | user.signatures if user else shipped()


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
    defaults, nodes = entries(document)
    for node in nodes:
        faults_before = len(document.problems)
        fields = complete(document, node, REQUIRED, OPTIONAL | {"thresholds"})
        signature = changed(document, node, fields, defaults)
        if "thresholds" in fields:
            signature = replace(signature, thresholds=_thresholds(document, fields["thresholds"]))
        if len(document.problems) == faults_before:
            yield signature, node


def entries(document: Document) -> tuple[Signature, list[yaml.Node]]:
    """What a file says of all its signatures, and the nodes of each."""
    defaults = Signature(0, 0, "", "", 0, {}, [])
    if document.root is None:
        return defaults, []
    top = document.mapping(document.root, {"defaults", "signatures"})
    if "defaults" in top:
        node = top["defaults"]
        defaults = changed(document, node, document.mapping(node, OPTIONAL), defaults)
    if "signatures" not in top:
        document.fault(document.root, "no signatures", "add a list under 'signatures:'")
        return defaults, []
    return defaults, document.items(top["signatures"])


def complete(
    document: Document, node: yaml.Node, required: frozenset[str], optional: frozenset[str]
) -> dict[str, yaml.Node]:
    """The entries of a signature; what is missing is noted."""
    fields = document.mapping(node, required | optional)
    missing = ", ".join(sorted(required - fields.keys()))
    if missing:
        document.fault(node, f"a signature without {missing}", "every signature says these itself")
    return fields


def changed(
    document: Document,
    node: yaml.Node,
    fields: Mapping[str, yaml.Node],
    base: Signature,
    names: frozenset[str] = CONTEXT_KEYS,
) -> Signature:
    """The signature that an entry makes of ``base``; what it leaves out stays. ``names`` may be filled into titles."""
    values: dict[str, Any] = {"place": document.place(node)}
    for name, most in (("sid", _MOST_NUMBER), ("rev", _MOST_NUMBER), ("severity", 4)):
        if name in fields:
            values[name] = _number(document, fields[name], most)
    if "title" in fields:
        values["title"] = _title(document, fields["title"], names)
    if "category" in fields:
        values["category"] = document.scalar(fields["category"], str) or ""
    if "metadata" in fields:
        own = document.mapping(fields["metadata"])
        values["metadata"] = base.metadata | {key: _strings(document, value) for key, value in own.items()}
    if "references" in fields:
        values["references"] = _strings(document, fields["references"])
    return replace(base, **values)


def _thresholds(document: Document, node: yaml.Node) -> tuple[str, ...]:
    from hbids.config import Thresholds, settings_of

    names, known = document.strings(node), settings_of(Thresholds)
    for name in names:
        if name not in known:
            document.fault(node, f"there is no threshold '{name}'", f"use names of {', '.join(sorted(known))}")
    return names


def _number(document: Document, node: yaml.Node, most: int) -> int:
    value = document.scalar(node, int)
    if value is not None and not 1 <= value <= most:
        document.fault(node, f"{value} is out of range", f"write a number from 1 to {most}")
    return value or 0


def _strings(document: Document, node: yaml.Node) -> list[str]:
    if isinstance(node.value, list) and not node.value:
        document.fault(node, "an empty list", "give a value or leave the key out")  # EVE forbids empty arrays
    return list(document.strings(node))


def _title(document: Document, node: yaml.Node, names: frozenset[str]) -> str:
    from difflib import get_close_matches

    title = document.scalar(node, str) or ""
    try:
        fields = [field for field in string.Formatter().parse(title) if field[1] is not None]
    except ValueError as error:
        document.fault(node, f"title: {error}", "write {name} for a number and {{ or }} for a brace")
        return title
    wrong = [f"{{{name}}}" for _, name, width, conversion in fields if name not in names or width or conversion]
    if wrong:
        near = get_close_matches(wrong[0].strip("{}"), names)
        remedy = f"{', '.join(near)} would do" if near else f"write just a name, one of {', '.join(sorted(names))}"
        document.fault(node, f"title: cannot fill in {', '.join(wrong)}", remedy)
    return title
