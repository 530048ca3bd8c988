"""Sealed heartbeats, of which only sizes and order can be seen; and sessions that hide even those."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hbids.facts import Verdict
from tests.coverage.casebook import Build, Group
from tests.coverage.exchanges import ASKED, FULL, LIE, SEALED_LEAK, SEALED_LEAK_BYTES, answered, sealed_leak, segments
from tests.support import tls
from tests.support.conversation import Conversation, connected, sealing
from tests.support.openssl import Endpoints, Version

GROUP = Group(
    "TLS, sealed",
    "Where nothing else is said, the suite is AES-GCM and an answer of 16,402 bytes comes to a request of 37: a leak "
    f"of about {SEALED_LEAK_BYTES:,} bytes. Leaks of sealed answers are estimates.",
)
TAIL = 24 + 18
"""The last record of an answer of n times 16 KB and 18 bytes."""


def leaking(item: str, *more: int) -> Callable[[Build], Build]:
    return GROUP.case(item, *SEALED_LEAK, *more, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES)


def exchange(
    asked: tuple[int, ...], came: tuple[int, ...], cipher: int = tls.AES_GCM, version: int = tls.TLS_1_2
) -> Conversation:
    conversation = sealing(cipher, version)
    requests = tls.sealed(*asked)
    conversation.client(requests, cut=segments(requests))
    return answered(conversation, tls.sealed(*came))


# --- suites -----------------------------------------------------------------------------------------------------------

SUITES = {
    # what the record around 37, 16,384 and 18 bytes of plaintext is long
    "AES-GCM": (tls.AES_GCM, tls.TLS_1_2, 61, 16_408, 42),
    "ChaCha20-Poly1305": (tls.CHACHA, tls.TLS_1_2, 53, 16_400, 34),
    "RC4-SHA, TLS 1.0": (tls.RC4, tls.TLS_1_0, 57, 16_404, 38),
    "AES-CBC-SHA, TLS 1.0": (tls.AES_CBC, tls.TLS_1_0, 64, 16_416, 48),
    "AES-CBC-SHA, TLS 1.2": (tls.AES_CBC, tls.TLS_1_2, 80, 16_432, 64),
}
for name, (cipher, version, asked, full, tail) in SUITES.items():
    # Under CBC, record lengths tell plaintexts to a block: 43 for 37, 27 for 18.
    off = (27 - 18) - (43 - 37) if cipher == tls.AES_CBC else 0
    GROUP.case(
        f"a leak under {name}", *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES + off
    )(partial(exchange, (asked,), (full, tail), cipher, version))  # fmt: skip
    GROUP.case(
        f"a request under {name} too small for any legal heartbeat",
        *(1016200, 1016211), verdict=Verdict.ATTEMPTED,
    )(partial(exchange, (tail - 16,), (), cipher, version))  # fmt: skip


# --- sizes that hide --------------------------------------------------------------------------------------------------

GROUP.case(
    "a request padded to a full record, its answer five records: 49,154 bytes",
    *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=0xFFFF - 16_381,
)(partial(exchange, (FULL,), (FULL, FULL, FULL, FULL, TAIL)))  # fmt: skip
GROUP.case(
    "a request padded to a full record, its answer one byte more than legal padding explains",
    1016201, verdict=Verdict.LEAKED, estimated=1,
)(partial(exchange, (FULL,), (FULL, 24 + 17)))  # fmt: skip
GROUP.case(
    "a request padded to a full record, its answer two records without memory: the peer is not patched",
    1016110, verdict=Verdict.PROBED,
)(partial(exchange, (FULL,), (FULL, 24 + 16)))  # fmt: skip
GROUP.case(
    "padded requests, as many as the answer has records: several in flight are illegal", 1016212, verdict=Verdict.PROBED
)(partial(exchange, (FULL,) * 5, (FULL, FULL, FULL, FULL, TAIL)))
for decoys, name in (((ASKED,) * 5, "as small as the request"), ((FULL,) * 5, "full records")):
    leaking(f"five decoys before it, {name}, which nobody answers", 1016211)(
        partial(exchange, (*decoys, ASKED), (FULL, TAIL))
    )


@leaking("behind application data in one segment, as heartleech asks")
def heartleech() -> Conversation:
    conversation = sealing()
    conversation.client(tls.application_data(96) + tls.sealed(ASKED))
    return answered(conversation, tls.sealed(FULL, TAIL))


@leaking("application data between the records of its answer")
def interleaved() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    return answered(conversation, tls.sealed(FULL) + tls.application_data() + tls.sealed(TAIL))


@leaking("in a resumed session, where the server seals first")
def resumed() -> Conversation:
    session_id = bytes(range(32))
    conversation = connected()
    conversation.client(tls.client_hello(tls.client_hello_body(session_id=session_id)))
    conversation.server(tls.server_hello(tls.server_hello_body(session_id=session_id)) + tls.ccs() + tls.finished())
    conversation.client(tls.ccs() + tls.finished())
    return sealed_leak(conversation)


@leaking("after two renegotiations")
def renegotiated() -> Conversation:
    conversation = sealing()
    for _ in range(2):
        conversation.client(tls.record(tls.HANDSHAKE, tls.noise(200)))
        conversation.server(tls.record(tls.HANDSHAKE, tls.noise(900)))
        conversation.finish_handshake()
    return sealed_leak(conversation)


@GROUP.case(
    "a server asks its client, sealed", *(1016202, 1016204),
    verdict=Verdict.LEAKED, endpoint="10.0.0.1 (client)", estimated=SEALED_LEAK_BYTES,
    others={"10.0.0.2:443": Verdict.EXPOSED},
)  # fmt: skip
def client_asked() -> Conversation:
    conversation = sealing()
    conversation.server(tls.sealed(ASKED))
    conversation.client(tls.sealed(FULL, TAIL), cut=range(1_400, FULL + TAIL, 1_400))
    return conversation


@GROUP.case(
    "heartbeats were not agreed on", *(1016011, *SEALED_LEAK), verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES
)
def not_agreed() -> Conversation:
    return sealed_leak(connected().say_hello(server=tls.server_hello_body(extensions=[])).finish_handshake())


# --- what is legal ----------------------------------------------------------------------------------------------------

GROUP.case("an honest heartbeat and its echo: nothing")(partial(exchange, (ASKED,), (ASKED,)))
GROUP.case("an answer 16 bytes larger, as padding may make it: nothing")(partial(exchange, (327,), (327 + 16,)))
GROUP.case("the smallest legal heartbeat: nothing")(partial(exchange, (43,), (43,)))


@GROUP.case("full records both ways, one at a time: nothing")
def full_echoes() -> Conversation:
    conversation = sealing()
    for _ in range(3):
        conversation.client(tls.sealed(FULL))
        answered(conversation, tls.sealed(FULL))
        conversation.wait(30).server(tls.sealed(FULL))
        conversation.client(tls.sealed(FULL))
        conversation.wait(30)
    return conversation


# --- TLS 1.3 ----------------------------------------------------------------------------------------------------------

HIDDEN = {"tls13_sessions": 1}
TLS_1_3_CLIENT = tls.client_hello(
    tls.client_hello_body(extensions=[tls.supported_versions(tls.TLS_1_3), tls.heartbeat_extension()])
)
TLS_1_3_SERVER = tls.server_hello(tls.server_hello_body(cipher=0x1301, extensions=[tls.selected_version(tls.TLS_1_3)]))
EARLY_DATA = tls.ccs() + tls.application_data(40) * 5


def tls_1_3(before_the_answer: bytes = b"") -> Conversation:
    conversation = connected()
    conversation.client(TLS_1_3_CLIENT + before_the_answer)
    answered(conversation, TLS_1_3_SERVER + tls.ccs() + tls.application_data(16_384) * 2)
    return conversation


@GROUP.case(
    "TLS 1.3, records of heartbeats' sizes: types are sealed, nothing is guessed, the session is counted",
    verdict=Verdict.CLEAR, counted=HIDDEN,
)  # fmt: skip
def hidden() -> Conversation:
    conversation = tls_1_3()
    for length in (ASKED, 16_401):
        conversation.client(tls.application_data(length))
        answered(conversation, tls.application_data(16_401) * 4)
    return conversation


GROUP.case("TLS 1.3 with early data: nothing", verdict=Verdict.CLEAR, counted=HIDDEN)(partial(tls_1_3, EARLY_DATA))
GROUP.case("TLS 1.3, a clear lie behind early data", 1016000, verdict=Verdict.ATTEMPTED, counted=HIDDEN)(
    partial(tls_1_3, EARLY_DATA + LIE)
)


@GROUP.case("TLS 1.3, a clear lie after the ServerHello", 1016001, verdict=Verdict.ATTEMPTED, counted=HIDDEN)
def clear_in_tls_1_3() -> Conversation:
    conversation = tls_1_3()
    conversation.client(LIE)
    return conversation


# --- OpenSSL ----------------------------------------------------------------------------------------------------------


def of_openssl(version: Version) -> list[Conversation]:
    """A session and another that resumes it, with data both ways."""
    endpoints = Endpoints(version)
    conversations = []
    for port in (40_000, 40_001):
        conversation = Conversation(client_port=port, checksums=True).connect()
        endpoints.talk(conversation, b"GET / HTTP/1.1\r\n\r\n", LIE * 500, bytes(40_000))
        conversations.append(conversation)
    return conversations


OPENSSL = "OpenSSL"
GROUP.case(
    "sessions of TLS 1.2, one resumed, with heartbeats as application data: nothing",
    verdict=Verdict.CLEAR,
    made_by=OPENSSL,
)(partial(of_openssl, Version.TLSv1_2))
GROUP.case(
    "sessions of TLS 1.3, one resumed, with heartbeats as application data: nothing",
    verdict=Verdict.CLEAR, counted={"tls13_sessions": 2}, made_by=OPENSSL,
)(partial(of_openssl, Version.TLSv1_3))  # fmt: skip


@GROUP.case(
    "a leak in a session that OpenSSL began",
    *(1016011, *SEALED_LEAK), verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES, made_by="OpenSSL, simulated",
)  # fmt: skip
def leak_behind_openssl() -> Conversation:
    conversation = Conversation(checksums=True).connect()
    Endpoints(Version.TLSv1_2).talk(conversation, b"GET / HTTP/1.1\r\n\r\n")
    return sealed_leak(conversation)
