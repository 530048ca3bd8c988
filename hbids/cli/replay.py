"""``hbids replay``: capture files in, verdict out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hbids.cli.options import add_analysis_options, add_output_options, config_of

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "replay",
        help="judge capture files",
        description="Say who was asked for memory, who leaked, how much, to whom, and with which tool.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE|DIR|-",
        help="pcap or pcapng, also .gz and .zst; a directory is one rolling capture; - is standard input",
    )
    add_analysis_options(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay, write what was asked for, print the verdict."""
    from hbids.cli.interrupt import StopRequest
    from hbids.cli.outputs import Outputs, cannot_write
    from hbids.cli.progress import ProgressBar
    from hbids.cli.verdict import print_verdict
    from hbids.decode.engine import EngineUnavailable
    from hbids.errors import UserInputError
    from hbids.facts import Verdict
    from hbids.pipeline import replay

    config = config_of(args)
    try:
        outputs = Outputs(args, args.inputs, config)
    except OSError as error:
        print(f"hbids: error: {cannot_write(error.filename, error)}", file=sys.stderr)
        return 1
    try:
        with StopRequest() as stop, ProgressBar() as progress:
            result = replay(
                *args.inputs,
                config=config,
                engine=args.engine,
                on_finding=outputs.write_finding,
                on_progress=progress.show,
                facts_sink=outputs.facts_sink,
                collect=False,
                stop=stop.asked,
                state=args.state,
                history=outputs.wants_history,
            )
    except EngineUnavailable as error:
        raise UserInputError([str(error)]) from error
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
