"""``hbids signatures``: list, check and show detection content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids import fingerprints
from hbids.cli.options import add_config_options, config_of
from hbids.errors import UserInputError
from hbids.signatures import in_force, load, shipped_files

if TYPE_CHECKING:
    import argparse

    from hbids.config import Config
    from hbids.signatures import Signature

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Add the command and its actions."""
    parser = commands.add_parser("signatures", help="list, check and show signatures", description=__doc__)
    parser.set_defaults(run=_list, config=None, signatures=[], home_net=None, disclosure=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="one line each (the default)")
    listing.set_defaults(run=_list)
    check = actions.add_parser("check", help="read signature files and report every mistake")
    check.add_argument(
        "signatures", nargs="*", metavar="FILE|DIR", help="files to check; without any, those of hbids itself"
    )
    check.set_defaults(run=_check)
    show = actions.add_parser("show", help="everything about one signature")
    show.add_argument("sid", type=int, metavar="SID")
    show.set_defaults(run=_show)
    for action in (listing, show):
        add_config_options(action)


def _list(args: argparse.Namespace) -> int:
    config = config_of(args)
    for sid, signature in sorted(in_force(config.signatures).items()):
        state = "" if _is_enabled(sid, config) else "  (disabled)"
        print(f"{sid}  severity {signature.severity}  {signature.title}{state}")
    return 0


def _check(args: argparse.Namespace) -> int:
    if args.signatures:
        user = config_of(args).signatures
        found = user.signatures if user else {}
    else:
        found = load(shipped_files())
        fingerprints.shipped()
    files = len({signature.place.rpartition(":")[0] for signature in found.values()})
    print(f"{len(found)} signatures in {files} file{'s' if files != 1 else ''}: no mistakes")
    return 0


def _show(args: argparse.Namespace) -> int:
    config = config_of(args)
    signature = in_force(config.signatures).get(args.sid)
    if signature is None:
        raise UserInputError([f"no signature has sid {args.sid}: 'hbids signatures list' shows them all"])
    for name, text in _rows(signature, config):
        print(f"{name:<22}{text}")
    return 0


def _rows(signature: Signature, config: Config) -> list[tuple[str, str]]:
    from hbids.cli.thresholds import described

    return [
        ("sid", str(signature.sid)),
        ("rev", str(signature.rev)),
        ("title", signature.title),
        ("category", signature.category),
        ("severity", str(signature.severity)),
        ("enabled", "yes" if _is_enabled(signature.sid, config) else "no"),
        *(
            row
            for name, value, reason in described(signature.thresholds, config.thresholds)
            for row in (("threshold", f"{name}: {value}"), ("", reason))
        ),
        *(("matches", text) for text in _matches(signature.sid, config)),
        *((key, ", ".join(values)) for key, values in signature.metadata.items()),
        *(("reference", reference) for reference in signature.references),
        ("defined in", signature.place),
    ]


def _is_enabled(sid: int, config: Config) -> bool:
    return config.signatures is None or sid not in config.signatures.disabled


def _matches(sid: int, config: Config) -> list[str]:
    """What one of the user's own is about, in a line."""
    user = config.signatures
    texts = []
    for added in user.added if user else ():
        if added.sid == sid:
            often = f", {added.count} within {added.within_ns / 1e9:g} s" if added.count > 1 else ""
            texts.append(f"{added.match.table} by {', '.join(added.match.columns)}{often}")
    return texts
