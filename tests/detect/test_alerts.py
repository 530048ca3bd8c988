"""When an alert comes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.facts import Direction, Verdict
from tests.detect.casebook import ASKED, LIE, WHOLE
from tests.support import tls
from tests.support.conversation import Conversation, Packet, greeted, sealing
from tests.support.judging import alerts, findings_of, judge

if TYPE_CHECKING:
    from pathlib import Path

    from hbids.facts import Finding

ATTEMPT, LEAK, TOTAL = 1016001, 1016100, 1016102
SEALED_LEAK, SEALED_TOTAL = 1016201, 1016203


def place(conversation: Conversation, packet: Packet) -> int:
    """The packet's number in the capture, from 1."""
    return next(number for number, each in enumerate(conversation.packets, 1) if each is packet)


def assert_at(finding: Finding, conversation: Conversation, packet: Packet) -> None:
    """The finding was made at this packet, and knows the flow as it then was."""
    assert finding.time_ns == packet.time_ns
    number = place(conversation, packet)
    assert finding.flow.packet_number == number
    assert finding.flow.packets_to_server + finding.flow.packets_to_client == number
    sent = [frame for frame, _ in zip(conversation.frames(), range(number), strict=False)]
    assert finding.flow.bytes_to_server + finding.flow.bytes_to_client == sum(frame.wire_bytes for frame in sent)


def test_the_attempt_comes_with_its_packet(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    *_, last = conversation.client(LIE, cut=[3, 6])
    conversation.wait(30).server(tls.application_data())
    (finding,) = findings_of(judge(tmp_path, engine_name, conversation), [ATTEMPT])
    assert_at(finding, conversation, last)
    assert (finding.packet_direction, finding.victim) == (Direction.TO_SERVER, Direction.TO_SERVER)
    assert finding.verdict == Verdict.ATTEMPTED
    assert finding.context.pop("alert_id")
    assert finding.context == {
        "transport": "tls",
        "sealed": False,
        "message_id": 1,
        "evidence": "wire",
        "phase": "handshake",
        "negotiated": True,
        "record_version": 0x0303,
        "claimed_length": 0x4000,
        "present_length": 0,
        "record_length": 3,
        "request_bytes": 3,
        "overread": 0x4000,
        "requests": 1,
        "tool_class": "unknown",
    }


def test_the_leak_comes_with_the_packet_that_exceeds_the_request_and_the_total_at_the_end(
    engine_name: str, tmp_path: Path
) -> None:
    conversation = greeted()
    conversation.client(tls.request(0x4000, bytes(100)))
    whole, tail = tls.answer(0x4000)
    _, exceeding, _, _ = conversation.server(whole, cut=[5 + 3 + 100, 5 + 3 + 101, 9000])
    (last,) = conversation.server(tail)
    conversation.wait(60).client(tls.application_data())
    result = judge(tmp_path, engine_name, conversation)
    leak, total = findings_of(result, [LEAK, TOTAL])
    assert (leak.sid, total.sid) == (LEAK, TOTAL)
    assert_at(leak, conversation, exceeding)
    assert_at(total, conversation, last)
    assert leak.context["leaked_bytes"] == 1
    assert total.context["leaked_bytes"] == 0x4000 - 100
    assert total.context["answer_bytes"] == 0x4000 + 19
    assert total.context["answer_records"] == 2
    assert total.context["claimed_length"] == 0x4000
    assert (total.packet_direction, total.victim) == (Direction.TO_CLIENT, Direction.TO_SERVER)
    assert {leak.context["request_id"], total.context["request_id"]} == {1}


def test_a_sealed_leak_comes_with_the_packet_that_exceeds_the_request_and_the_total_at_the_end(
    engine_name: str, tmp_path: Path
) -> None:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    _, exceeding, _ = conversation.server(tls.sealed(WHOLE), cut=[5 + ASKED + 16, 5 + ASKED + 17])
    (last,) = conversation.server(tls.sealed(42))
    leak, total = findings_of(judge(tmp_path, engine_name, conversation), [SEALED_LEAK, SEALED_TOTAL])
    assert_at(leak, conversation, exceeding)
    assert_at(total, conversation, last)
    assert leak.context["leaked_bytes_estimated"] == 1
    assert total.context["leaked_bytes_estimated"] == 16_384 + 18 - 37 - 16
    assert "claimed_length" not in total.context


@pytest.mark.parametrize("segment_bytes", [100, 1460, 16_000])
def test_exchanges_give_as_few_lines_however_many_packets_they_took(
    engine_name: str, tmp_path: Path, segment_bytes: int
) -> None:
    conversation = greeted()
    for _ in range(3):
        conversation.client(tls.request(0xFFFF))
        data = b"".join(tls.answer(0xFFFF))
        conversation.server(data, cut=range(segment_bytes, len(data), segment_bytes))
    result = judge(tmp_path, engine_name, conversation)
    assert alerts(result) == {ATTEMPT: 1, LEAK: 1, TOTAL: 2, 1016500: 1}
    first, last = findings_of(result, [TOTAL])
    assert (first.context["answers"], first.context["leaked_bytes"]) == (1, 0xFFFF)
    assert (last.context["answers"], last.context["leaked_bytes"]) == (3, 3 * 0xFFFF)


def test_a_leak_that_never_ends_has_its_total_when_the_flow_ends(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    conversation.client(tls.request(0xFFFF))
    first, second, *_ = tls.answer(0xFFFF)
    conversation.server(first)
    conversation.server(second[:10_000])
    conversation.rst(Direction.TO_SERVER)
    result = judge(tmp_path, engine_name, conversation)
    leak, total = findings_of(result, [LEAK, TOTAL])
    assert total.context["leaked_bytes"] == 16_384 + 9_995 - 3
    assert result.totals["leaked_bytes"] == total.context["leaked_bytes"]
    assert leak.time_ns < total.time_ns


def test_findings_come_in_the_order_of_time(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    for claimed in (100, 200, 300):
        conversation.client(tls.request(claimed))
        conversation.server(tls.answer(claimed)[0], cut=[50])
    times = [finding.time_ns for finding in judge(tmp_path, engine_name, conversation).findings]
    assert times == sorted(times)


def test_every_alert_of_a_tool_names_it_and_one_tells_of_it(engine_name: str, tmp_path: Path) -> None:
    conversation = greeted()
    for _ in range(2):
        conversation.client(tls.request(0x4000, b"Nmap ssl-heartbleed"))
    result = judge(tmp_path, engine_name, conversation)
    assert [finding.context["tools"] for finding in findings_of(result, [ATTEMPT])] == [["nmap ssl-heartbleed"]] * 2
    assert [finding.context["requests"] for finding in findings_of(result, [ATTEMPT])] == [1, 2]
    (told,) = findings_of(result, [1016600])
    assert told.context["tool"] == "nmap ssl-heartbleed"
    assert result.endpoints[0]["tools"] == ["nmap ssl-heartbleed"]
