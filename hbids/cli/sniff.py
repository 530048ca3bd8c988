"""``hbids sniff``: live interfaces in, alerts out."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hbids.cli.options import add_analysis_options, add_output_options, add_service_options, config_of

__all__ = ["add_to"]

BACKENDS = ("auto", "ring", "scapy")
_MOST_WORKERS = 256
_LEAST_SNAP_BYTES, _MOST_SNAP_BYTES = 128, 262_144

_STEP_S = 0.1
"""How long a signal to end may go unheard."""


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sniff",
        help="listen to network interfaces",
        description="Listen to a span port or a tap, and tell who is asked for memory, and who leaks, as it happens.",
    )
    parser.add_argument("interfaces", nargs="+", metavar="IFACE", help="an interface; both legs of a tap together")
    group = parser.add_argument_group("capture")
    group.add_argument("--filter", metavar="EXPR", help="only packets that match, in the language of tcpdump")
    group.add_argument("--workers", type=_workers, default=1, metavar="N", help="decode with so many threads")
    group.add_argument("--snaplen", type=_snap_bytes, metavar="BYTES", help="of each packet, no more than these")
    group.add_argument("--no-promiscuous", action="store_true", help="hear only what this machine would")
    group.add_argument("--hardware-timestamps", action="store_true", help="times of the network card, where it can")
    group.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="ring: of the kernel (Linux, native engine); scapy: anywhere, slow; auto takes ring where it can",
    )
    group.add_argument(
        "--pcap-ring", metavar="DIR", help="keep the packets of alerts there; what was leaked is in them"
    )
    group.add_argument(
        "--user", metavar="NAME", help="who to be once the interfaces are open: by default hbids or nobody, for root"
    )
    add_analysis_options(parser)
    add_output_options(parser)
    add_service_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Listen until told to end, write what was asked for, print the verdict."""
    from hbids.capture.live import CannotListen
    from hbids.cli.ending import end, refuse
    from hbids.cli.privileges import drop_privileges
    from hbids.cli.service import Service
    from hbids.decode.engine import EngineUnavailable
    from hbids.errors import UserInputError
    from hbids.pipeline.ears import Listening
    from hbids.pipeline.live import Sensor

    config = config_of(args)
    try:
        service = Service(args, config)
        sensor = Sensor(
            *args.interfaces,
            config=config,
            how=Listening(
                engine=args.engine,
                backend=args.backend,
                workers=args.workers,
                filter=args.filter,
                promiscuous=not args.no_promiscuous,
                hardware_time=args.hardware_timestamps,
                keep_recent=args.pcap_ring is not None,
            ),
            on_event=service.write_event,
            on_notice=service.tell,
            facts_sink=service.outputs.facts_sink,
            history=service.outputs.wants_history,
            may_save=service.outboxes.settled,
        )
        drop_privileges(args.user, config.capture.memory_bytes)
        service.start()
    except OSError as error:
        return refuse(error)
    except CannotListen as error:
        print(f"hbids: error: {error}", file=sys.stderr)
        return 1
    except EngineUnavailable as error:
        raise UserInputError([str(error)]) from error
    with service, sensor:
        sensor.start(args.state, args.pcap_ring)
        if args.pcap_ring:
            service.tell(f"{args.pcap_ring}: packets of alerts go there, with leaked memory, other people's data")
        service.ready()
        while sensor.is_listening and not service.stop_asked():
            sensor.step(_STEP_S)
            service.look(sensor)
        has_failed = not sensor.is_listening
        result = sensor.close(service.stop_asked_s)
        summary = service.close(result)
    return end(args, summary, result.problems, service.outputs.failures) or int(has_failed)


def _workers(text: str) -> int:
    return _number(text, 1, _MOST_WORKERS)


def _snap_bytes(text: str) -> int:
    return _number(text, _LEAST_SNAP_BYTES, _MOST_SNAP_BYTES)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
    return int(text)
