"""TLS records: split and glued at any byte, of every length, honest and absurd."""

from __future__ import annotations

import pytest

from hbids.facts import Kind, Protection
from tests.decode.conftest import Decode
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, connected, greeted
from tests.support.decoding import check, column

LIE = tls.request(0x4000)
SESSION = tls.client_hello(), tls.server_hello() + tls.certificate(), LIE, tls.answer(0x200)[0]


def _session(cut_at: int, which: int) -> Conversation:
    conversation = Conversation(client_port=10_000 + cut_at, start_ns=START_NS + cut_at * SECOND_NS).connect()
    for index, data in enumerate(SESSION):
        send = conversation.server if index % 2 else conversation.client
        send(data, cut=[cut_at] if index == which else [])
    return conversation


@pytest.mark.parametrize("which", range(4))
def test_split_at_any_byte_a_session_reads_the_same(decode: Decode, which: int) -> None:
    places = [at for at in range(1, len(SESSION[which])) if at < 120 or at % 50 == 0]
    decoded = decode(*(_session(at, which) for at in places))
    assert column(decoded.sessions, "heartbeat_accepted") == [1] * len(places)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x200] * len(places)
    assert set(column(decoded.heartbeats, "gap")) == {0}
    assert decoded.drops == {}


def test_records_glued_into_one_segment_are_told_apart(decode: Decode) -> None:
    conversation = connected()
    conversation.client(tls.client_hello() + LIE + LIE + tls.alert() + tls.request(7))
    conversation.server(tls.server_hello() + tls.answer(0x100)[0] + tls.answer(7)[0])
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000, 0x4000, 7, 0x100, 7]
    assert decoded.flows[0]["records_to_server"].tolist() == [0, 1, 1, 0, 3]


@pytest.mark.parametrize(
    "before",
    [tls.alert(), tls.application_data(), tls.client_hello(), tls.certificate(), tls.record(tls.ALERT, b"")],
    ids=["alert", "application data", "hello", "handshake", "empty record"],
)
def test_a_heartbeat_behind_another_record_is_found(decode: Decode, before: bytes) -> None:
    conversation = greeted()
    conversation.client(before + LIE)
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.REQUEST, claimed_length=0x4000, record_length=3)


def test_the_two_records_of_masscan_are_an_alert_and_a_request(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(bytes.fromhex("15 0302 0002 01 80  18 0302 0003 01 4000"))
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.REQUEST, claimed_length=0x4000, record_length=3, record_version=0x0302)


@pytest.mark.parametrize("content_type", [tls.ALERT, tls.HANDSHAKE, tls.APPLICATION_DATA])
def test_records_of_no_length_are_counted_and_passed(decode: Decode, content_type: int) -> None:
    conversation = greeted()
    conversation.client(tls.record(content_type, b"") * 3 + LIE)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert decoded.flows[0]["records_to_server"].sum() == 5
    assert decoded.drops == {}


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x01\x40", b"\x02", b"\x07"])
def test_a_heartbeat_shorter_than_its_header_is_malformed(decode: Decode, body: bytes) -> None:
    conversation = greeted()
    conversation.client(tls.record(tls.HEARTBEAT, body) + LIE)
    malformed, request = decode(conversation).heartbeats
    check(malformed, kind=Kind.MALFORMED, record_length=len(body), bytes_seen=len(body), claimed_length=-1)
    check(malformed, message_type=body[0] if body else -1, payload_present=-1, padding_present=-1)
    check(request, kind=Kind.REQUEST, claimed_length=0x4000)


@pytest.mark.parametrize("message_type", [0, 3, 255])
def test_a_heartbeat_of_unknown_type_is_malformed(decode: Decode, message_type: int) -> None:
    conversation = greeted()
    conversation.client(tls.heartbeat(message_type, 0x4000))
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.MALFORMED, message_type=message_type, claimed_length=0x4000, record_length=3)


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0304, 0x03FF])
def test_the_version_of_a_record_may_lie(decode: Decode, version: int) -> None:
    conversation = greeted()
    conversation.client(tls.heartbeat(tls.REQUEST, 0x4000, version=version))
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.REQUEST, record_version=version, claimed_length=0x4000)


