"""What is not TLS, however much it looks like it: no session, no heartbeat, whatever a body holds."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.support import tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation, Packet, connected, frames_of
from tests.support.decoding import check

if TYPE_CHECKING:
    from hbids.facts import Direction
    from tests.decode.conftest import Decode
    from tests.support.decoding import Decoded

LIE = tls.request(0x4000)
ASKED = [tls.client_hello(), LIE, LIE, tls.ccs() + tls.finished(), tls.sealed(61)]
ANSWERED = [tls.server_hello() + tls.certificate(), *tls.answer(0x1000) * 2, tls.ccs() + tls.finished(), tls.sealed(61)]
BOTH = [piece for pair in zip(ASKED, ANSWERED, strict=True) for piece in pair]

POST = b"POST /upload HTTP/1.1\r\nHost: example\r\nContent-Length: 9999\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"


def attacked() -> Conversation:
    conversation = connected().say_hello()
    conversation.client(LIE)
    for piece in tls.answer(0x1000):
        conversation.server(piece)
    return conversation


def capture_file() -> bytes:
    """A pcap of a Heartbleed attack."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for frame in frames_of(attacked()):
        data += struct.pack("<IIII", 1, 1, len(frame.data), len(frame.data)) + frame.data
    return data


def cut_at_hellos(data: bytes) -> list[bytes]:
    """Segments that begin where a hello or a heartbeat does, as bad luck would have it."""
    starts = (b"\x16\x03", b"\x18\x03")
    places = sorted(at for start in starts for at in range(len(data)) if data.startswith(start, at))
    return tls.cut(data, places)


def check_plain(decoded: Decoded) -> None:
    assert (len(decoded.sessions), len(decoded.heartbeats), len(decoded.early)) == (0, 0, 0)
    for flow in decoded.flows:
        check(flow, transport=0)


@pytest.mark.parametrize("uploaded", [ASKED, ANSWERED, BOTH], ids=["asked", "answered", "both"])
@pytest.mark.parametrize("downloaded", [ASKED, ANSWERED, BOTH], ids=["asked", "answered", "both"])
def test_a_conversation_in_bodies_of_http(decode: Decode, uploaded: list[bytes], downloaded: list[bytes]) -> None:
    conversation = connected()
    conversation.client(POST)
    for piece in uploaded:
        conversation.client(piece)
    conversation.server(OK)
    for piece in downloaded:
        conversation.server(piece)
    check_plain(decode(conversation))


def test_a_conversation_in_bodies_of_http_that_take_turns(decode: Decode) -> None:
    conversation = connected()
    conversation.client(POST)
    conversation.server(b"HTTP/1.1 100 Continue\r\n\r\n")
    conversation.client(ASKED[0])
    conversation.server(OK)
    conversation.server(ANSWERED[0])
    for asked, answered in zip(ASKED[1:], ANSWERED[1:], strict=True):
        conversation.client(asked)
        conversation.server(answered)
    check_plain(decode(conversation))


def test_http_on_one_connection_again_and_again(decode: Decode) -> None:
    conversation = connected()
    for _ in range(5):
        conversation.client(POST + bytes(3_000))
        for piece in ASKED:
            conversation.client(piece)
        conversation.server(OK + bytes(9_000), cut=range(1_400, 9_000, 1_400))
        for piece in ANSWERED:
            conversation.server(piece)
    check_plain(decode(conversation))


@pytest.mark.parametrize("before", [b"", b"STARTTLS\r\n"])
def test_mail_text_in_a_body_does_not_ask_for_tls(decode: Decode, before: bytes) -> None:
    conversation = connected()
    conversation.client(POST + before)
    conversation.client(before + tls.client_hello() + LIE)
    conversation.server(OK + b"220 go\r\n" + tls.server_hello() + tls.answer(0x1000)[0])
    check_plain(decode(conversation))


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("greeting", [b"", POST, b"\x00\x01\x02\x03 some protocol"], ids=["ftp data", "http", "other"])
def test_a_capture_of_an_attack_is_transferred(decode: Decode, way: Direction, greeting: bytes) -> None:
    conversation = connected()
    if greeting:
        conversation.client(greeting)
    for piece in cut_at_hellos(capture_file()):
        conversation.segment(way, piece)
    for other in (TO_SERVER, TO_CLIENT):
        conversation.fin(other)
    check_plain(decode(conversation))


@pytest.mark.parametrize("lost", [2, 3, 4])
def test_a_transferred_capture_with_a_hole(decode: Decode, lost: int) -> None:
    conversation = connected()
    packets = [conversation.segment(TO_SERVER, piece) for piece in cut_at_hellos(capture_file())]
    conversation.lose(packets[lost])
    conversation.fin(TO_SERVER)
    conversation.fin(TO_CLIENT)
    check_plain(decode(conversation))


def test_a_file_of_records_is_transferred(decode: Decode) -> None:
    conversation = connected()
    conversation.client(b"put records\n")
    for piece in BOTH:
        conversation.client(piece)
    conversation.server(b"done\n")
    decoded = decode(conversation)
    check_plain(decoded)
    assert set(decoded.drops) == {"heartbeats_without_tls"}


def test_ssh(decode: Decode) -> None:
    conversation = connected()
    conversation.client(b"SSH-2.0-OpenSSH_9.2\r\n")
    conversation.server(b"SSH-2.0-OpenSSH_9.2\r\n")
    for seed in range(50):
        conversation.client(tls.noise(700, seed) + LIE)
        conversation.server(tls.noise(700, seed + 1) + LIE)
    check_plain(decode(conversation))


@pytest.mark.parametrize("segment", [LIE, LIE * 2, tls.answer(0x100)[0], tls.sealed(61), tls.alert() + LIE])
def test_heartbeats_after_plain_text_without_any_hello(decode: Decode, segment: bytes) -> None:
    conversation = connected()
    conversation.client(b"hello there\n")
    conversation.server(b"well met\n")
    for _ in range(5):
        conversation.client(segment)
        conversation.server(tls.answer(0x100)[0])
    check_plain(decode(conversation))


def test_an_unanswered_hello_after_plain_text_is_forgotten(decode: Decode) -> None:
    """And a later one, which is answered, is not."""
    conversation = connected()
    conversation.client(b"secure me\n")
    conversation.client(tls.client_hello() + LIE)
    conversation.client(b"no, plain text goes on\n")
    conversation.server(b"what?\n")
    conversation.client(b"again\n")
    _hello_and_lie(conversation)
    decoded = decode(conversation)
    assert (len(decoded.sessions), len(decoded.heartbeats)) == (1, 1)
    assert decoded.flows[0]["records_to_server"].tolist() == [0, 0, 1, 0, 1]
    assert decoded.drops == {"heartbeats_without_tls": 1}


def _hello_and_lie(conversation: Conversation) -> list[Packet]:
    conversation.say_hello()
    return conversation.client(LIE)
