"""``python -m tools.sidecar_table CAPTURE...``: what replay says of captures, beside what the sidecar says of the
events that Suricata writes about them, as the tables in docs/sidecar.md. Needs Suricata.

With ``--less``, what it says where Suricata has nothing but its own rules for TLS, and where it logs sizes alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.sidecar.comparison import compared

if TYPE_CHECKING:
    from tests.sidecar.comparison import Comparison

__all__ = ["less_rows", "table_row"]

HEADER = """\
| capture | endpoint | replay | sidecar | leaked, replay | leaked, sidecar | evidence |
|---|---|---|---|---|---|---|"""
HEADER_OF_LESS = """\
| capture | endpoint | replay | Suricata as it comes | sizes alone |
|---|---|---|---|---|"""
_SAID = ("verdict", "leaked_bytes", "leaked_bytes_estimated")


def table_row(capture: Path) -> str:
    """The rows of a capture, one an endpoint above ``exposed``; one where there is none."""
    comparison = compared(capture)
    replay, sidecar = comparison.endpoints(*_SAID)
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


def less_rows(capture: Path) -> str:
    """The rows of a capture in the second table; none where nobody was harmed."""
    stock, sizes = compared(capture, content="stock"), compared(capture, content="sizes")
    replay, by_stock = stock.endpoints(*_SAID)
    _, by_sizes = sizes.endpoints(*_SAID)
    return "\n".join(
        f"| {capture.name} | {place[0]}:{place[1]} | {_told(replay.get(place))} "
        f"| {_told(by_stock.get(place), stock)} | {_told(by_sizes.get(place), sizes)} |"
        for place in sorted(replay.keys() | by_stock.keys() | by_sizes.keys())
        if _is_harmed(replay.get(place), by_stock.get(place), by_sizes.get(place))
    )


def _is_harmed(*said: tuple[Any, ...] | None) -> bool:
    return any(each is not None and each[0] != "exposed" for each in said)


def _told(said: tuple[Any, ...] | None, comparison: Comparison | None = None) -> str:
    """Verdict and leaked bytes, and what they rest on."""
    leaked = _leaked(said)
    text = _verdict(said) if leaked == "-" else f"{_verdict(said)}, {leaked}"
    evidence = ", ".join(sorted(comparison.evidence)) if comparison and _is_harmed(said) else ""
    return f"{text} ({evidence})" if evidence else text


def _verdict(said: tuple[Any, ...] | None) -> str:
    return "clear" if said is None else str(said[0])


def _leaked(said: tuple[Any, ...] | None) -> str:
    _, exact, estimated = said or (None, 0, 0)
    return " + ".join([f"{exact:,}"] * (exact > 0) + [f"~{estimated:,}"] * (estimated > 0)) or "-"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.sidecar_table", description=__doc__)
    parser.add_argument("captures", nargs="+", type=Path, metavar="CAPTURE")
    parser.add_argument("--less", action="store_true", help="with less than all that hbids makes Suricata show")
    args = parser.parse_args()
    print(HEADER_OF_LESS if args.less else HEADER)
    for path in args.captures:
        if rows := less_rows(path) if args.less else table_row(path):
            print(rows)
