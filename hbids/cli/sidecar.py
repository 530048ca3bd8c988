"""``hbids sidecar``: Suricata's eve.json in, verdict out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbids.cli.options import add_analysis_options, add_output_options, config_of
from hbids.errors import UserInputError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sidecar",
        help="judge what Suricata writes into eve.json",
        description="Say what Suricata cannot: how much leaked, to whom, with which tool, and what harvests there are.",
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="EVE",
        help="eve.json, or a pattern of such files ('eve.*.json'), followed through rotation; "
        "with --once also .gz, .zst and - for standard input",
    )
    parser.add_argument("--once", action="store_true", help="read what is there, and end")
    parser.add_argument("--check", metavar="FILE", help="say what a suricata.yaml lacks for which evidence, and end")
    add_analysis_options(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, write what was asked for, print the verdict."""
    from hbids.cli.interrupt import StopRequest
    from hbids.cli.outputs import Outputs, cannot_write
    from hbids.cli.verdict import print_verdict
    from hbids.decode.engine import EngineUnavailable
    from hbids.facts import Verdict
    from hbids.pipeline.eve_inputs import read_on, read_once
    from hbids.pipeline.sidecar import Sidecar

    if args.check:
        return _check(args.check)
    if not args.inputs:
        raise UserInputError(["no input: give the path of Suricata's eve.json, or --check with that of suricata.yaml"])
    config = config_of(args)
    try:
        outputs = Outputs(args, args.inputs, config, resume=not args.once)
    except OSError as error:
        print(f"hbids: error: {cannot_write(error.filename, error)}", file=sys.stderr)
        return 1
    try:
        sidecar = Sidecar(
            config=config,
            engine=args.engine,
            on_finding=outputs.write_finding,
            facts_sink=outputs.facts_sink,
            state=args.state,
            history=outputs.wants_history,
        )
    except EngineUnavailable as error:
        raise UserInputError([str(error)]) from error
    with StopRequest() as stop:
        if args.once:
            result = read_once(sidecar, args.inputs, config.eve, stop=stop.asked)
        else:
            result = read_on(sidecar, args.inputs, config.eve, stop=stop.asked, on_ready=_say_ready)
    summary = result.summary()
    outputs.close(summary, result.history)

    for problem in result.problems:
        print(f"hbids: {problem.severity}: {problem}", file=sys.stderr)
    for failure in outputs.failures:
        print(f"hbids: error: {failure}", file=sys.stderr)
    print_verdict(summary, sys.stderr if "-" in (*(args.eve or ()), args.summary, args.report) else sys.stdout)

    if args.fail_on and any(Verdict[endpoint["verdict"].upper()] >= args.fail_on for endpoint in summary["endpoints"]):
        return 3
    return 1 if outputs.failures or any(problem.severity == "error" for problem in result.problems) else 0


def _check(path: str) -> int:
    from hbids.eve.suricata_yaml import CONTENT, check

    lacks = check(Path(path))
    for lack in lacks:
        print(f"{lack.evidence}: {lack.what}")
        print("".join(f"    {line}\n" for line in lack.add.splitlines()))
    if lacks:
        print(f"Or start Suricata with all of it: --include {CONTENT / 'hbids.yaml'} -S {CONTENT / 'hbids.rules'}")
        return 1
    print(f"{path}: gives all the evidence there is")
    return 0


def _say_ready() -> None:
    print("hbids: ready", file=sys.stderr, flush=True)
