"""``hbids inspect``: the flagged flows of a capture, as hbids and as tshark see them."""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING, Any

from hbids.cli.options import add_analysis_options, config_of
from hbids.errors import UserInputError
from hbids.signatures import in_force

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Mapping

    from rich.console import Console

    from hbids.cli.tshark import Heartbeats
    from hbids.config import Limits
    from hbids.facts import Verdict
    from hbids.pipeline import Result
    from hbids.pipeline.carve import FlowKey
    from hbids.signatures import Signature

__all__ = ["add_to"]

_FINDINGS_SHOWN = 12
_LENGTHS_SHOWN = 6
_HEARTBEAT_COLUMN = 4
"""Place of content type 24 in the per-type columns of the flow table."""
_DISSECTORS = {6: "tls", 17: "dtls"}
"""tshark's, by IP protocol."""


def add_to(commands: Any) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "inspect",
        help="dissect the flagged flows",
        description="Show every flow on which more was done than to accept heartbeats, with tshark as second opinion.",
    )
    parser.add_argument("input", metavar="FILE|DIR", help="a capture file, or a directory of them")
    parser.add_argument("--flows", type=int, default=10, metavar="N", help="show at most so many flows, gravest first")
    add_analysis_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay, pick the flagged flows, print both views of each."""
    from rich.console import Console

    from hbids.cli.tshark import TsharkMissing
    from hbids.decode.engine import EngineUnavailable
    from hbids.pipeline import replay

    if args.input == "-":
        raise UserInputError(["inspect reads its input twice: save it to a file first"])
    config = config_of(args)
    try:
        result = replay(args.input, config=config, engine=args.engine)
    except EngineUnavailable as error:
        raise UserInputError([str(error)]) from error
    for problem in result.problems:
        print(f"hbids: {problem.severity}: {problem}", file=sys.stderr)

    flagged = _flagged(result)
    shown = list(flagged)[: args.flows]
    second_opinion: dict[FlowKey, Heartbeats] | None = None
    if shown:
        try:
            second_opinion = _ask_tshark(args.input, result, shown, config.limits)
        except TsharkMissing as error:
            print(f"hbids: warning: {error}", file=sys.stderr)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for key in shown:
        _print_flow(console, key, flagged[key], result, in_force(config.signatures), second_opinion)
    console.print(
        f"Flagged flows: {len(flagged)}, shown: {len(shown)}. Payload is never shown: it is other people's data."
    )
    return 1 if any(problem.severity == "error" for problem in result.problems) else 0


def _flagged(result: Result) -> dict[FlowKey, Verdict]:
    """What was done on each flow, where that is graver than exposure; the gravest flow first, else in order of time.

    Alerts tell of a few flows of many alike; the rows know all.
    """
    from hbids.facts import Direction, Verdict
    from hbids.measures import Measured
    from hbids.parties import address_text
    from hbids.pipeline.carve import FlowKey

    ours = {endpoint["ip"] for endpoint in result.endpoints}
    heartbeats = Measured(result.heartbeats)
    told = heartbeats.suspicious | heartbeats.leaks | heartbeats.betraying
    columns = (heartbeats.overread > 0, heartbeats.leaks, heartbeats.parties.sides == Direction.TO_SERVER)
    flows: dict[FlowKey, Verdict] = {}
    for row, asks, leaks, of_server in zip(result.heartbeats[told], *(each[told] for each in columns), strict=True):
        client, server = (address_text(row[f"{side}_addr"].tobytes()) for side in ("client", "server"))
        key = FlowKey(client, int(row["client_port"]), server, int(row["server_port"]), int(row["protocol"]))
        verdict = Verdict.LEAKED if leaks else Verdict.ATTEMPTED if asks else Verdict.PROBED
        if (server if of_server else client) in ours:
            flows[key] = max(verdict, flows.get(key, verdict))
    for finding in result.findings:
        if finding.verdict > Verdict.EXPOSED:
            key = FlowKey.of(finding.flow)
            flows[key] = max(finding.verdict, flows.get(key, finding.verdict))
    return {key: flows[key] for key in sorted(flows, key=lambda key: -flows[key])}


def _ask_tshark(path: str, result: Result, keys: Collection[FlowKey], limits: Limits) -> dict[FlowKey, Heartbeats]:
    from hbids.capture import open_capture
    from hbids.cli.tshark import heartbeats_by_sender
    from hbids.decode.engine import native_available
    from hbids.facts import TlsStart
    from hbids.pipeline.carve import carve

    ports = {(key.protocol, key.server_port) for key in keys if key.protocol in _DISSECTORS}
    dissectors = {port: _DISSECTORS[port[0]] for port in ports if port[1] not in limits.radius_ports}
    for start, protocol, port in result.sessions[["start", "protocol", "server_port"]].tolist():
        if start == TlsStart.OPENVPN:
            dissectors[protocol, port] = "openvpn"
        elif start >= TlsStart.UPGRADED:  # tshark follows STARTTLS by itself, and only when it is told nothing
            dissectors.pop((protocol, port), None)
    with tempfile.NamedTemporaryFile(prefix="hbids-", suffix=".pcap") as carved:  # made with mode 0600
        capture = open_capture(path, native=native_available())
        left_out = carve(capture.batches(), keys, carved, limits)
        if left_out:
            print("hbids: warning: flows on several link types: tshark is shown one of them", file=sys.stderr)
        return heartbeats_by_sender(carved.name, dissectors)


def _print_flow(
    console: Console,
    key: FlowKey,
    verdict: Verdict,
    result: Result,
    signatures: Mapping[int, Signature],
    second_opinion: dict[FlowKey, Heartbeats] | None,
) -> None:
    from hbids.cli.tshark import as_heard
    from hbids.pipeline.carve import FlowKey

    findings = [finding for finding in result.findings if FlowKey.of(finding.flow) == key]
    console.print(f"{key}  {verdict.word}", style="bold")
    for finding in findings[:_FINDINGS_SHOWN]:
        title = signatures[finding.sid].text(finding.context)
        console.print(f"  packet {finding.flow.packet_number or '-':<7} {finding.sid}  {title}")
    if len(findings) > _FINDINGS_SHOWN:
        console.print(f"  ... and {len(findings) - _FINDINGS_SHOWN} findings more")
    console.print("  heartbeat records" + (" (tshark counts whole ones only)" if second_opinion is not None else ""))
    for way, sender in (("to_server", key), ("to_client", key.reversed())):
        console.print(f"    {way}  hbids   {_our_view(result, key, way)}")
        if second_opinion is not None:
            console.print(f"    {way}  tshark  {_their_view(second_opinion.get(as_heard(sender)))}")
    console.print()


def _our_view(result: Result, key: FlowKey, way: str) -> str:
    from hbids.pipeline.carve import sixteen_bytes

    rows = result.flows
    ours = (rows["client_port"] == key.client_port) & (rows["server_port"] == key.server_port)
    ours &= rows["protocol"] == key.protocol
    for column, ip in (("client_addr", key.client_ip), ("server_addr", key.server_ip)):
        ours &= (rows[column] == list(sixteen_bytes(ip))).all(axis=1)
    records = rows[f"records_{way}"][ours, _HEARTBEAT_COLUMN].sum()
    record_bytes = rows[f"record_bytes_{way}"][ours, _HEARTBEAT_COLUMN].sum()
    return f"{records}, {record_bytes:,} bytes"


def _their_view(seen: Heartbeats | None) -> str:
    if seen is None:
        return "0, 0 bytes"
    lengths = ", ".join(map(str, seen.lengths[:_LENGTHS_SHOWN]))
    more = ", ..." if len(seen.lengths) > _LENGTHS_SHOWN else ""
    notes = "".join(f"; {note}" for note in sorted(seen.notes))
    return f"{len(seen.lengths)}, {sum(seen.lengths):,} bytes (lengths {lengths}{more}){notes}"
