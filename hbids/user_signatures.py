"""Signature files of users: what they change of hbids' own signatures, and the signatures they add.

Both stand in one list. A sid of hbids means a change, which says only what shall be otherwise; another sid is a
signature of the user's own, with a ``match``. docs/signatures.md shows how they are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from hbids import signatures
from hbids.columns import TABLES
from hbids.conditions import Match, read_match
from hbids.config import Thresholds, settings_of
from hbids.config_file import threshold
from hbids.signatures import CONTEXT_KEYS, OPTIONAL, REQUIRED, Signature
from hbids.yamlsource import Document, raise_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AddedSignature", "UserSignatures", "load", "read"]

OUR_SIDS = range(1_016_000, 1_017_000)
LOCAL_SIDS = range(1_000_000, 2_000_000)
"""What Suricata leaves to the rules of a site."""

MOST_ADDED = 1_000
"""Each is worked out over every step of facts."""

_CHANGES = (REQUIRED - {"sid"}) | OPTIONAL | {"enabled", "thresholds"}
_COUNTED = frozenset({"count", "within_s"})
_MOST_COUNT = 1 << 31
_MOST_SECONDS = 1e9
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class AddedSignature:
    """When a signature of a user's own is found."""

    sid: int
    match: Match
    shown: tuple[str, ...] = ()
    """Columns whose values go into the finding's context."""
    count: int = 1
    """Matching rows of one source at one endpoint that it takes."""
    within_ns: int = 0
    """The time they have for it."""


@dataclass(frozen=True, slots=True)
class UserSignatures:
    """What the files of a run say."""

    signatures: dict[int, Signature] = field(default_factory=dict)
    """Those changed and those added, by sid."""
    added: tuple[AddedSignature, ...] = ()
    disabled: frozenset[int] = frozenset()
    """Findings that shall not be told."""
    thresholds: dict[str, int] = field(default_factory=dict)
    """Fields of :class:`~hbids.config.Thresholds` that are set otherwise."""


def load(paths: Iterable[str | Path]) -> UserSignatures:
    """Read files and folders. Raises :class:`~hbids.errors.UserInputError` with every mistake in any of them."""
    user, documents = read(paths)
    raise_problems(documents)
    return user


def read(paths: Iterable[str | Path]) -> tuple[UserSignatures, list[Document]]:
    """As :func:`load`, but mistakes are left in the documents."""
    reader = _Reader()
    documents = [Document(path) for path in _files(paths)]
    for document in documents:
        defaults, nodes = signatures.entries(document)
        for node in nodes:
            reader.take(document, node, defaults)
    return UserSignatures(
        reader.signatures, tuple(reader.added), frozenset(reader.disabled), reader.thresholds
    ), documents


def _files(paths: Iterable[str | Path]) -> list[Path]:
    """Every file once; those of a folder by name."""
    files: dict[Path, Path] = {}
    for path in map(Path, paths):
        files |= {each.absolute(): each for each in _inside(path) or [path]}
    return list(files.values())


def _inside(path: Path) -> list[Path]:
    """The signature files in a folder; none of what is no folder, or cannot be read."""
    try:
        return sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return []


