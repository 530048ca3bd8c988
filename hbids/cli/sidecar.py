"""``hbids sidecar``: Suricata's eve.json in, verdict out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hbids.cli.options import add_analysis_options, add_output_options, add_service_options, config_of
from hbids.errors import UserInputError

if TYPE_CHECKING:
    import argparse

    from hbids.config import Config

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
    )

    def stop() -> bool:
        service.look(sidecar)
        return service.stop_asked()

    with service:
        result = read_on(sidecar, args.inputs, config.eve, stop=stop, on_ready=service.ready)
        summary = service.close(result)
    return end(args, summary, result.problems, service.outputs.failures)


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
