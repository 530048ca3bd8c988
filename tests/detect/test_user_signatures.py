"""Signatures of a user's own: what fires, how often it is told, and that no verdict rests on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation import Exchanges, address_bytes, numbered_addresses, rows_of
from hbids.config import Config
from hbids.config_file import load
from hbids.eve.event import alert
from hbids.facts import Direction, Facts, Finding, Rows, Verdict
from hbids.pipeline import Analysis
from hbids.signatures import in_force
from tests.conftest import shared_path
from tests.detect.casebook import LIE, numbered
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, connected, greeted, sealing
from tests.support.judging import alerts, findings_of, judge

if TYPE_CHECKING:
    from pathlib import Path

OWN = 1000001
REQUESTS = "table: heartbeats, kind: request"
DAY_NS = 86_400 * SECOND_NS


def config_with(folder: Path, match: str, more: str = "", *, title: str = "mine") -> Config:
    path = folder / "mine.yaml"
    path.write_text(
        f"signatures:\n- sid: {OWN}\n  rev: 1\n  title: '{title}'\n  category: Misc activity\n  severity: 3\n"
        f"  match: {{{match}}}\n{more}"
    )
    return load(signatures=[path])


# --- what fires -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "fires"),
    [
        ("table: heartbeats, claimed_length: '> 4096'", True),
        ("table: heartbeats, claimed_length: '> 40960'", False),
        ("table: heartbeats, kind: response, leaked_bytes: '>= 256'", True),
        ("table: heartbeats, kind: response, leaked_bytes: '> 16384'", False),
        ("table: heartbeats, overread: 16384, suspicious: yes, transport: tls", True),
        ("table: heartbeats, kind: request, not: {server_addr: 10.0.0.0/8}", False),
        ("table: sessions, heartbeat_accepted: yes", True),
        ("table: sessions, heartbeat_accepted: no", False),
        ("table: flows, heartbeats_to_server: 1..5, client_addr: 10.0.0.0/8", True),
        ("table: flows, heartbeat_records_to_client: 0", False),
        ("table: flows, end_reason: checkpoint", False),
    ],
)
def test_a_signature_fires_where_its_match_holds(engine_name: str, tmp_path: Path, match: str, *, fires: bool) -> None:
    conversation = greeted()
    conversation.client(LIE)
    for record in tls.answer(0x4000):
        conversation.server(record)
    result = judge(tmp_path, engine_name, conversation, config=config_with(tmp_path, match))
    assert (OWN in alerts(result)) == fires


def test_no_verdict_rests_on_it(engine_name: str, tmp_path: Path) -> None:
    honest = sealing()
    honest.client(tls.sealed(61))
    honest.server(tls.sealed(61))
    plain = judge(tmp_path, engine_name, honest)
    result = judge(tmp_path, engine_name, honest, config=config_with(tmp_path, REQUESTS))
    (found,) = findings_of(result, [OWN])
    assert found.verdict == Verdict.CLEAR
    assert result.endpoints == plain.endpoints
    assert [endpoint["verdict"] for endpoint in result.endpoints] == ["exposed"]
    assert alerts(result) == alerts(plain) | {OWN: 1}


def test_a_client_that_is_asked_is_the_target(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    conversation.server(LIE)
    (found,) = findings_of(judge(tmp_path, engine_name, conversation, config=config_with(tmp_path, REQUESTS)), [OWN])
    assert (found.victim, found.packet_direction) == (Direction.TO_CLIENT, Direction.TO_CLIENT)


def test_titles_fill_in_columns(engine_name: str, tmp_path: Path) -> None:
    config = config_with(tmp_path, "table: sessions, transport: tls", title="{transport} from {client_addr}")
    (found,) = findings_of(judge(tmp_path, engine_name, greeted(), config=config), [OWN])
    assert in_force(config.signatures)[OWN].text(found.context) == f"tls from {found.flow.client_ip}"


def test_the_alert_is_one_that_suricata_would_accept(engine_name: str, tmp_path: Path) -> None:
    config = config_with(
        tmp_path, f"{REQUESTS}, claimed_length: 0x4000", title="{claimed_length} of {phase} by {client_addr}"
    )
    conversation = connected().say_hello()
    conversation.client(LIE)
    (found,) = findings_of(judge(tmp_path, engine_name, conversation, config=config), [OWN])
    event: dict[str, Any] = json.loads(json.dumps(alert(found, in_force(config.signatures)[OWN], config.output)))
    schema = jsonschema.Draft7Validator(json.loads((shared_path("eve-schema") / "schema.json").read_text()))
    assert [error.message for error in schema.iter_errors(event)] == []
    assert event["alert"]["signature"] == f"16384 of handshake by {found.flow.client_ip}"
    numbers = event["alert"]["context"]["hbids"]
    assert (numbers["kind"], numbers["matches"], numbers["verdict"]) == ("request", 1, "clear")


# --- changes of ours --------------------------------------------------------------------------------------------------


def test_what_is_switched_off_is_not_told_but_counts(engine_name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "signatures:\n" + "".join(f"- {{sid: {sid}, enabled: no}}\n" for sid in (1016001, 1016100, 1016102))
    )
    conversation = greeted()
    for _ in range(3):
        conversation.client(LIE)
        conversation.server(tls.answer(0x4000)[0])
    result = judge(tmp_path, engine_name, conversation, config=load(signatures=[path]))
    assert alerts(result) == {1016500: 1}
    assert [(endpoint["verdict"], endpoint["leaked_bytes"]) for endpoint in result.endpoints] == [
        ("leaked", 3 * (0x4000 - 3))
    ]
    assert result.summary()["drops"]["findings_disabled"] >= 3


def test_a_threshold_of_a_signature_moves_the_line(engine_name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("signatures:\n- {sid: 1016210, thresholds: {flood_messages: 4}}\n")
    conversation = sealing()
    for _ in range(4):
        conversation.client(tls.sealed(61))
        conversation.server(tls.sealed(61))
    assert 1016210 not in alerts(judge(tmp_path, engine_name, conversation))
    assert 1016210 in alerts(judge(tmp_path, engine_name, conversation, config=load(signatures=[path])))


# --- how often --------------------------------------------------------------------------------------------------------


def asked(count: int, *, sources: int = 1, every_ns: int = SECOND_NS) -> Rows:
    """Requests of one source after the other, and their answers."""
    numbers = np.arange(count)
    victims = np.repeat(address_bytes("203.0.113.1"), count, axis=0)
    addresses = numbered_addresses(numbers % sources)
    return rows_of(Exchanges(START_NS + numbers * every_ns, addresses, victims, np.full(count, 0x4000), sealed=False))


def told(rows: Rows, config: Config, *, step: int = 10_000) -> list[Finding]:
    findings: list[Finding] = []
    analysis = Analysis(config, findings.append)
    nothing = Facts.empty()
    for start in range(0, len(rows), step):
        analysis.add(Facts(rows[start : start + step], nothing.sessions, nothing.flows))
    analysis.finish()
    return [finding for finding in findings if finding.sid == OWN]


def test_it_is_told_at_once_at_each_tenfold_and_in_the_end(tmp_path: Path) -> None:
    found = told(asked(2_345), config_with(tmp_path, REQUESTS))
    assert [finding.context["matches"] for finding in found] == [1, 10, 100, 1000, 2345]


def test_it_is_told_again_day_by_day_then_ever_more_seldom(tmp_path: Path) -> None:
    found = told(asked(40 * 24, every_ns=DAY_NS // 24), config_with(tmp_path, REQUESTS))
    days = [(finding.time_ns - START_NS) // DAY_NS for finding in found]
    assert sorted(set(days)) == [0, 1, 2, 4, 8, 16, 24, 32, 39]


def test_some_sources_are_told_of_each(tmp_path: Path) -> None:
    found = told(asked(400, sources=200), config_with(tmp_path, REQUESTS))
    assert len({finding.flow.client_ip for finding in found}) <= 9
    assert len(found) == 6 + 2 + 1  # the first six sources, two powers of ten, the total


def test_so_many_rows_of_one_source_in_so_much_time(engine_name: str, tmp_path: Path) -> None:
    config = config_with(tmp_path, REQUESTS, "  count: 3\n  within_s: 10\n")
    slow = [numbered(number, seconds=6).connect().say_hello() for number in range(6)]
    quick = [numbered(number, source=2, seconds=4).connect().say_hello() for number in range(3)]
    for conversation in (*slow, *quick):
        conversation.client(LIE)
    assert OWN not in alerts(judge(tmp_path, engine_name, *slow, config=config))
    for conversations in (quick, [*slow, *quick]):
        (found,) = findings_of(judge(tmp_path, engine_name, *conversations, config=config), [OWN])
        assert (found.flow.client_ip, found.context["window_s"]) == ("10.0.0.2", 10)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 150),
    sources=st.integers(1, 12),
    every_s=st.sampled_from([0.01, 1, 3_600, 40_000]),
    step=st.integers(1, 60),
    counted=st.booleans(),
)
def test_steps_change_nothing_of_what_is_told(
    tmp_path_factory: pytest.TempPathFactory, count: int, sources: int, every_s: float, step: int, *, counted: bool
) -> None:
    more = "  count: 3\n  within_s: 30\n" if counted else ""
    config = config_with(tmp_path_factory.mktemp("steps"), REQUESTS, more)
    rows = asked(count, sources=sources, every_ns=round(every_s * SECOND_NS))
    whole = told(rows, config)
    assert len({finding.context["alert_id"] for finding in whole}) == len(whole)
    assert told(rows, config, step=step) == whole
