"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from hbids.config import Config
from hbids.config_file import load
from hbids.errors import UserInputError
from hbids.moments import HEARTBLEED_PUBLIC, moment_ns

if TYPE_CHECKING:
    from hbids.facts import Verdict

__all__ = [
    "add_analysis_options",
    "add_config_options",
    "add_output_options",
    "add_service_options",
    "config_of",
    "verdict",
]


def add_analysis_options(parser: argparse.ArgumentParser) -> None:
    """How traffic is read and judged."""
    group = parser.add_argument_group("analysis")
    add_config_options(group)
    group.add_argument(
        "--engine",
        choices=("auto", "native", "reference"),
        default="auto",
        help="decoder: native is fast, reference is Python; auto takes native where it is installed",
    )
    group.add_argument("--home-net", metavar="CIDR,...", help="networks that are ours: only their endpoints are judged")
    group.add_argument(
        "--disclosure",
        metavar="DATE",
        nargs="?",
        const=HEARTBLEED_PUBLIC,
        help=f"mark what came before the bug was public; alone it means {HEARTBLEED_PUBLIC}, when Heartbleed was",
    )


def add_config_options(group: argparse._ActionsContainer) -> None:
    """Files that the configuration is read from."""
    group.add_argument("--config", metavar="FILE", help="limits, thresholds and names from a YAML file")
    group.add_argument(
        "--signatures",
        action="append",
        default=[],
        metavar="FILE|DIR",
        help="signatures of your own, and changes of those of hbids; may be given more than once",
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """What is written beside the human verdict."""
    group = parser.add_argument_group("output", "With '-' a file goes to standard output and the human text to stderr.")
    group.add_argument(
        "--eve",
        metavar="DESTINATION",
        action="append",
        help="alerts as EVE JSON lines, to a file, unix:PATH (a stream socket), syslog[:FACILITY] or "
        "redis://HOST[:PORT]/KEY; may be given several times",
    )
    group.add_argument("--summary", metavar="PATH", help="the verdict as one JSON object")
    group.add_argument(
        "--report", metavar="PATH", help="the verdict as a page (HTML) with plots, evidence, and what to do"
    )
    group.add_argument(
        "--state",
        metavar="FILE",
        help="remember for the next run what was asked for and taken, and go on from what earlier runs remembered",
    )
    group.add_argument("--facts", metavar="DIR", help="the fact tables as Parquet files (needs hbids[parquet])")
    group.add_argument(
        "--fail-on",
        metavar="VERDICT",
        type=verdict,
        help="exit with status 3 when an endpoint's verdict is this or worse: "
        "exposed, probed, attempted, leaked, harvested",
    )


def add_service_options(parser: argparse.ArgumentParser) -> None:
    """How a command that runs until it is told to end is watched."""
    group = parser.add_argument_group("watching")
    group.add_argument("--top", action="store_true", help="show live what is seen; without a terminal a line a minute")
    group.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="numbers for Prometheus over HTTP, on loopback unless HOST says otherwise (needs hbids[metrics])",
    )


def config_of(args: argparse.Namespace) -> Config:
    """The configuration the options ask for. Raises UserInputError."""
    config = load(args.config, args.signatures) if args.config or args.signatures else Config()
    if getattr(args, "snaplen", None):
        config = replace(config, capture=replace(config.capture, snap_bytes=args.snaplen))
    if args.home_net is not None:
        config = replace(config, home_networks=_networks(args.home_net))
    if args.disclosure is not None:
        config = replace(config, disclosure_ns=_disclosure(args.disclosure))
    return config


def _networks(text: str) -> tuple[str, ...]:
    from ipaddress import ip_network

    networks, problems = [], []
    for part in text.split(","):
        try:
            networks.append(str(ip_network(part.strip(), strict=False)))
        except ValueError:
            problems.append(f"--home-net: '{part}' is not a network: write it like 10.0.0.0/8,fd00::/8")
    if problems:
        raise UserInputError(problems)
    return tuple(networks)


def _disclosure(text: str) -> int:
    time_ns = moment_ns(text)
    if time_ns is None:
        remedy = (
            f"write it like {HEARTBLEED_PUBLIC} or {HEARTBLEED_PUBLIC}T17:30Z, or put --disclosure behind the files"
        )
        raise UserInputError([f"--disclosure: '{text}' is no date: {remedy}"])
    return time_ns


def verdict(word: str) -> Verdict:
    """Read a verdict above ``clear`` from its word, for argparse."""
    from hbids.facts import Verdict

    words = {verdict.word: verdict for verdict in Verdict if verdict != Verdict.CLEAR}
    if word not in words:
        raise argparse.ArgumentTypeError(f"'{word}' is no verdict: use one of {', '.join(words)}")
    return words[word]
