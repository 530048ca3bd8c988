"""Since when an endpoint leaked and until when: only what is proved, whatever the order, over runs and sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hbids
from hbids.config import Config, Thresholds
from hbids.facts import Facts, Finding, Rows
from hbids.keyed import MOST_ENTRIES, fingerprint
from hbids.measures import Measured
from hbids.pipeline import Analysis
from hbids.stats import ExposureTimeline, RefusalFinder, refusals
from tests.conftest import PCAPS, shared_path
from tests.support import dtls, tls
from tests.support.conversation import SECOND_NS, START_NS, TO_CLIENT, TO_SERVER, Conversation, frames_of, write_pcap
from tests.support.judging import judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

LIE = tls.request(0x4000)
DAY_NS = 86_400 * SECOND_NS
SERVER = "10.9.9.9"


def asked(number: int = 0, *, request: bytes = LIE, days: float = 0) -> Conversation:
    """A connection on which the client has just lied."""
    conversation = greeted(number, days=days)
    conversation.client(request)
    return conversation


def greeted(number: int = 0, *, days: float = 0, server_hello: bytes | None = None) -> Conversation:
    start_ns = START_NS + number * SECOND_NS + round(days * DAY_NS)
    conversation = Conversation(server=SERVER, client_port=20_000 + number, start_ns=start_ns)
    return conversation.connect().say_hello(server=server_hello)


def leaking(number: int = 0, *, days: float = 0) -> Conversation:
    conversation = asked(number, request=tls.request(0x100), days=days)
    conversation.server(tls.answer(0x100)[0])
    return conversation


def refusing(number: int = 0, *, days: float = 0) -> Conversation:
    """The server lived on in silence."""
    conversation = asked(number, days=days)
    conversation.wait(5).server(tls.certificate())
    return conversation


def exposure_of(result: hbids.Result) -> dict[str, Any]:
    (endpoint,) = result.endpoints
    exposure: dict[str, Any] = endpoint["exposure"]
    return exposure


# --- what proves that a peer refuses ----------------------------------------------------------------------------------


def an_alert() -> Conversation:
    conversation = asked()
    conversation.server(tls.alert(2, 10))
    return conversation


def another_record_later() -> Conversation:
    conversation = asked()
    conversation.wait(2).server(tls.certificate())
    return conversation


def both_close_the_client_first() -> Conversation:
    conversation = asked()
    conversation.wait(2).fin(TO_SERVER)
    conversation.fin(TO_CLIENT)
    return conversation


def a_request_without_over_read() -> Conversation:
    conversation = asked(request=tls.request(0x10, bytes(0x10)))
    conversation.server(tls.alert(2, 10))
    return conversation


def an_alert_though_heartbeats_were_not_agreed_on() -> Conversation:
    conversation = greeted(server_hello=tls.server_hello_body(extensions=[]))
    conversation.client(tls.honest_request())
    conversation.server(tls.alert(2, 10))
    return conversation


def a_sealed_request_too_small() -> Conversation:
    conversation = greeted().finish_handshake()
    conversation.client(tls.sealed(27))
    conversation.wait(2).server(tls.application_data())
    return conversation


def other_records_first_an_alert_in_the_end() -> Conversation:
    conversation = asked()
    conversation.server(tls.certificate())
    conversation.wait(1).server(tls.alert(2, 10))
    return conversation


@pytest.mark.parametrize(
    "build",
    [
        an_alert,
        another_record_later,
        both_close_the_client_first,
        a_request_without_over_read,
        an_alert_though_heartbeats_were_not_agreed_on,
        a_sealed_request_too_small,
        other_records_first_an_alert_in_the_end,
    ],
)
def test_a_refusal(engine_name: str, tmp_path: Path, build: Callable[[], Conversation]) -> None:
    exposure = exposure_of(judge(tmp_path, engine_name, build()))
    assert exposure["first_patched"] == exposure["last_patched"] is not None
    assert (exposure["exposed_from"], exposure["exposed_until"]) == (None, None)


def the_capture_ends() -> Conversation:
    return asked()


def another_record_too_early() -> Conversation:
    conversation = asked()
    conversation.wait(1.9).server(tls.certificate())
    return conversation


def only_the_kernel_lives() -> Conversation:
    conversation = asked()
    conversation.wait(5).segment(TO_CLIENT)
    conversation.wait(5).fin(TO_SERVER)
    conversation.segment(TO_CLIENT)
    return conversation


def it_is_reset() -> Conversation:
    conversation = asked()
    conversation.wait(5).rst(TO_CLIENT)
    return conversation


def the_server_crashes() -> Conversation:
    conversation = asked()
    conversation.fin(TO_CLIENT)
    conversation.wait(5).fin(TO_SERVER)
    return conversation


def both_close_at_once() -> Conversation:
    conversation = asked()
    conversation.fin(TO_SERVER)
    conversation.fin(TO_CLIENT)
    return conversation


def one_way_was_captured() -> Conversation:
    return another_record_later().lose_way(TO_CLIENT)


def some_of_the_way_back_is_lost() -> Conversation:
    conversation = asked()
    conversation.lose(*conversation.server(tls.answer(0x100)[0]))
    conversation.wait(12).server(tls.certificate())
    conversation.client(tls.application_data())
    return conversation


def an_answer_without_leak() -> Conversation:
    conversation = asked(request=tls.heartbeat(1, 16, bytes(16)))
    conversation.server(tls.answer(16)[0])
    conversation.wait(5).server(tls.alert())
    return conversation


def a_request_before_the_server_said_hello() -> Conversation:
    conversation = Conversation(server=SERVER).connect()
    conversation.client(tls.client_hello() + LIE)
    conversation.server(tls.alert(2, 40))  # of the hello
    return conversation


def a_request_of_another_version() -> Conversation:
    conversation = asked(request=tls.heartbeat(1, 0x4000, version=tls.TLS_1_0))
    conversation.server(tls.alert(2, 70))  # of the version, as vulnerable servers do
    return conversation


def an_alert_before_the_request() -> Conversation:
    conversation = greeted()
    conversation.server(tls.alert(1, 112))
    conversation.client(LIE)
    return conversation


def a_flow_joined_late() -> Conversation:
    conversation = Conversation(server=SERVER)
    conversation.client(LIE)
    conversation.server(tls.alert(2, 10))
    return conversation


def an_honest_request() -> Conversation:
    conversation = asked(request=tls.honest_request())
    conversation.server(tls.alert())
    return conversation


def a_message_that_is_none() -> Conversation:
    conversation = asked(request=tls.heartbeat(7, 0x4000))
    conversation.wait(5).server(tls.certificate())
    return conversation


@pytest.mark.parametrize(
    "build",
    [
        the_capture_ends,
        another_record_too_early,
        only_the_kernel_lives,
        it_is_reset,
        the_server_crashes,
        both_close_at_once,
        one_way_was_captured,
        some_of_the_way_back_is_lost,
        an_answer_without_leak,
        a_request_before_the_server_said_hello,
        a_request_of_another_version,
        an_alert_before_the_request,
        a_flow_joined_late,
        an_honest_request,
        a_message_that_is_none,
    ],
)
def test_no_refusal(engine_name: str, tmp_path: Path, build: Callable[[], Conversation]) -> None:
    for endpoint in judge(tmp_path, engine_name, build()).endpoints:
        assert endpoint["exposure"]["first_patched"] is None


def test_silence_over_dtls_proves_nothing_an_alert_does(engine_name: str, tmp_path: Path) -> None:
    patched = []
    for content_type, body in ((tls.HANDSHAKE, dtls.fragment(tls.CERTIFICATE, bytes(20), 2)), (tls.ALERT, b"\x02\x0a")):
        exchange = dtls.greeted()
        exchange.beat(TO_SERVER)
        exchange.now_ns += 5 * SECOND_NS
        exchange.say(TO_CLIENT, content_type, body)
        result = hbids.replay(write_pcap(tmp_path / "made.pcap", exchange.frames), engine=engine_name)
        patched.append(exposure_of(result)["first_patched"] is not None)
    assert patched == [False, True]


def test_a_client_refuses_likewise(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    conversation.server(LIE)
    conversation.wait(3).client(tls.application_data())
    (client,) = (e for e in judge(tmp_path, engine_name, conversation).endpoints if e["role"] == "client")
    assert client["exposure"]["first_patched"] is not None


# --- from when until when ---------------------------------------------------------------------------------------------


def test_a_leak_is_exposure_from_the_first_sign_on(engine_name: str, tmp_path: Path) -> None:
    exposure = exposure_of(judge(tmp_path, engine_name, greeted(0), leaking(60), leaking(120)))
    assert exposure["exposed_from"] == exposure["heartbeat_first_accepted"] == "2023-11-14T22:13:20.003000Z"
    assert exposure["first_leak"] == "2023-11-14T22:14:20.006000Z"
    assert exposure["last_leak"] == "2023-11-14T22:15:20.006000Z"
    assert exposure["heartbeat_last_accepted"] == "2023-11-14T22:15:20.003000Z"
    assert (exposure["exposed_until"], exposure["leaking_and_patched"]) == (None, False)
    assert (exposure["leaked_bytes"], exposure["leaked_bytes_estimated"]) == (2 * 0x100, 0)


def test_a_refusal_after_the_last_leak_ends_it(engine_name: str, tmp_path: Path) -> None:
    exposure = exposure_of(judge(tmp_path, engine_name, leaking(0), leaking(10), refusing(60), refusing(120)))
    assert exposure["exposed_until"] == exposure["first_patched"] == "2023-11-14T22:14:20.005000Z"
    assert exposure["last_patched"] == "2023-11-14T22:15:20.005000Z"
    assert not exposure["leaking_and_patched"]


def test_a_leak_after_a_refusal_opens_it_again(engine_name: str, tmp_path: Path) -> None:
    told = judge(tmp_path, engine_name, leaking(0), refusing(60), leaking(120), refusing(180))
    exposure = exposure_of(told)
    assert exposure["leaking_and_patched"]
    assert exposure["exposed_until"] is None
    assert exposure["exposed_from"] == exposure["heartbeat_first_accepted"]


def test_what_was_accepted_by_a_patched_server_is_no_exposure(engine_name: str, tmp_path: Path) -> None:
    exposure = exposure_of(judge(tmp_path, engine_name, refusing(0), leaking(60)))
    assert exposure["exposed_from"] == exposure["first_leak"]


def test_what_leaked_before_the_disclosure_is_told_apart(engine_name: str, tmp_path: Path) -> None:
    both = [leaking(0), leaking(60)]
    assert exposure_of(judge(tmp_path, engine_name, *both))["leaked_before_disclosure_bytes"] is None
    config = Config(disclosure_ns=START_NS + 30 * SECOND_NS)
    exposure = exposure_of(judge(tmp_path, engine_name, *both, config=config))
    assert exposure["leaked_before_disclosure_bytes"] == 0x100
    assert exposure["leaked_before_disclosure_bytes_estimated"] == 0


# --- over runs --------------------------------------------------------------------------------------------------------


def test_the_exposure_goes_on_from_run_to_run(engine_name: str, tmp_path: Path) -> None:
    days = [
        write_pcap(tmp_path / f"{day}.pcap", frames_of(build(days=day)))
        for day, build in ((0, leaking), (1, leaking), (40, refusing))  # who was quiet for a month is not forgotten
    ]
    for day in (*days[:2], *days):
        exposure = exposure_of(hbids.replay(day, state=tmp_path / "state", engine=engine_name))
    assert exposure["first_leak"][:10] == "2023-11-14"
    assert exposure["last_leak"][:10] == "2023-11-15"
    assert exposure["exposed_until"][:10] == "2023-12-24"
    assert exposure["leaked_bytes"] == 2 * 0x100, "what is replayed twice counts once"


def test_another_day_of_disclosure_makes_what_was_counted_unknown(tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "one.pcap", frames_of(leaking(0)))
    later = write_pcap(tmp_path / "two.pcap", frames_of(leaking(5)))
    config = Config(disclosure_ns=START_NS + DAY_NS)
    counted = [
        exposure_of(hbids.replay(path, state=tmp_path / "state", config=chosen))["leaked_before_disclosure_bytes"]
        for path, chosen in ((capture, config), (capture, config), (later, config), (later, Config(disclosure_ns=0)))
    ]
    assert counted == [0x100, 0x100, 2 * 0x100, None]


# --- however it is cut ------------------------------------------------------------------------------------------------

Parts = tuple[ExposureTimeline, RefusalFinder]


def count(part: Parts, facts: Facts) -> None:
    timeline, finder = part
    timeline.add_sessions(facts.sessions)
    measured = Measured(facts.heartbeats)
    timeline.add_leaks(measured, np.flatnonzero(measured.final & measured.leaks))
    finder.add_requests(measured)
    timeline.add_refusals(finder.refusals(facts.flows))


def nothing_yet() -> Parts:
    return ExposureTimeline(40_000, START_NS), RefusalFinder(Thresholds().unanswered_wait_ns)


def told(part: Parts) -> dict[tuple[int, ...], Any]:
    rows = part[0].parts()["exposure"]
    assert isinstance(rows, np.ndarray)
    return {tuple(row["key"].tolist()): row.tolist()[1:] for row in rows}


def of_share(rows: Rows, share: int, parts: int) -> npt.NDArray[np.bool_]:
    flows = rows["flow_id"].astype(np.uint64)
    return np.asarray(fingerprint(flows) % np.uint64(parts) == share)


def facts_of(path: Path) -> Facts:
    result = hbids.replay(path)
    return Facts(result.heartbeats, result.sessions, result.flows)


@pytest.mark.parametrize("parts", [2, 4, 8])
@pytest.mark.parametrize("name", sorted(path.name for path in shared_path("corpus").glob("*.pcap*")))
def test_parts_of_a_capture_add_up_to_the_whole(name: str, parts: int) -> None:
    facts = facts_of(shared_path("corpus") / name)
    whole, merged = nothing_yet(), nothing_yet()
    count(whole, facts)
    for share in range(parts):
        part = nothing_yet()
        tables = [getattr(facts, table) for table in ("heartbeats", "sessions", "flows")]
        count(part, Facts(*(rows[of_share(rows, share, parts)] for rows in tables)))
        merged[0].merge(part[0])
    assert told(merged) == told(whole)


@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap")), ids=lambda path: path.name)
def test_how_facts_are_cut_into_steps_changes_nothing(path: Path) -> None:
    facts, nothing = facts_of(path), Facts.empty()
    whole, one_by_one = nothing_yet(), nothing_yet()
    count(whole, facts)
    for at in range(len(facts.sessions)):
        count(one_by_one, Facts(nothing.heartbeats, facts.sessions[at : at + 1], nothing.flows))
    for at in range(len(facts.heartbeats)):
        count(one_by_one, Facts(facts.heartbeats[at : at + 1], nothing.sessions, nothing.flows))
    for at in range(len(facts.flows)):
        count(one_by_one, Facts(nothing.heartbeats, nothing.sessions, facts.flows[at : at + 1]))
    assert told(one_by_one) == told(whole)


def test_flows_that_are_asked_are_remembered_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ignore(_: Finding) -> None:
        """Nobody listens."""

    monkeypatch.setattr(refusals, "MOST_ASKED", MOST_ENTRIES)
    facts = facts_of(write_pcap(tmp_path / "one.pcap", frames_of(refusing())))
    analysis, asked_flows = Analysis(Config(), ignore), 2 * MOST_ENTRIES
    requests = np.repeat(facts.heartbeats, asked_flows)
    requests["flow_id"] = np.arange(asked_flows)
    requests["end_time_ns"] += np.arange(asked_flows)
    analysis.add(Facts(requests, facts.sessions, facts.flows[:0]))
    assert analysis.drops()["detectors_forgot"] == MOST_ENTRIES
    for flow, is_remembered in ((0, False), (asked_flows - 1, True)):
        ended = facts.flows.copy()
        ended["flow_id"] = flow
        analysis.add(Facts(facts.heartbeats[:0], facts.sessions[:0], ended))
        assert (analysis.endpoints()[0]["exposure"]["first_patched"] is not None) is is_remembered
