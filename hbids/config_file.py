"""The configuration file (``--config``): YAML with the names of :mod:`hbids.config`."""

from __future__ import annotations

from dataclasses import Field, fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hbids.assets import Asset, is_name, is_word, place_of
from hbids.config import (
    Capture,
    Config,
    Eve,
    Feedback,
    Limits,
    Memory,
    Output,
    Report,
    Sinks,
    Thresholds,
    settings_of,
)
from hbids.moments import moment_ns
from hbids.yamlsource import Document, raise_problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import yaml

__all__ = ["load", "threshold"]

_SECOND_NS = 1_000_000_000

_Section = TypeVar("_Section")


def load(path: str | Path | None = None, signatures: Sequence[str | Path] = ()) -> Config:
    """Read a configuration file; times are given in seconds, ``_s`` in place of ``_ns``.

    What the file leaves out keeps its default. ``signatures`` are files and folders of users' signatures, more than
    those that the file names itself, relative to itself; thresholds that they set come before those of the file. Raises
    :class:`~hbids.errors.UserInputError` with every mistake in any of the files.
    """
    config, documents, files = Config(), [], list(signatures)
    if path is not None:
        document = Document(Path(path))
        known = {entry.name.removesuffix("_ns") for entry in fields(Config)}
        nodes = document.mapping(document.root, known) if document.root is not None else {}
        config = Config(
            limits=_section(document, nodes, "limits", Limits),
            thresholds=_section(document, nodes, "thresholds", Thresholds),
            memory=_section(document, nodes, "memory", Memory),
            capture=_section(document, nodes, "capture", Capture),
            output=_section(document, nodes, "output", Output),
            eve=_section(document, nodes, "eve", Eve),
            report=_section(document, nodes, "report", Report),
            sinks=_section(document, nodes, "sinks", Sinks),
            feedback=_section(document, nodes, "feedback", Feedback),
            home_networks=_networks(document, nodes, "home_networks"),
            assets=_assets(document, nodes),
            authorized_scanners=_networks(document, nodes, "authorized_scanners"),
            disclosure_ns=_disclosure(document, nodes),
        )
        documents.append(document)
        named = document.strings(nodes["signatures"]) if "signatures" in nodes else ()
        files = [*(Path(path).parent / name for name in named), *files]
    if files:
        from hbids.user_signatures import read

        added, more = read(files)
        config = replace(config, signatures=added, thresholds=replace(config.thresholds, **added.thresholds))
        documents += more
    raise_problems(documents)
    return config


def _section(document: Document, nodes: Mapping[str, yaml.Node], name: str, kind: type[_Section]) -> _Section:
    if name not in nodes:
        return kind()
    settings = settings_of(kind)
    values: dict[str, Any] = {}
    for key, node in document.mapping(nodes[name], settings).items():
        value = _value(document, key, settings[key], node)
        if value is not None:
            values[settings[key].name] = value
    return kind(**values)


def threshold(document: Document, key: str, node: yaml.Node) -> int | None:
    """One of the thresholds, as users write them; None after noting a fault."""
    value = _value(document, key, settings_of(Thresholds)[key], node)
    return value if isinstance(value, int) else None


def _value(document: Document, key: str, entry: Field[Any], node: yaml.Node) -> str | int | tuple[int, ...] | None:
    if isinstance(entry.default, str):
        return _text(document, node, entry.metadata.get("words"))
    if isinstance(entry.default, tuple):
        ports = [_number(document, item, int, 1, _MOST_PORT) for item in document.items(node)]
        return tuple(port for port in ports if port is not None)
    if key == entry.name:
        return _number(document, node, int, entry.metadata.get("least", 1), entry.metadata.get("most", _MOST))
    least_s = entry.metadata.get("least", 1) / _SECOND_NS
    seconds = _number(document, node, float, least_s, _MOST_SECONDS)
    return None if seconds is None else round(seconds * _SECOND_NS)


def _text(document: Document, node: yaml.Node, words: tuple[str, ...] | None) -> str | None:
    text = document.scalar(node, str)
    if text is not None and words and text not in words:
        document.fault(node, f"'{text}' is none of its words", f"write {', '.join(words[:-1])} or {words[-1]}")
        return None
    return text


_MOST = 1 << 48
"""No count or size beyond this is meant; it fits every integer type on the way."""

_MOST_SECONDS = 1e9
"""Thirty years; still an int64 in nanoseconds."""

_MOST_PORT = 65_535

_Number = TypeVar("_Number", int, float)


def _number(document: Document, node: yaml.Node, kind: type[_Number], least: _Number, most: _Number) -> _Number | None:
    value = document.scalar(node, kind)
    if value is not None and not least <= value <= most:
        document.fault(node, f"{value} is out of range", f"write a number from {least} to {most}")
        return None
    return value


def _networks(document: Document, nodes: Mapping[str, yaml.Node], name: str) -> tuple[str, ...]:
    networks = []
    for node in document.items(nodes[name]) if name in nodes else []:
        text = document.scalar(node, str)
        try:
            networks += [] if text is None else [str(ip_network(text, strict=False))]
        except ValueError:
            document.fault(node, f"'{text}' is not a network", "write it like 10.0.0.0/8 or fd00::/8")
    return tuple(networks)


def _assets(document: Document, nodes: Mapping[str, yaml.Node]) -> tuple[Asset, ...]:
    assets = []
    for place, node in document.mapping(nodes["assets"]).items() if "assets" in nodes else ():
        words = document.strings(node)
        for word in words:
            if not is_word(word):
                document.fault(node, f"'{word}' does not describe an asset", "write a word like mail or web-login")
        if place_of(place) is None and not is_name(place):
            remedy = "write 10.0.0.0/8, 10.0.0.5, '10.0.0.5:443', '[fd00::5]:443' or '*.example.org'"
            document.fault(node, f"'{place}' is no network, address or host name", remedy)
        assets.append(Asset(place, words))
    return tuple(assets)


def _disclosure(document: Document, nodes: Mapping[str, yaml.Node]) -> int | None:
    text = document.scalar(nodes["disclosure"], str) if "disclosure" in nodes else None
    time_ns = None if text is None else moment_ns(text)
    if text is not None and time_ns is None:
        document.fault(nodes["disclosure"], f"'{text}' is no date", "write it like 2014-04-07 or 2014-04-07T17:30Z")
    return time_ns
