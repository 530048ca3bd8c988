"""TLS that begins after plain text."""

from __future__ import annotations

from functools import partial

from hbids.facts import Verdict
from tests.coverage.casebook import LEAK, Group
from tests.coverage.exchanges import ANSWER, LIE, answered, honest, leak
from tests.support import tls
from tests.support.conversation import TO_SERVER, Conversation
from tests.support.dialogues import DIALOGUES, Dialogue, speak
from tests.support.openssl import Endpoints, Version

GROUP = Group(
    "TLS after plain text",
    "Port 7777 in every case, since ports prove nothing. Where nothing else is said, each capture holds a leak of "
    "16,384 bytes and, on a connection to another server, an honest heartbeat.",
    endpoint="10.0.0.2:7777",
)
PORT, OTHER = 7_777, "10.0.0.3:7777"
TITLES = {
    "smtp": "SMTP",
    "imap": "IMAP",
    "pop3": "POP3",
    "ftp": "FTP",
    "nntp": "NNTP",
    "managesieve": "ManageSieve",
    "irc": "IRC",
    "xmpp": "XMPP",
    "ldap": "LDAP",
    "postgresql": "PostgreSQL",
    "postgresql after gss": "PostgreSQL, asked for GSS first",
    "mysql": "MySQL",
    "http connect": "HTTP CONNECT, after a demand for a password",
    "socks4": "SOCKS4",
    "socks4a": "SOCKS4a",
    "socks5": "SOCKS5, with user and password",
    "proxy v1": "PROXY protocol v1",
    "proxy v2": "PROXY protocol v2",
    "proxy, then smtp": "PROXY protocol, then SMTP",
    "another": "a protocol of its own that says so in words of its own",
}


def connect(server: str = "10.0.0.2") -> Conversation:
    return Conversation(server=server, server_port=PORT, checksums=True).connect()


def upgraded(dialogue: Dialogue) -> list[Conversation]:
    return [
        exchange(speak(connect(server), dialogue).say_hello())
        for server, exchange in (("10.0.0.2", leak), ("10.0.0.3", honest))
    ]


for name, (_, dialogue) in DIALOGUES.items():
    GROUP.case(TITLES[name], *LEAK, verdict=Verdict.LEAKED, others={OTHER: Verdict.EXPOSED}, leaked=0x4000)(
        partial(upgraded, dialogue)
    )


def glued(dialogue: Dialogue) -> Conversation:
    """The ClientHello behind the words that ask, the ServerHello behind those that grant."""
    last = max(at for at, (way, _) in enumerate(dialogue) if way is TO_SERVER)
    conversation = speak(connect(), dialogue[:last])
    conversation.client(dialogue[last][1] + tls.client_hello())
    conversation.server(b"".join(words for _, words in dialogue[last + 1 :]) + tls.server_hello())
    return leak(conversation)


for name in ("smtp", "postgresql", "mysql", "http connect", "proxy v2"):
    GROUP.case(f"{TITLES[name]}: hellos glued to the words", *LEAK, verdict=Verdict.LEAKED, leaked=0x4000)(
        partial(glued, DIALOGUES[name][1])
    )


@GROUP.case("SMTP, byte by byte", *LEAK, verdict=Verdict.LEAKED, leaked=0x4000)
def byte_by_byte() -> Conversation:
    conversation = connect()
    for packet in speak(Conversation(), DIALOGUES["smtp"][1]).say_hello().packets:
        for at in range(len(packet.payload)):
            conversation.segment(packet.way, packet.payload[at : at + 1])
    return leak(conversation)


@GROUP.case("SMTP: a lie where the hello is due", 1016000, verdict=Verdict.ATTEMPTED)
def lie_before_the_hello() -> Conversation:
    conversation = speak(connect(), DIALOGUES["smtp"][1])
    conversation.client(LIE)
    return conversation.say_hello()


@GROUP.case(
    "SMTP: a server that lets TLS begin and asks its client",
    *(1016004, 1016101, 1016103),
    verdict=Verdict.LEAKED, endpoint="10.0.0.1 (client)", leaked=0x4000,
)  # fmt: skip
def server_asks() -> Conversation:
    conversation = speak(connect(), DIALOGUES["smtp"][1])
    conversation.client(tls.client_hello())
    conversation.server(LIE)
    conversation.client(ANSWER, cut=range(1_400, len(ANSWER), 1_400))
    return conversation


@GROUP.case(
    "SMTP that refuses: no TLS, whatever was sent along",
    verdict=Verdict.CLEAR, counted={"heartbeats_without_tls": 1},
)  # fmt: skip
def refused() -> Conversation:
    conversation = connect()
    conversation.server(b"220 mail\r\n")
    conversation.client(b"STARTTLS\r\n" + tls.client_hello() + LIE)
    conversation.server(b"454 TLS not available\r\n")
    conversation.server(b"500 what?\r\n")
    return conversation


@GROUP.case(
    "SMTP, then a session of TLS 1.2", *(1016011, 1016201, 1016203),
    verdict=Verdict.LEAKED, estimated=16_349, made_by="OpenSSL, simulated",
)  # fmt: skip
def with_openssl() -> Conversation:
    conversation = speak(connect(), DIALOGUES["smtp"][1])
    Endpoints(Version.TLSv1_2).talk(conversation, b"EHLO me\r\n")
    conversation.client(tls.sealed(61))
    return answered(conversation, tls.sealed(16_408, 42))