class _Reader:
    """Takes signatures in one by one; of two that contradict each other, the later is a mistake."""

    def __init__(self) -> None:
        self.signatures: dict[int, Signature] = {}
        self.added: list[AddedSignature] = []
        self.disabled: set[int] = set()
        self.thresholds: dict[str, int] = {}
        self._set_at: dict[str, str] = {}
        """Where each threshold was set."""

    def result(self) -> UserSignatures:
        """All that was taken."""
        return UserSignatures(self.signatures, tuple(self.added), frozenset(self.disabled), self.thresholds)

    def take(self, document: Document, node: yaml.Node, defaults: Signature) -> None:
        """Take one in; mistakes are noted in the document."""
        if not isinstance(node, yaml.MappingNode):
            document.mapping(node)  # which says so
            return
        sid = _sid(document, node)
        taken = self.signatures.get(sid)
        if taken:
            document.fault(node, f"sid {sid} is taken by {taken.place}", "keep one of them")
        if sid in OUR_SIDS:
            self._change(document, node, sid)
        else:
            self._add(document, node, sid, defaults)

    def _change(self, document: Document, node: yaml.Node, sid: int) -> None:
        ours = signatures.shipped().get(sid)
        if ours is None:
            document.fault(node, f"hbids has no signature {sid}", f"use one of `hbids signatures`, or {_local_sids()}")
            ours = Signature(sid, 0, "", "", 0, {}, [])  # the rest may be wrong as well
        fields = document.mapping(node, _CHANGES | {"sid"})
        self.signatures.setdefault(sid, signatures.changed(document, node, fields, ours))
        if "enabled" in fields and not _yes(document, fields["enabled"]):
            self.disabled.add(sid)
        if "thresholds" in fields:
            self._set_thresholds(document, fields["thresholds"], ours)

    def _set_thresholds(self, document: Document, node: yaml.Node, ours: Signature) -> None:
        only_named = isinstance(node, yaml.SequenceNode)  # as in our own files, or a copy of one
        values = {} if only_named else document.mapping(node)
        for name in document.strings(node) if only_named else values:
            if name not in ours.thresholds:
                remedy = f"it has {', '.join(ours.thresholds)}" if ours.thresholds else "leave it out"
                document.fault(values.get(name, node), f"{ours.sid} has no threshold '{name}'", remedy)
            elif name in values:
                self._set(document, name, values[name])

    def _set(self, document: Document, name: str, node: yaml.Node) -> None:
        value = threshold(document, name, node)
        entry = settings_of(Thresholds)[name].name
        if value is None:
            return
        if self.thresholds.setdefault(entry, value) != value:
            document.fault(node, f"{name} is another at {self._set_at[entry]}", "a threshold has one value for all")
        self._set_at.setdefault(entry, document.place(node))

    def _add(self, document: Document, node: yaml.Node, sid: int, defaults: Signature) -> None:
        faults_before = len(document.problems)
        fields = signatures.complete(document, node, REQUIRED | {"match"}, OPTIONAL | {"enabled"} | _COUNTED)
        match = read_match(document, fields["match"]) if "match" in fields else None
        columns = frozenset(TABLES[match.table]) if match else frozenset()
        names = CONTEXT_KEYS | columns if match else _EVERY_NAME
        checked = {name: value for name, value in fields.items() if name != "sid"}
        signature = replace(signatures.changed(document, node, checked, defaults, names), sid=sid)
        count, within_ns = _counted(document, node, fields)
        if sid:
            self.signatures.setdefault(sid, signature)
        if len(self.added) >= MOST_ADDED:
            document.fault(node, f"more than {MOST_ADDED} signatures of your own", "join some by lists of values")
        if "enabled" in fields and not _yes(document, fields["enabled"]):
            self.disabled.add(sid)
        elif match and len(document.problems) == faults_before:
            shown = tuple(dict.fromkeys([*match.columns, *(name for name in signature.names if name in columns)]))
            self.added.append(AddedSignature(sid, match, shown, count, within_ns))


_EVERY_NAME = CONTEXT_KEYS.union(*TABLES.values())


def _sid(document: Document, node: yaml.MappingNode) -> int:
    """The sid, on which depends how the rest is read; 0 when there is none."""
    nodes = [value for key, value in node.value if key.value == "sid"]
    sid = document.scalar(nodes[0], int) if nodes else None
    if sid is not None and sid not in LOCAL_SIDS:
        document.fault(nodes[0], f"{sid} is no sid of a site", f"use {_local_sids()}")
    return sid or 0


def _local_sids() -> str:
    return f"{LOCAL_SIDS.start} to {LOCAL_SIDS.stop - 1} without {OUR_SIDS.start} to {OUR_SIDS.stop - 1}"


def _counted(document: Document, node: yaml.Node, fields: Mapping[str, yaml.Node]) -> tuple[int, int]:
    """``count`` and ``within_s``, the latter in nanoseconds."""
    given = _COUNTED & fields.keys()
    if given != _COUNTED:
        if given:
            document.fault(node, f"{', '.join(given)} alone", "write both, such as count: 10 and within_s: 60")
        return 1, 0
    count, within_s = document.scalar(fields["count"], int), document.scalar(fields["within_s"], float)
    if count is not None and not 2 <= count <= _MOST_COUNT:
        document.fault(fields["count"], f"{count} is out of range", f"write a number from 2 to {_MOST_COUNT}")
    if within_s is None or not 1e-9 <= within_s <= _MOST_SECONDS:
        if within_s is not None:
            document.fault(
                fields["within_s"], f"{within_s} is out of range", f"write seconds, up to {_MOST_SECONDS:.0f}"
            )
        return 1, 0
    return count or 1, round(within_s * _SECOND_NS)


def _yes(document: Document, node: yaml.Node) -> bool:
    if node.value not in ("true", "false", "yes", "no"):
        document.fault(node, "expected true or false", "write false to silence it")
    return node.value in ("true", "yes")
