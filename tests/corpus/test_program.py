"""The program on every capture: what it writes is what others rely on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import communityid
import jsonschema
import pytest

from tests.conftest import run_hbids, shared_path
from tests.corpus.labels import CORPUS, LABELS
from tests.support.summaries import ENDPOINT_KEYS, SUMMARY_KEYS

HEARTBEAT_KEYS = {"requests", "responses", "sealed", "overread_requests", "malformed"}
SECONDS_KEYS = {"capture", "wall", "cpu"}
CONTEXT_KEYS = {
    "alert_id",
    "answer_bytes",
    "answer_records",
    "answers",
    "answers_per_hour",
    "bytes_to_client",
    "bytes_to_server",
    "claimed_length",
    "evidence",
    "first_seen",
    "flows",
    "key_effort",
    "last_seen",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "message_id",
    "negotiated",
    "network",
    "overread",
    "packets_to_client",
    "packets_to_server",
    "phase",
    "present_length",
    "record_length",
    "record_version",
    "request_bytes",
    "request_id",
    "requests",
    "sealed",
    "sources",
    "tool",
    "tool_class",
    "tool_confidence",
    "tools",
    "transport",
    "usual_flows",
    "verdict",
    "victim",
    "window_s",
}
"""Those that ../shared/INTERFACE.md promises, and the three that hbids adds: tool, message_id, request_id."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one run wrote."""

    alerts: list[dict[str, Any]]
    summary: dict[str, Any]
    facts: Path


@pytest.fixture(scope="module", params=LABELS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("run")
    eve, summary, facts = folder / "eve.json", folder / "summary.json", folder / "facts"
    done = run_hbids("replay", CORPUS / request.param, "--eve", eve, "--summary", summary, "--facts", facts)
    assert (done.returncode, done.stderr) == (0, "")
    alerts = [json.loads(line) for line in eve.read_text().splitlines()]
    return Written(alerts, json.loads(summary.read_text()), facts)


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads((shared_path("eve-schema") / "schema.json").read_text()))


def test_every_line_is_one_that_suricata_could_have_written(
    written: Written, schema: jsonschema.Draft7Validator
) -> None:
    assert [error.message for event in written.alerts for error in schema.iter_errors(event)] == []


def test_community_ids_are_those_that_others_compute(written: Written) -> None:
    others = communityid.CommunityID()
    for event in written.alerts:
        ends = event["src_ip"], event["dest_ip"], event["src_port"], event["dest_port"]
        flow = (communityid.FlowTuple.make_udp if event["proto"] == "UDP" else communityid.FlowTuple.make_tcp)(*ends)
        assert event["community_id"] == others.calc(flow)


def test_alerts_carry_the_promised_numbers(written: Written) -> None:
    assert {key for event in written.alerts for key in event["alert"]["context"]["hbids"]} <= CONTEXT_KEYS
    assert [event["alert"]["signature"] for event in written.alerts if "?" in event["alert"]["signature"]] == []


def test_the_summary_has_the_promised_keys(written: Written) -> None:
    summary = written.summary
    assert summary.keys() == SUMMARY_KEYS
    assert summary["heartbeats"].keys() == HEARTBEAT_KEYS
    assert summary["seconds"].keys() == SECONDS_KEYS
    assert all(endpoint.keys() == ENDPOINT_KEYS for endpoint in summary["endpoints"])
    assert all(endpoint["verdict"] != "clear" for endpoint in summary["endpoints"])


def test_the_summary_counts_the_alerts(written: Written) -> None:
    counted = Counter(str(event["alert"]["signature_id"]) for event in written.alerts)
    assert written.summary["alerts"] == counted
    assert all(1016000 <= int(sid) <= 1016999 for sid in counted)


def test_the_tables_hold_what_the_summary_counts(written: Written) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'hbids[parquet]'")
    rows = {name: parquet.read_table(written.facts / f"{name}.parquet") for name in ("heartbeats", "sessions", "flows")}
    counted = written.summary["heartbeats"]
    assert rows["heartbeats"].num_rows == sum(counted[kind] for kind in HEARTBEAT_KEYS - {"overread_requests"})
    assert rows["sessions"].num_rows == written.summary["tls_sessions"] + written.summary["dtls_sessions"]
    assert len(set(rows["flows"].column("flow_id").to_pylist())) == written.summary["flows"]
