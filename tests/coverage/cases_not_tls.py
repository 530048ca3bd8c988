"""What looks like TLS heartbeats and is none, and what can only be suspected."""

from __future__ import annotations

import struct
from functools import partial

from hbids.facts import Verdict
from tests.coverage.casebook import LEAK, Group
from tests.coverage.exchanges import ANSWER, LIE, answered, leak
from tests.support import tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation, connected, frames_of, sealing

GROUP = Group(
    "Not TLS",
    "Bytes that look like heartbeats, where they are something else: nothing is said. A connection joined in the "
    "middle cannot be known for sure: its alerts have confidence Medium.",
)
POST = b"POST /upload HTTP/1.1\r\nHost: example\r\nContent-Length: 99999\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"
ASKED = [tls.client_hello(), LIE, LIE, tls.ccs() + tls.finished(), tls.sealed(61)]
CAME = [tls.server_hello() + tls.certificate(), ANSWER, ANSWER, tls.ccs() + tls.finished(), tls.sealed(61)]


@GROUP.case("a session of lies in the bodies of HTTP, both ways", verdict=Verdict.CLEAR)
def http_bodies() -> Conversation:
    conversation = connected()
    conversation.client(POST)
    for piece in ASKED:
        conversation.client(piece)
    conversation.server(OK)
    for piece in CAME:
        conversation.server(piece)
    return conversation


@GROUP.case("the same, taking turns as TLS does", verdict=Verdict.CLEAR)
def http_bodies_in_turns() -> Conversation:
    conversation = connected()
    conversation.client(POST)
    conversation.server(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    for asked, came in zip(ASKED, CAME, strict=True):
        conversation.client(asked)
        conversation.server(came)
    return conversation


@GROUP.case("mail text in the body of HTTP that seems to ask for STARTTLS", verdict=Verdict.CLEAR)
def starttls_in_a_body() -> Conversation:
    conversation = connected()
    conversation.client(POST + b"STARTTLS\r\n")
    conversation.client(b"STARTTLS\r\n" + tls.client_hello() + LIE)
    conversation.server(OK + b"220 go\r\n" + tls.server_hello() + ANSWER)
    return conversation


def capture_of_an_attack() -> list[bytes]:
    """A capture file, in segments that begin where hellos and heartbeats do, as bad luck would have it."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for frame in frames_of(leak(connected().say_hello())):
        data += struct.pack("<IIII", 1, 1, len(frame.data), len(frame.data)) + frame.data
    places = (at for start in (b"\x16\x03", b"\x18\x03") for at in range(len(data)) if data.startswith(start, at))
    return tls.cut(data, sorted(places))


def transferred(greeting: bytes, *, download: bool) -> Conversation:
    conversation = connected()
    if greeting:
        conversation.client(greeting)
    for piece in capture_of_an_attack():
        conversation.segment(TO_CLIENT if download else TO_SERVER, piece)
    return conversation


for greeting, words in (
    (b"", "FTP data"),
    (POST, "HTTP"),
    (b"\x00\x01\x02\x03 some protocol", "a protocol of its own"),
):
    for download in (False, True):
        GROUP.case(
            f"a capture of an attack {'downloaded' if download else 'uploaded'} over {words}", verdict=Verdict.CLEAR
        )(partial(transferred, greeting, download=download))


@GROUP.case(
    "records uploaded one by one after plain text, and nobody answers the hello",
    verdict=Verdict.CLEAR, counted={"heartbeats_without_tls": 3},
)  # fmt: skip
def records_uploaded() -> Conversation:
    conversation = connected()
    conversation.client(b"put records\n")
    for piece in ASKED:
        conversation.client(piece)
    conversation.server(b"done\n")
    return conversation


@GROUP.case("SSH with the bytes of lies in its packets", verdict=Verdict.CLEAR)
def ssh() -> Conversation:
    conversation = connected()
    conversation.client(b"SSH-2.0-OpenSSH_9.2\r\n")
    conversation.server(b"SSH-2.0-OpenSSH_9.2\r\n")
    for seed in range(50):
        conversation.client(tls.noise(700, seed) + LIE)
        conversation.server(tls.noise(700, seed + 1) + LIE)
    return conversation


@GROUP.case("SMB, whose packets carry a file of lies", verdict=Verdict.CLEAR)
def smb() -> Conversation:
    conversation = connected()
    for _ in range(20):
        body = b"\xfeSMB" + bytes(60) + LIE * 30
        for way in (TO_SERVER, TO_CLIENT):
            conversation.segment(way, struct.pack(">I", len(body)) + body)
    return conversation


@GROUP.case("DNS over TCP, of messages of 0x1803 bytes", verdict=Verdict.CLEAR, counted={"heartbeats_without_tls": 2})
def dns_over_tcp() -> Conversation:
    conversation = connected()
    for way in (TO_SERVER, TO_CLIENT) * 3:
        conversation.segment(way, (b"\x18\x03" + LIE * 800)[: 2 + 0x1803])
    return conversation


@GROUP.case(
    "a protocol whose messages look like heartbeats to the last byte, seen from its SYN",
    verdict=Verdict.CLEAR, counted={"heartbeats_without_tls": 16, "held_heartbeats_dropped": 4},
)  # fmt: skip
def lookalike() -> Conversation:
    conversation = connected()
    for _ in range(10):
        conversation.client(LIE)
        conversation.server(tls.answer(0x100)[0])
    return conversation


@GROUP.case("application data of TLS that holds records of heartbeats: the inventory alone")
def in_application_data() -> Conversation:
    conversation = sealing()
    conversation.client(tls.record(tls.APPLICATION_DATA, LIE * 1_000))
    return answered(conversation, tls.record(tls.APPLICATION_DATA, (LIE + tls.answer(0x100)[0]) * 50))


@GROUP.case("a certificate that holds records of heartbeats: the inventory alone")
def in_a_certificate() -> Conversation:
    conversation = connected().say_hello()
    conversation.server(tls.record(tls.HANDSHAKE, tls.handshake(tls.CERTIFICATE, LIE * 100)))
    return conversation


# --- joined in the middle ---------------------------------------------------------------------------------------------


@GROUP.case("a lie on a connection joined in the middle", 1016003, verdict=Verdict.ATTEMPTED, confidence="Medium")
def joined_lie() -> Conversation:
    conversation = Conversation()
    conversation.client(LIE)
    return conversation


@GROUP.case(
    "a leak on a connection joined in the middle", *(1016003, *LEAK[1:]),
    verdict=Verdict.LEAKED, leaked=0x4000, confidence="Medium",
)  # fmt: skip
def joined_leak() -> Conversation:
    return leak(Conversation())


@GROUP.case("a connection joined in the middle, lies inside application data", verdict=Verdict.CLEAR)
def joined_application_data() -> Conversation:
    conversation = Conversation()
    for _ in range(3):
        conversation.client(tls.record(tls.APPLICATION_DATA, LIE * 100))
        answered(conversation, tls.record(tls.APPLICATION_DATA, (LIE + tls.answer(0x100)[0]) * 50))
    return conversation


@GROUP.case("a connection joined in the middle of text that holds a lie", verdict=Verdict.CLEAR)
def joined_text() -> Conversation:
    conversation = Conversation()
    conversation.client(b"GET / " + LIE + b" and so on" * 30)
    return conversation
