"""``hbids sidecar``: Suricata's eve.json in, verdict out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbids.cli.options import add_analysis_options, add_output_options, add_service_options, config_of
from hbids.errors import UserInputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from hbids.config import Config
    from hbids.pipeline.feedback import Feedback

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
        help="eve.json, or a pattern of such files ('eve.*.json'), followed through rotation; - for standard input, "
        "unix_stream:PATH or unix_dgram:PATH to listen for Suricata, redis://HOST/KEY; with --once also .gz and .zst",
    )
    parser.add_argument("--once", action="store_true", help="read what is there, and end")
    parser.add_argument("--check", metavar="FILE", help="say what a suricata.yaml lacks for which evidence, and end")
    add_analysis_options(parser)
    add_output_options(parser)
    add_service_options(parser)
    group = parser.add_argument_group("feedback")
    group.add_argument(
        "--feedback",
        metavar="hostbits[:SOCKET]",
        help="tell Suricata of offenders over its command socket, as hostbits that your rules can ask for",
    )
    group.add_argument(
        "--feedback-dry-run", action="store_true", help="with --feedback: say what would be told, and tell nobody"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, write what was asked for, print the verdict."""
    from hbids.decode.engine import EngineUnavailable

    if args.check:
        return _check(args.check)
    if not args.inputs:
        raise UserInputError(["no input: give the path of Suricata's eve.json, or --check with that of suricata.yaml"])
    if args.once and (args.top or args.metrics):
        raise UserInputError(["--top and --metrics watch a sidecar that goes on: leave them out, or --once"])
    if args.once and args.feedback and not args.feedback_dry_run:
        raise UserInputError(["--feedback acts on what happens now: with --once, add --feedback-dry-run"])
    try:
        return _read_once(args, config_of(args)) if args.once else _read_on(args, config_of(args))
    except EngineUnavailable as error:
        raise UserInputError([str(error)]) from error


def _read_once(args: argparse.Namespace, config: Config) -> int:
    from hbids.cli.ending import end, refuse
    from hbids.cli.interrupt import StopRequest
    from hbids.cli.outputs import Outputs
    from hbids.pipeline.eve_inputs import read_once
    from hbids.pipeline.sidecar import Sidecar

    try:
        outputs = Outputs(args, args.inputs, config)
    except OSError as error:
        return refuse(error)
    sidecar = Sidecar(
        config=config,
        engine=args.engine,
        on_finding=outputs.write_finding,
        facts_sink=outputs.facts_sink,
        state=args.state,
        history=outputs.wants_history,
        feedback=_feedback(args, config, lambda message: print(f"hbids: {message}", file=sys.stderr)),
    )
    with StopRequest() as stop:
        result = read_once(sidecar, args.inputs, config.eve, stop=stop.asked)
    summary = result.summary()
    outputs.close(summary, result.history)
    return end(args, summary, result.problems, outputs.failures)


def _read_on(args: argparse.Namespace, config: Config) -> int:
    from hbids.cli.ending import end, refuse
    from hbids.cli.service import Service
    from hbids.eve.sinks import Beginning
    from hbids.pipeline.eve_inputs import read_on
    from hbids.pipeline.sidecar import Sidecar

    try:
        service = Service(args, config, args.inputs, Beginning.RESUMED)
        service.start()
    except OSError as error:
        return refuse(error)
    sidecar = Sidecar(
        config=config,
        engine=args.engine,
        on_finding=service.write_finding,
        facts_sink=service.outputs.facts_sink,
        state=args.state,
        history=service.outputs.wants_history,
        may_save=service.outboxes.settled,
        feedback=_feedback(args, config, service.tell),
    )

    def stop() -> bool:
        service.look(sidecar)
        return service.stop_asked()

    with service:
        result = read_on(sidecar, args.inputs, config.eve, stop=stop, on_ready=service.ready)
        summary = service.close(result)
    return end(args, summary, result.problems, service.outputs.failures)


def _feedback(args: argparse.Namespace, config: Config, tell: Callable[[str], None]) -> Feedback | None:
    """What was asked for, at work unless it is a run that ends by itself."""
    if not args.feedback:
        if args.feedback_dry_run:
            raise UserInputError(["--feedback-dry-run: of what? Add --feedback hostbits"])
        return None
    from hbids.feedback.command_socket import CommandSocket
    from hbids.feedback.hostbits import DryRun, Hostbits
    from hbids.feedback.offenders import Offenders
    from hbids.pipeline.feedback import Feedback

    kind, _, path = args.feedback.partition(":")
    if kind != "hostbits":
        raise UserInputError([f"--feedback {args.feedback}: write hostbits, or hostbits:SOCKET"])
    if not config.home_networks:
        tell("feedback: no home networks are named (--home-net): hosts of your own may become offenders")
    settings = config.feedback
    channel = DryRun() if args.feedback_dry_run else CommandSocket(path or None, settings.answer_wait_ns / 1e9)
    hostbits = Hostbits(Offenders(settings), channel, settings, tell)
    if not args.once:
        hostbits.start()
    return Feedback(config, hostbits)


def _check(path: str) -> int:
    from hbids.eve.suricata_yaml import CONTENT, check

    lacks = check(Path(path))
    for lack in lacks:
        print(f"{lack.evidence}: {lack.what}")
        print("".join(f"    {line}\n" for line in lack.add.splitlines()))
    if lacks:
        content = shlex.join(["--include", str(CONTENT / "hbids.yaml"), "-S", str(CONTENT / "hbids.rules")])
        print(f"Or start Suricata with all of it: {content}")
        return 1
    print(f"{path}: gives all the evidence there is")
    return 0