@pytest.mark.parametrize("length", [18_433, 40_000, 65_535])
def test_an_absurd_record_length_is_counted_and_its_body_skipped(decode: Decode, length: int) -> None:
    conversation = greeted()
    body = b"\x01\xff\xff" + tls.noise(length - 3)
    conversation.client(tls.record(tls.HEARTBEAT, body) + LIE, cut=range(30_000, length, 30_000))
    decoded = decode(conversation)
    absurd, request = decoded.heartbeats
    check(absurd, kind=Kind.REQUEST, record_length=length, bytes_seen=length, claimed_length=0xFFFF)
    check(request, claimed_length=0x4000)
    assert decoded.drops == {"record_overlong": 1}


def test_a_request_in_a_record_that_never_ends_is_still_told(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.record(tls.HEARTBEAT, b"\x01\x40\x00", length=16_000))
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.REQUEST, record_length=16_000, bytes_seen=3, claimed_length=0x4000, payload_present=0)


@pytest.mark.parametrize("came", [0, 1, 2])
def test_a_heartbeat_cut_off_in_its_header_is_still_told(decode: Decode, came: int) -> None:
    conversation = greeted()
    conversation.client(LIE[: 5 + came])
    (row,) = decode(conversation).heartbeats
    check(row, record_length=3, bytes_seen=came, claimed_length=-1)


def test_no_record_after_a_record_is_a_desync_and_the_next_record_is_found(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.alert() + b"these are no records, and end where a segment ends")
    conversation.client(LIE)
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "claimed_length") == [0x4000]
    assert decoded.drops == {"record_desync": 1}


def test_plain_text_that_never_says_hello_is_not_tls(decode: Decode) -> None:
    conversation = connected()
    conversation.client(b"HELO me\r\n")
    conversation.server(b"250 you\r\n")
    decoded = decode(conversation)
    assert (len(decoded.heartbeats), len(decoded.sessions)) == (0, 0)
    check(decoded.flows[0], transport=0)


def test_a_lookalike_without_a_hello_has_no_heartbeats(decode: Decode) -> None:
    conversation = connected()
    for _ in range(5):
        conversation.client(LIE)
        conversation.server(tls.answer(0x1000)[0])
    decoded = decode(conversation)
    assert (len(decoded.heartbeats), len(decoded.sessions)) == (0, 0)
    check(decoded.flows[0], transport=0)
    assert decoded.drops == {"heartbeats_without_tls": 10}


# --- what an evader sends ---------------------------------------------------------------------------------------------


SSLV2_HELLO = b"\x01\x03\xff" + tls.words([6, 0, 16]) + bytes.fromhex("010080 00002f") + bytes(16)
OPENINGS = {
    "a version nobody uses": tls.client_hello(version=0x03FF),
    "an SSLv2 hello for such a version": tls.words([0x8000 | len(SSLV2_HELLO)]) + SSLV2_HELLO,
    "an empty record first": tls.record(tls.HANDSHAKE, b"", version=0x03FF) + tls.client_hello(),
    "an alert first": tls.alert() + tls.client_hello(),
    "no TLS at first": b"?" + tls.client_hello(),
}
"""What OpenSSL takes for the beginning of a session; the last one no server does, but an urgent byte looks like it."""


@pytest.mark.parametrize("what", OPENINGS)
def test_however_the_client_opens_the_lie_that_is_answered_is_seen(decode: Decode, what: str) -> None:
    conversation = connected()
    conversation.client(OPENINGS[what])
    conversation.server(tls.server_hello())
    conversation.client(LIE)
    conversation.server(tls.answer(0x1000)[0])
    request, response = decode(conversation).heartbeats
    check(request, kind=Kind.REQUEST, claimed_length=0x4000)
    check(response, kind=Kind.RESPONSE, answers_message=request["message_id"])


@pytest.mark.parametrize("body", [b"", b"\x01\x01"])
def test_a_change_of_cipher_that_is_none_seals_nothing(decode: Decode, body: bytes) -> None:
    conversation = greeted()
    conversation.client(tls.record(tls.CHANGE_CIPHER_SPEC, body) + tls.request(0x4000, tls.noise(58)))
    (row,) = decode(conversation).heartbeats
    check(row, protection=Protection.CLEAR, claimed_length=0x4000, record_length=61)
