"""Honest heartbeats raise nothing above the exposure, under any cipher suite and in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import tls
from tests.support.conversation import Conversation, sealing
from tests.support.judging import alerts, judge

if TYPE_CHECKING:
    from pathlib import Path

TRIPLE_DES, RC4_MD5, CBC_SHA256, CBC_SHA384 = 0x000A, 0x0004, 0x003C, 0xC028
OPENSSL_BYTES, GNUTLS_BYTES = 37, 303
"""Plaintext of the heartbeats that OpenSSL and GnuTLS send (measured)."""

MEASURED = [
    ("AES-GCM", tls.AES_GCM, tls.TLS_1_2, OPENSSL_BYTES, 61),
    ("RC4-SHA", tls.RC4, tls.TLS_1_2, OPENSSL_BYTES, 57),
    ("AES-CBC-SHA, TLS 1.0", tls.AES_CBC, tls.TLS_1_0, OPENSSL_BYTES, 64),
    ("AES-CBC-SHA, TLS 1.1", tls.AES_CBC, tls.TLS_1_1, OPENSSL_BYTES, 80),
    ("AES-CBC-SHA, TLS 1.2", tls.AES_CBC, tls.TLS_1_2, OPENSSL_BYTES, 80),
    ("AES-GCM, GnuTLS", tls.AES_GCM, tls.TLS_1_2, GNUTLS_BYTES, 327),
]

LEAST = [
    ("AES-GCM", tls.AES_GCM, tls.TLS_1_2, 43),
    ("ChaCha20-Poly1305", tls.CHACHA, tls.TLS_1_2, 35),
    ("AES-CBC-SHA", tls.AES_CBC, tls.TLS_1_2, 64),
    ("AES-CBC-SHA, TLS 1.0", tls.AES_CBC, tls.TLS_1_0, 48),
    ("AES-CBC-SHA256", CBC_SHA256, tls.TLS_1_2, 80),
    ("AES-CBC-SHA384", CBC_SHA384, tls.TLS_1_2, 96),
    ("3DES", TRIPLE_DES, tls.TLS_1_1, 48),
    ("3DES, TLS 1.0", TRIPLE_DES, tls.TLS_1_0, 40),
    ("RC4-SHA", tls.RC4, tls.TLS_1_2, 39),
    ("RC4-MD5", RC4_MD5, tls.TLS_1_2, 35),
]


def exchange(conversation: Conversation, request: bytes, answer: bytes, *, from_server: bool) -> Conversation:
    ask, reply = conversation.client, conversation.server
    if from_server:
        ask, reply = reply, ask
    for _ in range(5):
        conversation.wait(10)
        ask(request)
        reply(answer)
    return conversation


@pytest.mark.parametrize("from_server", [False, True], ids=["by the client", "by the server"])
@pytest.mark.parametrize(
    ("cipher", "version", "length"), [each[1:3] + each[4:] for each in MEASURED], ids=[e[0] for e in MEASURED]
)
def test_honest_sealed_heartbeats_raise_nothing(
    engine_name: str, tmp_path: Path, cipher: int, version: int, length: int, *, from_server: bool
) -> None:
    heartbeat = tls.sealed(length)
    conversation = exchange(sealing(cipher, version), heartbeat, heartbeat, from_server=from_server)
    result = judge(tmp_path, engine_name, conversation)
    assert alerts(result) == {1016500: 1}
    assert [endpoint["verdict"] for endpoint in result.endpoints] == ["exposed"]
    assert result.totals["heartbeats"]["sealed"] == 10
    assert result.totals["leaked_bytes_estimated"] == 0


@pytest.mark.parametrize("from_server", [False, True], ids=["by the client", "by the server"])
@pytest.mark.parametrize("payload", [0, 1, 18, 284, 16_365])
def test_honest_clear_heartbeats_raise_nothing(
    engine_name: str, tmp_path: Path, payload: int, *, from_server: bool
) -> None:
    request = tls.honest_request(tls.noise(payload))
    conversation = Conversation().connect().say_hello()
    exchange(conversation, request, b"".join(tls.answer(payload)), from_server=from_server)
    result = judge(tmp_path, engine_name, conversation)
    assert alerts(result) == {1016500: 1}
    assert result.totals["heartbeats"] == {
        "requests": 5,
        "responses": 5,
        "sealed": 0,
        "overread_requests": 0,
        "malformed": 0,
    }


@pytest.mark.parametrize(("cipher", "version", "least"), [each[1:] for each in LEAST], ids=[each[0] for each in LEAST])
def test_a_byte_less_than_the_suites_least_cannot_be_honest(
    engine_name: str, tmp_path: Path, cipher: int, version: int, least: int
) -> None:
    for length, sids in ((least, {1016500}), (least - 1, {1016500, 1016200, 1016110})):
        heartbeat = tls.sealed(length)
        conversation = exchange(sealing(cipher, version), heartbeat, heartbeat, from_server=False)
        assert alerts(judge(tmp_path, engine_name, conversation)).keys() == sids


def test_a_suite_that_was_not_seen_has_no_least(engine_name: str, tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.client(tls.application_data())
    conversation.server(tls.application_data())
    exchange(conversation, tls.sealed(20), tls.sealed(20), from_server=False)
    assert alerts(judge(tmp_path, engine_name, conversation)) == {}


def test_encrypt_then_mac_moves_the_least(engine_name: str, tmp_path: Path) -> None:
    for length, sids in ((68, {1016500}), (67, {1016500, 1016200, 1016110})):
        session = sealing(tls.AES_CBC, tls.TLS_1_2, tls.ENCRYPT_THEN_MAC)
        conversation = exchange(session, tls.sealed(length), tls.sealed(length), from_server=False)
        assert alerts(judge(tmp_path, engine_name, conversation)).keys() == sids
