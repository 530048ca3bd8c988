"""The command line: one file a command, each with ``add_to`` (its options) and ``run`` (its work and exit status).

argparse and not typer: starting typer takes 50 ms of CPU, a tenth of what a whole run on a small capture may cost.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import TYPE_CHECKING

from hbids import __version__
from hbids.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status.

    0 done; 1 an input or output failed; 2 wrong usage, configuration or signature; 3 ``--fail-on`` matched.
    """
    # numpy's linear algebra starts a thread a core on import, 40 ms of CPU for something hbids never calls
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.showwarning = _show_warning
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except UserInputError as error:
        for problem in error.problems:
            print(f"hbids: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # the reader of our output has left; Python would complain again when it flushes on exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    from hbids.cli import inspect, replay, sidecar, signatures, sniff

    parser = argparse.ArgumentParser(
        prog="hbids", description="Detect Heartbleed (CVE-2014-0160) in network traffic and measure what leaked."
    )
    parser.add_argument("--version", action="version", version=f"hbids {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (replay, sniff, sidecar, inspect, signatures):
        command.add_to(commands)
    return parser


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"hbids: warning: {message}", file=sys.stderr)
