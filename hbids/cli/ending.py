"""How a run ends for those who started it: what went wrong, the verdict, and the exit status."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

from hbids.cli.outputs import cannot_write
from hbids.cli.verdict import print_verdict
from hbids.facts import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from hbids.capture import Problem

__all__ = ["end", "refuse", "text_stream"]


def text_stream(args: argparse.Namespace) -> IO[str]:
    """Where text for people goes: standard output, unless an output goes there."""
    return sys.stderr if "-" in (*(args.eve or ()), args.summary, args.report) else sys.stdout


def refuse(error: OSError) -> int:
    """Tell which output cannot be opened, and give the exit status."""
    print(f"hbids: error: {cannot_write(error.filename, error)}", file=sys.stderr)
    return 1


def end(
    args: argparse.Namespace,
    summary: Mapping[str, Any],
    problems: Iterable[Problem],
    failures: Iterable[str],
) -> int:
    """Tell ``problems`` of inputs and ``failures`` of outputs, print the verdict, and give the exit status."""
    problems, failures = list(problems), list(failures)
    for problem in problems:
        print(f"hbids: {problem.severity}: {problem}", file=sys.stderr)
    for failure in failures:
        print(f"hbids: error: {failure}", file=sys.stderr)
    print_verdict(summary, text_stream(args))
    if args.fail_on and any(Verdict[endpoint["verdict"].upper()] >= args.fail_on for endpoint in summary["endpoints"]):
        return 3
    return 1 if failures or any(problem.severity == "error" for problem in problems) else 0
