"""``hbids signatures``: list, check and show detection content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbids.errors import UserInputError
from hbids.signatures import load, shipped, shipped_files

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Add the command and its actions."""
    parser = commands.add_parser("signatures", help="list, check and show signatures", description=__doc__)
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    actions.add_parser("list", help="one line each (the default)").set_defaults(run=_list)
    check = actions.add_parser("check", help="read signature files and report every mistake")
    check.add_argument("files", nargs="*", metavar="FILE", help="files to check; without any, those of hbids itself")
    check.set_defaults(run=_check)
    show = actions.add_parser("show", help="everything about one signature")
    show.add_argument("sid", type=int, metavar="SID")
    show.set_defaults(run=_show)


def _list(_: argparse.Namespace) -> int:
    for sid, signature in sorted(shipped().items()):
        print(f"{sid}  severity {signature.severity}  {signature.title}")
    return 0


def _check(args: argparse.Namespace) -> int:
    files = [Path(name) for name in args.files] or shipped_files()
    count = len(load(files))
    print(f"{count} signatures in {len(files)} file{'s' if len(files) != 1 else ''}: no mistakes")
    return 0


def _show(args: argparse.Namespace) -> int:
    signature = shipped().get(args.sid)
    if signature is None:
        raise UserInputError([f"no signature has sid {args.sid}: 'hbids signatures list' shows them all"])
    rows = [
        ("sid", str(signature.sid)),
        ("rev", str(signature.rev)),
        ("title", signature.title),
        ("category", signature.category),
        ("severity", str(signature.severity)),
        *((key, ", ".join(values)) for key, values in signature.metadata.items()),
        *(("reference", reference) for reference in signature.references),
        ("defined in", signature.place),
    ]
    for name, text in rows:
        print(f"{name:<22}{text}")
    return 0
