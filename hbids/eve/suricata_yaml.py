"""A suricata.yaml, read for what the sidecar needs of it: which evidence it gives, and what to add for more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from hbids.yamlsource import Document, raise_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CONTENT", "Lack", "check"]

CONTENT = Path(__file__).resolve().parents[1] / "signatures_data" / "suricata"
"""What hbids ships for Suricata: hbids.rules and hbids.yaml."""

_YES = ("yes", "true", "on", "1")
_SMALLEST_PAYLOAD_BYTES = 16_384
"""A stream's beginning with hello and certificate takes a few KB; longer ones are cut by Suricata."""
_MOST_INCLUDES = 32
_UNITS = {"": 1, "b": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "gb": 1 << 30, "gib": 1 << 30}


class Lack(NamedTuple):
    """Something that is missing."""

    evidence: str
    """What it costs."""
    what: str
    """What is missing, and what that means."""
    add: str
    """Lines that mend it."""


def check(path: Path) -> list[Lack]:
    """What a configuration lacks. Raises UserInputError when it, or a file that it includes, cannot be read."""
    return list(_lacks(_Settings(path)))


def _lacks(settings: _Settings) -> Iterator[Lack]:
    outputs = [eve for eve in settings.eve_logs() if _is_yes(eve.get("enabled"))]
    if not outputs:
        types = ("alert", "tls", "flow", "anomaly", "stats")
        yield Lack("all", "no eve-log is enabled under outputs", _eve_log(*types))
        return
    eve = next((eve for eve in outputs if "alert" in _types(eve)), outputs[0])
    logged = _types(eve)
    alert = logged.get("alert")
    yield from _of_alerts(alert)
    if not alert or not _is_yes(alert.get("payload")) or not _is_yes(alert.get("packet")):
        yield from _of_frames(logged, settings)
    yield from _of_rules(settings)
    yield from _of_tls(logged.get("tls"), settings)
    if not {"flow", "netflow"} & logged.keys():
        what = "neither flow nor netflow is logged: how flows ended, and what went each way"
        yield Lack("eve-flow", what, _eve_log("flow"))
    if not _logs_anomalies_of_parsers(logged.get("anomaly")):
        what = "anomalies of parsers are not logged: what Suricata gave up reading stays unknown, heartbeats among it"
        yield Lack("blind spots", what, _eve_log("anomaly:\n    types:\n      applayer: yes"))
    if "stats" not in logged:
        yield Lack("blind spots", "stats are not logged: what Suricata lost stays unknown", _eve_log("stats"))
    if not _is_yes(eve.get("community-id")):
        what = "community-id is off: hbids' alerts have it, Suricata's events of the same flow do not"
        yield Lack("joining", what, "outputs:\n  - eve-log:\n      community-id: yes")


def _of_alerts(alert: dict[str, Any] | None) -> Iterator[Lack]:
    if alert is None:
        yield Lack("eve-alert", "alerts are not logged", _eve_log("alert:\n    payload: yes\n    packet: yes"))
        return
    lacks = {
        "payload": "alerts have no payload: hellos, so cipher suites and tools, may stay unknown",
        "packet": "alerts have no packet: what was asked stays unknown",
    }
    for name, what in lacks.items():
        if not _is_yes(alert.get(name)):
            yield Lack("eve-alert", what, _eve_log(f"alert:\n    {name}: yes"))
    size = _bytes(alert.get("payload-buffer-size", "4kb"))
    if size is not None and size < _SMALLEST_PAYLOAD_BYTES:
        what = f"payload-buffer-size is {size} bytes: streams are cut before the heartbeat"
        yield Lack("eve-alert", what, _eve_log("alert:\n    payload-buffer-size: 64kb"))
    if not _is_yes(alert.get("tagged-packets", "yes")):
        what = "tagged-packets is off: what was answered can only be estimated by the flow"
        yield Lack("eve-alert", what, _eve_log("alert:\n    tagged-packets: yes"))


def _of_frames(logged: Mapping[str, Any], settings: _Settings) -> Iterator[Lack]:
    """Where packets are not logged, whatever the reason."""
    if "frame" not in logged:
        what = "neither packets nor frames are logged: how large sealed heartbeats were stays unknown"
        yield Lack("eve-frame", what, _eve_log("frame:\n    enabled: yes\n    payload-buffer-size: 1"))
    if not _is_yes(settings.get("stream.inline")):
        what = "stream.inline is not on: of an answer that leaks Suricata shows no frame"
        yield Lack("eve-frame", what, "stream.inline: yes")


def _logs_anomalies_of_parsers(anomaly: dict[str, Any] | None) -> bool:
    types = anomaly.get("types") if anomaly is not None else None
    return anomaly is not None and _is_yes(types.get("applayer", "yes") if isinstance(types, dict) else "yes")


