"""``python -m tools.sidecar_table CAPTURE...``: what replay says of captures, beside what the sidecar says of the
events that Suricata writes about them, as the table in docs/sidecar.md. Needs Suricata."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.sidecar.comparison import compared

__all__ = ["table_row"]

HEADER = """\
| capture | endpoint | replay | sidecar | leaked, replay | leaked, sidecar | evidence |
|---|---|---|---|---|---|---|"""


def table_row(capture: Path) -> str:
    """The rows of a capture, one an endpoint above ``exposed``; one where there is none."""
    comparison = compared(capture)
    replay, sidecar = comparison.endpoints("verdict", "leaked_bytes", "leaked_bytes_estimated")
    evidence = ", ".join(sorted(comparison.evidence)) or "-"
    places = [
        place for place in sorted(replay.keys() | sidecar.keys()) if _is_harmed(replay.get(place), sidecar.get(place))
    ]
    rows = [
        f"| {capture.name} | {place[0]}:{place[1]} | {_verdict(replay.get(place))} | {_verdict(sidecar.get(place))} "
        f"| {_leaked(replay.get(place))} | {_leaked(sidecar.get(place))} | {evidence} |"
        for place in places
    ]
    return "\n".join(rows or [f"| {capture.name} | - | nothing | nothing | - | - | {evidence} |"])


def _is_harmed(*said: tuple[Any, ...] | None) -> bool:
    return any(each is not None and each[0] != "exposed" for each in said)


def _verdict(said: tuple[Any, ...] | None) -> str:
    return "clear" if said is None else str(said[0])


def _leaked(said: tuple[Any, ...] | None) -> str:
    _, exact, estimated = said or (None, 0, 0)
    return " + ".join([f"{exact:,}"] * (exact > 0) + [f"~{estimated:,}"] * (estimated > 0)) or "-"


if __name__ == "__main__":
    print(HEADER)
    for argument in sys.argv[1:]:
        print(table_row(Path(argument)))
