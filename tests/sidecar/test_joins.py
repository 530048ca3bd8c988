"""A flow of which several runs of Suricata tell, side by side or one after the other, is told of once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from itertools import zip_longest
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import dpkt
import pytest

from hbids.config import Config
from hbids.eve.conversation import Conversation
from hbids.eve.flows import FlowCounts
from hbids.eve.pieces import ShownBytes
from hbids.eve.tellers import Tellers
from hbids.pipeline.eve_inputs import read_on
from hbids.pipeline.sidecar import Sidecar
from tests.conftest import PCAPS, missing, shared_path
from tests.sidecar.comparison import CONTENTS
from tests.support.suricata import STOCK_RULES, judged, suricata

NAMES = (
    "evasion_tcp_segmented.pcap",
    "scan_patched_nmap.pcap",
    "reverse_pacemaker_client_vuln.pcap",
    "pcapng_scan_vuln_heartleech.pcapng",
    "benign_hb_openssl_tls.pcap",
)
WHAT_HAPPENED = ("ip", "port", "verdict", "heartbeat_requests", "sealed_requests", "leaking_answers", "leaked_bytes")


@cache
def log_of(capture: Path, content: str = "hbids", run: int = 0, midstream: str = "false") -> Path:
    """What one run of Suricata logs of a capture; each ``run`` gives flows other flow_ids."""
    rules, fragment = CONTENTS[content]
    if content == "stock" and not STOCK_RULES.exists():
        missing(f"{STOCK_RULES}, which comes with Suricata")
    directory = Path(mkdtemp(prefix=f"hbids-suricata-{run}-"))
    options = ("-k", "none", "--runmode", "single", "--set", f"stream.midstream={midstream}")
    suricata("-r", capture, "-l", directory, *options, rules=rules, fragment=fragment)
    return directory / "eve.json"


def told(summary: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(*(each[name] for name in WHAT_HAPPENED), each["leaked_bytes_estimated"]) for each in summary["endpoints"]]


def interleaved(logs: Iterable[Path], path: Path, late_lines: int = 0) -> Path:
    """As sensors write them that see the same at the same time, or each so much later than the one before."""
    lines = [[b""] * late_lines * number + log.read_bytes().splitlines() for number, log in enumerate(logs)]
    path.write_bytes(b"".join(line + b"\n" for turn in zip_longest(*lines) for line in turn if line))
    return path


# --- side by side -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["hbids", "sizes", "stock"])
@pytest.mark.parametrize("name", NAMES)
def test_two_sensors_are_one(name: str, content: str, tmp_path: Path) -> None:
    logs = [log_of(PCAPS / name, content, run) for run in (1, 2)]
    ids = [{json.loads(line).get("flow_id") for line in log.read_bytes().splitlines()} - {None} for log in logs]
    assert not ids[0] & ids[1]
    alone, findings = judged(logs[0])
    mixed = [interleaved(logs, tmp_path / f"{late}.json", late) for late in (0, 7, 40)]
    mixed += [interleaved(logs[::-1], tmp_path / "late.json", 40)]
    for inputs in (logs, *([path] for path in mixed)):
        both, same = judged(*inputs)
        assert told(both) == told(alone)
        assert sorted(finding.sid for finding in same) == sorted(finding.sid for finding in findings)
    assert both["eve"]["runs"] in (1, 2)  # which began in the same second, or not


def test_a_harvest_seen_twice_is_one_harvest(tmp_path: Path) -> None:
    capture = shared_path("corpus") / "harvest_distributed_8src_stafford_real.pcap"
    logs = [log_of(capture, run=run) for run in (1, 2)]
    alone, _ = judged(logs[0])
    both, _ = judged(*logs)
    assert told(both) == told(alone)
    assert both["drops"]["eve_events_seen_twice"] > 1_000
    assert told(judged(interleaved(logs, tmp_path / "eve.json"))[0]) == told(alone)


def test_each_sensor_may_show_what_the_other_does_not(tmp_path: Path) -> None:
    """One has hbids' rules and shows one direction alone, the other one is as it comes."""
    capture = PCAPS / "scan_vuln_stafford.pcap"
    alone, _ = judged(log_of(capture))
    both, findings = judged(interleaved([log_of(capture, "stock"), log_of(capture)], tmp_path / "eve.json"))
    assert told(both) == told(alone)
    assert {finding.context["evidence"] for finding in findings if finding.sid != 1016500} == {"eve-alert"}


