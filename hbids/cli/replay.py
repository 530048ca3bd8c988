"""``hbids replay``: capture files in, verdict out."""

from __future__ import annotations

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
    from hbids.cli.ending import end, refuse
    from hbids.cli.interrupt import StopRequest
    from hbids.cli.outputs import Outputs
    from hbids.cli.progress import ProgressBar
    from hbids.decode.engine import EngineUnavailable
    from hbids.errors import UserInputError
    from hbids.pipeline import replay

    config = config_of(args)
    try:
        outputs = Outputs(args, args.inputs, config)
    except OSError as error:
        return refuse(error)
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
    return end(args, summary, result.problems, outputs.failures)
