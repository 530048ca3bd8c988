"""``hbids.replay``: what others may rely on when they call it from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hbids
from hbids.config import Config, Limits
from hbids.facts import FLOW_DTYPE, HEARTBEAT_DTYPE, SESSION_DTYPE, Facts, Finding, Kind, Verdict
from tests.conftest import PCAPS, REPOSITORY
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, frames_of, greeted, write_pcap
from tests.support.summaries import ENDPOINT_KEYS, SUMMARY_KEYS

if TYPE_CHECKING:
    from pathlib import Path

STAFFORD = PCAPS / "scan_vuln_stafford.pcap"
PATCHED = PCAPS / "scan_patched_nmap.pcap"
REVERSE = PCAPS / "reverse_pacemaker_client_vuln.pcap"


def bare(summary: dict[str, object]) -> dict[str, object]:
    """A summary without what differs from run to run."""
    return {key: value for key, value in summary.items() if key not in ("seconds", "engine", "sources")}


# --- the result -------------------------------------------------------------------------------------------------------


def test_a_result_has_its_tables_findings_and_endpoints(engine_name: str) -> None:
    result = hbids.replay(STAFFORD, engine=engine_name)
    assert result.engine == engine_name
    tables = (result.heartbeats, result.sessions, result.flows)
    assert [table.dtype for table in tables] == [HEARTBEAT_DTYPE, SESSION_DTYPE, FLOW_DTYPE]
    assert result.heartbeats["kind"].tolist() == [Kind.REQUEST, Kind.REQUEST, Kind.RESPONSE, Kind.RESPONSE]
    assert set(result.heartbeats["is_final"].tolist()) == {1}
    assert all(isinstance(finding, Finding) for finding in result.findings)
    assert max(finding.verdict for finding in result.findings) == Verdict.LEAKED
    assert result.endpoints == result.summary()["endpoints"]
    assert result.problems == []


def test_a_summary_has_exactly_these_keys(engine_name: str) -> None:
    summary = hbids.replay(STAFFORD, engine=engine_name).summary()
    assert summary.keys() == SUMMARY_KEYS
    assert summary["heartbeats"].keys() == {"requests", "responses", "sealed", "overread_requests", "malformed"}
    assert summary["seconds"].keys() == {"capture", "wall", "cpu"}
    assert [endpoint.keys() for endpoint in summary["endpoints"]] == [ENDPOINT_KEYS]
    assert json.loads(json.dumps(summary)) == summary


def test_a_summary_tells_what_happened(engine_name: str) -> None:
    summary = hbids.replay(STAFFORD, engine=engine_name).summary()
    (endpoint,) = summary["endpoints"]
    assert summary["sources"] == [str(STAFFORD)]
    assert summary["heartbeats"] == {"requests": 2, "responses": 2, "sealed": 0, "overread_requests": 2, "malformed": 0}
    assert (summary["packets"], summary["flows"], summary["tls_sessions"], summary["dtls_sessions"]) == (40, 1, 1, 0)
    assert summary["alerts"].keys() == {"1016001", "1016100", "1016102", "1016500", "1016600"}
    assert endpoint["leaked_bytes"] == summary["leaked_bytes"] == 32_736
    assert (endpoint["ip"], endpoint["port"], endpoint["role"]) == ("10.66.0.10", 443, "server")
    assert (endpoint["transport"], endpoint["verdict"]) == ("tls", "leaked")
    assert (endpoint["sources"], endpoint["accepts_heartbeat_extension"]) == (["10.66.9.66"], True)
    assert endpoint["first_seen"] <= endpoint["last_seen"]
    assert endpoint["first_seen"].endswith("Z")
    assert summary["seconds"]["capture"] > 0


def test_the_victim_of_a_reverse_attack_is_the_client(engine_name: str) -> None:
    endpoints = hbids.replay(REVERSE, engine=engine_name).endpoints
    assert [(each["role"], each["port"]) for each in endpoints if each["verdict"] == "leaked"] == [("client", 0)]


@pytest.mark.parametrize(
    ("extensions", "accepts"), [([tls.heartbeat_extension()], True), ([], False)], ids=["agreed", "refused"]
)
def test_whether_an_endpoint_accepts_heartbeats_is_known(
    engine_name: str, tmp_path: Path, extensions: list[bytes], *, accepts: bool
) -> None:
    conversation = Conversation().connect().say_hello(server=tls.server_hello_body(extensions=extensions))
    conversation.client(tls.request(0x4000))
    (endpoint,) = hbids.replay(made(tmp_path, conversation), engine=engine_name).endpoints
    assert endpoint["accepts_heartbeat_extension"] is accepts


def test_whether_an_endpoint_accepts_heartbeats_may_be_unknown(engine_name: str, tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.client(tls.request(0x4000))
    (endpoint,) = hbids.replay(made(tmp_path, conversation), engine=engine_name).endpoints
    assert endpoint["accepts_heartbeat_extension"] is None


def test_endpoints_come_worst_first(engine_name: str) -> None:
    result = hbids.replay(PATCHED, STAFFORD, PCAPS / "benign_hb_openssl_tls.pcap", engine=engine_name)
    verdicts = [Verdict[endpoint["verdict"].upper()] for endpoint in result.endpoints]
    assert verdicts == sorted(verdicts, reverse=True)
    assert len(set(verdicts)) > 1


def made(folder: Path, *conversations: Conversation) -> Path:
    return write_pcap(folder / "made.pcap", frames_of(*conversations))


# --- inputs -----------------------------------------------------------------------------------------------------------


def test_several_inputs_are_judged_together(engine_name: str) -> None:
    each = [hbids.replay(path, engine=engine_name).summary() for path in (STAFFORD, REVERSE)]
    both = hbids.replay(STAFFORD, REVERSE, engine=engine_name).summary()
    assert both["sources"] == [str(STAFFORD), str(REVERSE)]
    for key in ("packets", "bytes", "flows", "tls_sessions", "leaked_bytes"):
        assert both[key] == sum(summary[key] for summary in each)
    assert len(both["endpoints"]) == sum(len(summary["endpoints"]) for summary in each)


def test_every_input_is_a_capture_of_its_own(engine_name: str) -> None:
    twice = hbids.replay(STAFFORD, STAFFORD, engine=engine_name).summary()
    assert (twice["flows"], twice["leaked_bytes"]) == (2, 2 * 32_736)
    assert "segments_repeated" not in twice["drops"]


def test_a_folder_is_one_capture(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x4000))
    conversation.server(b"".join(tls.answer(0x4000)), cut=[8_000])
    frames = conversation.frames()
    for number, part in enumerate((frames[:4], frames[4:7], frames[7:])):
        write_pcap(tmp_path / f"{number}.pcap", part)
    summary = hbids.replay(tmp_path, engine=engine_name).summary()
    assert (summary["flows"], summary["leaked_bytes"]) == (1, 0x4000)
    assert summary["sources"] == [str(tmp_path / f"{number}.pcap") for number in range(3)]


def test_paths_may_be_text_or_path_objects(engine_name: str) -> None:
    assert bare(hbids.replay(str(STAFFORD), engine=engine_name).summary()) == bare(
        hbids.replay(STAFFORD, engine=engine_name).summary()
    )


def test_no_input_is_an_empty_result(engine_name: str) -> None:
    summary = hbids.replay(engine=engine_name).summary()
    assert summary.keys() == SUMMARY_KEYS
    assert (summary["packets"], summary["endpoints"], summary["seconds"]["capture"]) == (0, [], 0)


@pytest.mark.parametrize("content", [None, b"", b"no capture"], ids=["missing", "empty", "no capture"])
def test_what_cannot_be_read_is_told_and_the_rest_is_judged(
    engine_name: str, tmp_path: Path, content: bytes | None
) -> None:
    bad = tmp_path / "bad.pcap"
    if content is not None:
        bad.write_bytes(content)
    result = hbids.replay(bad, STAFFORD, engine=engine_name)
    (problem,) = result.problems
    assert (problem.severity, problem.path) == ("error", str(bad))
    assert result.totals["leaked_bytes"] == 32_736


def test_a_cut_last_packet_is_a_warning_and_the_rest_counts(engine_name: str, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(STAFFORD.read_bytes()[:-10])
    result = hbids.replay(cut, engine=engine_name)
    (problem,) = result.problems
    assert problem.severity == "warning"
    assert result.totals["packets"] == 39


# --- while it runs ----------------------------------------------------------------------------------------------------


def test_findings_are_handed_out_as_they_are_made(engine_name: str) -> None:
    told: list[Finding] = []
    result = hbids.replay(STAFFORD, engine=engine_name, on_finding=told.append)
    assert told == result.findings != []


def test_facts_are_handed_out_step_by_step(engine_name: str) -> None:
    steps: list[Facts] = []
    result = hbids.replay(STAFFORD, engine=engine_name, facts_sink=steps.append)
    rows = np.concatenate([step.heartbeats for step in steps])
    assert rows[rows["is_final"] == 1].tobytes() == result.heartbeats.tobytes()
    assert sum(len(step.flows) for step in steps) == len(result.flows) == 1


def test_without_collecting_nothing_is_kept_but_the_totals(engine_name: str) -> None:
    told: list[Finding] = []
    result = hbids.replay(STAFFORD, engine=engine_name, collect=False, on_finding=told.append)
    kept = (result.heartbeats, result.sessions, result.flows, result.findings)
    assert [len(each) for each in kept] == [0, 0, 0, 0]
    assert len(told) > 0
    assert bare(result.summary()) == bare(hbids.replay(STAFFORD, engine=engine_name).summary())


def test_progress_goes_on_to_no_more_than_the_whole(engine_name: str, tmp_path: Path) -> None:
    long = made(tmp_path, *[Conversation(client_port=port).connect() for port in range(10_000, 32_000)])
    told: list[tuple[int, int | None]] = []
    hbids.replay(long, engine=engine_name, collect=False, on_progress=lambda *progress: told.append(progress))
    done = [done_bytes for done_bytes, _ in told]
    assert done == sorted(done)
    assert {total for _, total in told} == {long.stat().st_size}
    assert 0 < done[-1] <= long.stat().st_size


def test_progress_counts_all_inputs_together(engine_name: str) -> None:
    told: list[tuple[int, int | None]] = []
    inputs = (STAFFORD, PATCHED)
    hbids.replay(*inputs, engine=engine_name, collect=False, on_progress=lambda *progress: told.append(progress))
    size = sum(path.stat().st_size for path in inputs)
    assert {total for _, total in told} == {size}
    assert STAFFORD.stat().st_size <= told[-1][0] <= size


def test_stop_ends_the_run_after_the_batch_and_keeps_what_was_found(engine_name: str) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 1

    summary = hbids.replay(STAFFORD, REVERSE, engine=engine_name, stop=stop).summary()
    assert (asked, summary["sources"]) == (1, [str(STAFFORD)])
    assert (summary["leaked_bytes"], summary["flows"]) == (32_736, 1)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "ours"),
    [
        (("10.66.0.0/16",), True),
        (("10.66.0.10/32",), True),
        (("192.168.0.0/16", "10.66.0.0/24"), True),
        (("10.66.9.0/24",), False),
        (("fd66::/16",), False),
    ],
)
def test_only_victims_at_home_are_ours(engine_name: str, networks: tuple[str, ...], *, ours: bool) -> None:
    result = hbids.replay(STAFFORD, engine=engine_name, config=Config(home_networks=networks))
    assert bool(result.findings) == bool(result.endpoints) == ours
    assert (result.totals["drops"].get("victims_outside_home", 0) > 0) != ours
    assert result.totals["heartbeats"]["overread_requests"] == 2


def test_in_a_reverse_attack_the_client_must_be_at_home(engine_name: str) -> None:
    leaked = next(each for each in hbids.replay(REVERSE, engine=engine_name).endpoints if each["verdict"] == "leaked")
    at_home = Config(home_networks=(f"{leaked['ip']}/32",))
    assert hbids.replay(REVERSE, engine=engine_name, config=at_home).endpoints == [leaked]


def test_limits_reach_the_decoder_and_their_drops_the_summary(engine_name: str, tmp_path: Path) -> None:
    conversations = [
        Conversation(client_port=1000 + number, start_ns=START_NS + number * SECOND_NS).connect()
        for number in range(10)
    ]
    config = Config(limits=Limits(flows=4))
    summary = hbids.replay(made(tmp_path, *conversations), engine=engine_name, config=config).summary()
    assert summary["drops"] == {"flows_evicted": 6}


# --- the choice of the engine -----------------------------------------------------------------------------------------

WITHOUT_NATIVE = "import sys; sys.modules['hbids._native'] = None\n"
"""As where no compiled engine is installed: importing it fails."""


def without_native(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_NATIVE + program]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_auto_falls_back_loudly_and_finds_the_same() -> None:
    done = without_native(
        f"import hbids; r = hbids.replay({str(STAFFORD)!r}); print(r.engine, r.totals['leaked_bytes'])"
    )
    assert done.stdout.split() == ["reference", "32736"]
    assert "native engine not installed" in done.stderr


def test_the_program_falls_back_loudly_and_succeeds() -> None:
    done = without_native(
        f"from hbids.cli import main; sys.exit(main(['replay', {str(STAFFORD)!r}, '--summary', '-']))"
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["engine"] == "reference"
    assert "native engine not installed" in done.stderr


def test_the_reference_by_name_is_quiet() -> None:
    done = without_native(f"import hbids; print(hbids.replay({str(STAFFORD)!r}, engine='reference').engine)")
    assert (done.stdout.strip(), done.stderr) == ("reference", "")


def test_the_native_engine_by_name_is_never_replaced() -> None:
    done = without_native(f"import hbids; hbids.replay({str(STAFFORD)!r}, engine='native')")
    assert done.returncode != 0
    assert "EngineUnavailable: the native engine is not installed" in done.stderr


def test_auto_takes_the_native_engine_where_it_is(engine_name: str) -> None:
    if engine_name == "native":  # the fixture has made sure that it is there
        assert hbids.replay(STAFFORD).engine == "native"


def test_a_wrong_engine_is_named() -> None:
    with pytest.raises(ValueError, match="engine 'turbo': must be one of auto, native, reference"):
        hbids.replay(STAFFORD, engine="turbo")