# --- one after the other ----------------------------------------------------------------------------------------------


def cut(capture: Path, at: int, directory: Path) -> list[Path]:
    """A capture in two."""
    with capture.open("rb") as file:
        reader = dpkt.pcap.Reader(file)
        link_type, packets = reader.datalink(), list(reader)
    paths = []
    for number, part in enumerate((packets[:at], packets[at:])):
        path = directory / f"{number}.pcap"
        with path.open("wb") as file:
            writer = dpkt.pcap.Writer(file, snaplen=1 << 18, linktype=link_type)
            for time_s, packet in part:
                writer.writepkt(packet, time_s)
        paths.append(path)
    return paths


@pytest.mark.parametrize("midstream", ["false", "true"])
def test_suricata_restarted_within_a_flow_of_dtls(midstream: str, tmp_path: Path) -> None:
    capture = shared_path("corpus") / "dtls_vuln_encrypted_emul.pcap"
    whole, _ = judged(log_of(capture))
    parts = [log_of(path, midstream=midstream) for path in cut(capture, 33, tmp_path)]
    assert told(judged(parts[1])[0]) == []  # nobody could say of the second half alone what it is
    joined, _ = judged(*parts)
    assert told(joined) == told(whole)
    assert (joined["flows"], joined["eve"]["joined"]) == (1, 1)


def test_suricata_restarted_within_a_flow_of_tls(tmp_path: Path) -> None:
    """The third answer of a flow goes on behind the cut. Suricata sees the rest of a flow of TCP only with
    ``stream.midstream``; the request that fell into the gap, nobody sees."""
    capture = shared_path("corpus") / "tls_encrypted_emul_cbc.pcap"
    whole = judged(log_of(capture))[0]["leaked_bytes_estimated"]
    paths = cut(capture, 40, tmp_path)
    without, _ = judged(*(log_of(path, midstream="false") for path in paths))
    joined, _ = judged(*(log_of(path, midstream="true") for path in paths))
    assert without["leaked_bytes_estimated"] == whole - 16_341
    assert without["eve"]["joined"] == 0
    assert 0.999 * whole <= joined["leaked_bytes_estimated"] <= 1.001 * whole
    assert (joined["flows"], joined["eve"]["joined"]) == (5, 1)
    assert joined["tls_sessions"] == without["tls_sessions"] == 5


# --- the sidecar itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_flow_goes_on_behind_a_restart_of_the_sidecar(share: float, tmp_path: Path) -> None:
    lines = log_of(shared_path("corpus") / "dtls_vuln_encrypted_emul.pcap").read_bytes().splitlines(keepends=True)
    middle = int(len(lines) * share)
    eve = tmp_path / "eve.json"
    eve.touch()
    leaked = requests = 0
    for part in (lines[:middle], lines[middle:]):
        summary = followed(eve, part, tmp_path / "state")
        leaked += sum(each["leaked_bytes_estimated"] for each in summary["endpoints"])
        requests += sum(each["sealed_requests"] for each in summary["endpoints"])
    assert (requests, leaked) == (30, 38_880)


def followed(eve: Path, lines: list[bytes], state: Path) -> dict[str, Any]:
    """The summary of a sidecar that follows a file while these lines are written, until it is asked to end."""
    sidecar = Sidecar(config=Config(), state=state)

    def write() -> None:
        with eve.open("ab") as file:
            file.write(b"".join(lines))

    def stop() -> bool:
        return sidecar.counts["lines"] >= len(lines)

    return read_on(sidecar, [str(eve)], Config().eve, stop=stop, on_ready=write).summary()