def _of_rules(settings: _Settings) -> Iterator[Lack]:
    rules = CONTENT / "hbids.rules"
    wanted = set(re.findall(r"\bsid:(\d+);", rules.read_text()))
    active = re.compile(r"^\s*[a-z].*\bsid:\s*(\d+)\s*;", re.MULTILINE)
    if not wanted <= {sid for text in settings.rules() for sid in active.findall(text)}:
        what = "the rules of hbids are in none of rule-files: Suricata shows no heartbeat but the first that is odd"
        yield Lack("eve-alert", what, f"rule-files:\n  - {rules}")


def _of_tls(tls: dict[str, Any] | None, settings: _Settings) -> Iterator[Lack]:
    names = {
        name: settings.get(f"app-layer.protocols.tls.{name}") for name in ("ja3-fingerprints", "encryption-handling")
    }
    if names["encryption-handling"] == "bypass":
        what = "encryption-handling of tls is bypass: nothing sealed is seen, neither asked nor answered"
        yield Lack("eve-alert", what, "app-layer.protocols.tls.encryption-handling: default")
    if not _is_yes(names["ja3-fingerprints"]):
        what = "ja3-fingerprints is not on: who accepts the heartbeat extension is told by rules alone"
        yield Lack("exposure", what, "app-layer.protocols.tls.ja3-fingerprints: yes")
    fields = tls.get("custom") if tls else None
    if tls is None:
        yield Lack("exposure", "tls is not logged: who agrees to heartbeats", _eve_log("tls:\n    extended: yes"))
    elif isinstance(fields, list):
        if not {"ja3", "ja3s"} <= set(fields) and "server_handshake" not in fields:
            what = "custom fields of tls lack ja3 and ja3s: extensions and cipher suites stay unknown"
            yield Lack("exposure", what, _eve_log("tls:\n    custom: [sni, version, session_resumed, ja3, ja3s, ja4]"))
    elif not _is_yes(tls.get("extended", "yes")):
        yield Lack("exposure", "tls is not extended: it has no ja3", _eve_log("tls:\n    extended: yes"))


class _Settings:
    """A configuration with all that it includes; what comes later wins."""

    def __init__(self, path: Path) -> None:
        self._directory = path.parent
        self._documents: list[Document] = []
        self._values: dict[str, Any] = {}
        self._read(path)
        raise_problems(self._documents)

    def get(self, name: str) -> Any:
        """What stands under a dotted name, nested or written with its dots."""
        at: Any = self._values
        for key in name.split("."):
            at = at.get(key) if isinstance(at, dict) else None
        return self._values.get(name, at)

    def eve_logs(self) -> list[dict[str, Any]]:
        """The settings of each."""
        outputs = self._values.get("outputs")
        items = outputs if isinstance(outputs, list) else []
        return [eve for item in items if isinstance(item, dict) and isinstance(eve := item.get("eve-log"), dict)]

    def rules(self) -> Iterator[str]:
        """The texts of the rule files that can be read."""
        names = self._values.get("rule-files")
        directory = Path(str(self._values.get("default-rule-path") or self._directory))
        for name in names if isinstance(names, list) else []:
            try:
                yield (directory / str(name)).read_text(errors="replace")
            except OSError:
                continue

    def _read(self, path: Path) -> None:
        if len(self._documents) >= _MOST_INCLUDES:
            return
        document = Document(path)
        self._documents.append(document)
        if not isinstance(document.root, yaml.MappingNode):
            return
        for key, node in document.root.value:
            if key.value == "include":
                for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
                    self._read(self._directory / str(item.value))
            else:
                self._values[str(key.value)] = _plain(node)


def _plain(node: yaml.Node) -> Any:
    """What a node says; scalars are text."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return str(node.value)


def _types(eve: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The enabled types of an eve-log, with their settings."""
    found: dict[str, dict[str, Any]] = {}
    items = eve.get("types")
    for item in items if isinstance(items, list) else []:
        named = item if isinstance(item, dict) else {str(item): {}}
        for name, settings in named.items():
            given = settings if isinstance(settings, dict) else {}
            if _is_yes(given.get("enabled", "yes")):
                found[name] = given
    return found


def _is_yes(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in _YES


def _bytes(value: Any) -> int | None:
    found = re.fullmatch(r"(\d{1,12})\s*([a-z]*)", str(value).strip().lower())
    unit = _UNITS.get(found[2]) if found else None
    return int(found[1]) * unit if found and unit else None


def _eve_log(*types: str) -> str:
    indented = "\n".join("        - " + item.replace("\n", "\n        ") for item in types)
    return f"outputs:\n  - eve-log:\n      enabled: yes\n      types:\n{indented}"
