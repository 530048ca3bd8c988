"""Sessions out of the ordinary: mixed versions, resumption, renegotiation, early data, a lie behind honest requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.facts import Answer, Kind, Phase, Protection
from tests.support import tls
from tests.support.conversation import connected, greeted, sealing
from tests.support.decoding import check, column

if TYPE_CHECKING:
    from tests.decode.conftest import Decode

LIE = tls.request(0x4000)


def test_every_record_may_have_a_version_of_its_own(decode: Decode) -> None:
    conversation = connected()
    conversation.client(tls.client_hello(version=tls.SSL_3_0) + tls.heartbeat(tls.REQUEST, 0x4000, version=tls.TLS_1_1))
    conversation.server(tls.server_hello() + tls.heartbeat(tls.RESPONSE, 0x40, tls.noise(80), version=tls.SSL_3_0))
    decoded = decode(conversation)
    assert column(decoded.heartbeats, "record_version") == [tls.TLS_1_1, tls.SSL_3_0]
    check(decoded.heartbeats[1], answers_message=1)
    assert decoded.drops == {}


def test_an_honest_request_first_does_not_hide_the_lie(decode: Decode) -> None:
    conversation = greeted()
    conversation.client(tls.honest_request() + LIE)
    conversation.server(tls.answer(18)[0] + tls.answer(0x4000)[0])
    rows = decode(conversation).heartbeats
    assert column(rows, "claimed_length") == [18, 0x4000, 18, 0x4000]
    assert column(rows, "answers_message") == [0, 0, 1, 2]


def test_a_resumed_session_seals_as_soon_as_the_server_does(decode: Decode) -> None:
    """In an abbreviated handshake the server changes its cipher first (RFC 5246 section 7.3)."""
    session_id = bytes(range(32))
    conversation = connected()
    conversation.client(tls.client_hello(tls.client_hello_body(session_id=session_id)))
    conversation.server(tls.server_hello(tls.server_hello_body(session_id=session_id)) + tls.ccs() + tls.finished())
    conversation.client(LIE)
    conversation.client(tls.ccs() + tls.finished() + tls.sealed(61))
    decoded = decode(conversation)
    check(decoded.sessions[0], resumed=Answer.YES)
    assert column(decoded.heartbeats, "protection") == [Protection.CLEAR, Protection.SEALED]
    assert column(decoded.heartbeats, "phase") == [Phase.HANDSHAKE, Phase.AFTER]


def test_renegotiation_is_sealed_and_makes_no_second_session(decode: Decode) -> None:
    conversation = sealing()
    for _ in range(2):
        conversation.client(tls.record(tls.HANDSHAKE, tls.noise(200)))
        conversation.server(tls.record(tls.HANDSHAKE, tls.noise(900)))
        conversation.finish_handshake()
    conversation.client(tls.sealed(27))
    conversation.server(tls.sealed(61))
    decoded = decode(conversation)
    assert len(decoded.sessions) == 1
    assert column(decoded.heartbeats, "protection") == [Protection.SEALED] * 2
    check(decoded.heartbeats[1], answers_message=1, phase=Phase.AFTER)


def test_early_data_leaves_a_clear_request_in_sight(decode: Decode) -> None:
    """Early data is application data before the ServerHello (RFC 8446 section 4.2.10), which may come from a liar."""
    conversation = connected()
    conversation.client(tls.client_hello() + tls.application_data() + LIE)
    conversation.server(tls.server_hello())
    (row,) = decode(conversation).heartbeats
    check(row, kind=Kind.REQUEST, protection=Protection.CLEAR, phase=Phase.BEFORE_SERVER_HELLO, claimed_length=0x4000)


def test_a_change_of_cipher_before_the_server_has_spoken_seals_nothing(decode: Decode) -> None:
    """So begins early data of TLS 1.3 (RFC 8446 appendix D.4)."""
    conversation = connected()
    conversation.client(tls.client_hello() + tls.ccs() + tls.application_data() + LIE)
    conversation.server(tls.server_hello())
    (row,) = decode(conversation).heartbeats
    check(row, protection=Protection.CLEAR, phase=Phase.BEFORE_SERVER_HELLO, claimed_length=0x4000)


def test_early_data_of_tls_1_3_is_no_heartbeat(decode: Decode) -> None:
    extensions = [tls.supported_versions(tls.TLS_1_3)]
    conversation = connected()
    conversation.client(tls.client_hello(tls.client_hello_body(extensions=extensions)) + tls.ccs())
    conversation.client(tls.application_data(40) * 5)
    conversation.server(
        tls.server_hello(tls.server_hello_body(extensions=[tls.selected_version(tls.TLS_1_3)])) + tls.ccs()
    )
    conversation.server(tls.application_data(16_384) * 2, cut=[20_000])
    decoded = decode(conversation)
    assert len(decoded.heartbeats) == 0
    check(decoded.sessions[0], tls_version=tls.TLS_1_3)
    assert decoded.drops == {}