# --- numbers that mean nothing ----------------------------------------------------------------------------------------


def test_a_flow_id_of_two_flows_is_two_flows(tmp_path: Path) -> None:
    """Of another run, the same number may mean another flow."""
    logs = []
    for number, name in enumerate(("scan_vuln_stafford.pcap", "ipv6_scan_vuln_nmap.pcap")):
        events = [json.loads(line) for line in log_of(PCAPS / name).read_bytes().splitlines()]
        lines = [json.dumps(event | ({"flow_id": 7} if "flow_id" in event else {})) for event in events]
        logs.append(tmp_path / f"{number}.json")
        logs[-1].write_text("".join(f"{line}\n" for line in lines))
    both, _ = judged(interleaved(logs, tmp_path / "eve.json"))
    expected = {endpoint for name in logs for endpoint in told(judged(name)[0])}
    assert set(told(both)) == expected
    assert both["drops"]["eve_flow_ids_reused"] > 0


def test_flows_between_the_same_ports_are_two_flows(tmp_path: Path) -> None:
    events = [json.loads(line) for line in log_of(PCAPS / "scan_vuln_masscan.pcap", "stock").read_bytes().splitlines()]
    later = json.loads(json.dumps(events).replace("T17:", "T19:"))
    for event in later:
        if "flow_id" in event:
            event["flow_id"] += 1
    (tmp_path / "eve.json").write_text("".join(f"{json.dumps(event)}\n" for event in [*events, *later]))
    [(*_, once)] = told(judged(log_of(PCAPS / "scan_vuln_masscan.pcap", "stock"))[0])
    [(*_, twice)] = told(judged(tmp_path / "eve.json")[0])
    assert twice == 2 * once > 0


# --- counting ---------------------------------------------------------------------------------------------------------


def test_counts_side_by_side_are_the_same_and_one_after_the_other_add_up() -> None:
    tellers = Tellers(start_ns=100)
    tellers.begin(1, 100)
    tellers.note(1, FlowCounts(100, 3, 4, 300, 400))
    tellers.latest_ns = 200
    assert tellers.begin(2, 150) == ()
    assert tellers.note(2, FlowCounts(150, 2, 5, 200, 500)) == FlowCounts(100, 3, 5, 300, 500)
    over = []
    for flow_id in (1, 2):
        tellers.end(flow_id)
        over.append(tellers.are_over)
    assert over == [False, True]
    assert tellers.begin(3, 201) == (1, 2)
    assert tellers.note(3, FlowCounts(201, 1, 1, 10, 10)) == FlowCounts(100, 4, 6, 310, 510)


def test_of_one_flow_only_so_many_tell() -> None:
    tellers = Tellers(start_ns=0)
    gone = [flow_id for number in range(1_000) for flow_id in tellers.begin(number, 0)]
    assert len(tellers.flow_ids) == 64
    assert sorted((*gone, *tellers.flow_ids)) == list(range(1_000))


def test_bytes_that_were_shown_are_known_across_the_turn_of_sequence_numbers() -> None:
    shown = ShownBytes()
    shown.add(0xFFFFFFF0, 32, teller=1)
    assert shown.has(0xFFFFFFF8, 8, but=2)
    assert shown.has(4, 12, but=2)
    assert not shown.has(4, 12, but=1)
    assert not shown.has(4, 13, but=2)
    shown.add(100, 10, teller=1)
    assert not shown.has(16, 90, but=2)
    shown.add(16, 84, teller=1)
    assert shown.has(0xFFFFFFF0, 16 + 110, but=2)
    for start in range(0, 100_000, 1_000):
        shown.add(start, 10, teller=1)
    assert shown.has(99_000, 10, but=2)


def test_conversations_are_told_apart_by_what_they_are_and_not_by_what_they_hold() -> None:
    one, other = (Conversation(("10.0.0.1", 1), ("10.0.0.2", 2), 6, start_ns=0) for _ in range(2))
    assert one != other
    assert one.ends == other.ends
