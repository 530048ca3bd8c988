"""An eve.json as a busy network fills it: what Suricata wrote over ordinary traffic, over and over at later times, with
an attack now and then."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from benchmarks.measure import REPOSITORY
from benchmarks.web_traffic import write_captures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["write_log"]

CONTENT = REPOSITORY / "signatures" / "suricata"
ATTACK = REPOSITORY / "pcaps" / "scan_vuln_stafford.pcap"
ATTACK_EVERY = 10
"""Copies between two attacks."""
ALSO_LOGGED = ["http", "dns", "smtp", "ssh", "quic", {"files": {"force-magic": False}}]
"""What suricata.yaml has from the start, beside what hbids needs."""
_TIME = re.compile(rb"([0-9-]{10}T[0-9:]{8})(?=\.[0-9]{6}\+0000)")
_FLOW_ID = re.compile(rb'"flow_id":([0-9]+)')
_END = re.compile(rb'"end":"([^"]{31})"')
_TIME_AT = len('{"timestamp":"')
_TIME_END = _TIME_AT + len("2026-11-23T17:50:59.567938+0000")
_FLOW_ID_MASK = (1 << 51) - 1


class Line(NamedTuple):
    """A line to be written again and again."""

    time: bytes
    form: bytes
    """With room for the seconds of its time, the flow_id, and the seconds of its other times."""
    flow_id: int
    seconds: tuple[int, ...]


def write_log(path: Path, size_bytes: int, captures: Sequence[Path] = ()) -> None:
    """Write so many bytes, or a few more. Two logs of the same captures begin alike."""
    captures = captures or write_captures(path.parent)
    ordinary = sorted(line for capture in captures for line in _lines(capture, path.parent))
    attack = sorted(_lines(ATTACK, path.parent))
    attack_later_s = ordinary[0].seconds[0] - attack[0].seconds[0]
    step_s = ordinary[-1].seconds[0] - ordinary[0].seconds[0] + 1
    written = copy = 0
    with path.open("wb") as file:
        while written < size_bytes:
            if copy % ATTACK_EVERY == ATTACK_EVERY // 2:
                written += file.write(_again(attack, copy, attack_later_s + copy * step_s))
            written += file.write(_again(ordinary, copy, copy * step_s))
            copy += 1


def _again(lines: list[Line], copy: int, later_s: int) -> bytes:
    """Another copy, of other flows."""
    again = []
    for line in lines:
        first, *others = [_text(second + later_s) for second in line.seconds]
        again.append(line.form % (first, line.flow_id + copy & _FLOW_ID_MASK, *others))
    return b"".join(again)


def _lines(capture: Path, folder: Path) -> Iterator[Line]:
    """What Suricata says of flows in a capture."""
    for written in _eve(capture, folder).splitlines(keepends=True):
        flow_id = _FLOW_ID.search(written)
        if flow_id is not None:
            line = _live(written)
            form = _TIME.sub(b"%b", line.replace(b"%", b"%%").replace(flow_id[0], b'"flow_id":%d', 1))
            seconds = tuple(map(_second, _TIME.findall(line)))
            yield Line(line[_TIME_AT:_TIME_END], form, int(flow_id[1]), seconds)


def _live(line: bytes) -> bytes:
    """Live, Suricata writes of a flow when that is over; reading a capture, it gives all flows the first time there
    is."""
    end = _END.search(line) if b'"event_type":"flow"' in line else None
    return line if end is None else line[:_TIME_AT] + end[1] + line[_TIME_END:]


def _eve(capture: Path, folder: Path) -> bytes:
    options = ["--include", str(_fragment(folder)), "-S", str(CONTENT / "hbids.rules"), "-k", "none"]
    command = ["suricata", "-c", "/etc/suricata/suricata.yaml", *options, "-r", str(capture), "-l", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    eve = folder / "eve.json"
    said = eve.read_bytes()
    eve.unlink()
    return said


def _fragment(folder: Path) -> Path:
    """What hbids needs, and the usual."""
    content = yaml.safe_load((CONTENT / "hbids.yaml").read_text())
    content["outputs"][0]["eve-log"]["types"] += ALSO_LOGGED
    path = folder / "busy.yaml"
    path.write_text("%YAML 1.1\n---\n" + yaml.safe_dump(content))
    return path


def _second(text: bytes) -> int:
    return int(datetime.fromisoformat(text.decode()).replace(tzinfo=UTC).timestamp())


@lru_cache(maxsize=4_096)
def _text(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
