"""``hbids sniff``: live interfaces in, alerts out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hbids.cli.options import add_analysis_options, add_output_options, config_of

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]

_STEP_S = 0.1
"""How long a signal to end may go unheard."""


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sniff",
        help="listen to network interfaces",
        description="Listen to a span port or a tap, and tell who is asked for memory, and who leaks, as it happens.",
    )
    parser.add_argument(
        "interfaces", nargs="+", metavar="IFACE", help="an interface; both legs of a tap together"
    )
    group = parser.add_argument_group("capture")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="decode with so many threads")
    group.add_argument("--no-promiscuous", action="store_true", help="hear only what this machine would")
    add_analysis_options(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Listen until told to end, write what was asked for, print the verdict."""
    from hbids.capture.live import CannotListen
    from hbids.cli.interrupt import StopRequest
    from hbids.cli.outputs import Outputs, cannot_write
    from hbids.cli.verdict import print_verdict
    from hbids.facts import Verdict
    from hbids.pipeline import Sensor

    config = config_of(args)
    try:
        outputs = Outputs(args, [], config.output)
    except OSError as error:
        print(f"hbids: error: {cannot_write(error.filename, error)}", file=sys.stderr)
        return 1
    try:
        sensor = Sensor(
            *args.interfaces,
            config=config,
            workers=args.workers,
            promiscuous=not args.no_promiscuous,
            on_event=outputs.write_event,
            on_notice=_say,
            facts_sink=outputs.facts_sink,
        )
    except CannotListen as error:
        print(f"hbids: error: {error}", file=sys.stderr)
        return 1
    with StopRequest() as stop, sensor:
        sensor.start(args.state)
        print("ready", file=sys.stderr, flush=True)
        while sensor.is_listening and not stop.asked():
            sensor.step(_STEP_S)
        has_failed = not sensor.is_listening
        result = sensor.close()
    summary = result.summary()
    outputs.close(summary)

    for problem in result.problems:
        print(f"hbids: {problem.severity}: {problem}", file=sys.stderr)
    for failure in outputs.failures:
        print(f"hbids: error: {failure}", file=sys.stderr)
    print_verdict(summary, sys.stderr if "-" in (args.eve, args.summary) else sys.stdout)

    if args.fail_on and any(Verdict[endpoint["verdict"].upper()] >= args.fail_on for endpoint in summary["endpoints"]):
        return 3
    return 1 if has_failed or outputs.failures or result.problems else 0


def _say(notice: str) -> None:
    print(f"hbids: {notice}", file=sys.stderr, flush=True)
