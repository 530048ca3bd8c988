"""What is not DTLS, however much it looks like it."""

from __future__ import annotations

import pytest

from tests.decode.dtls.conftest import DecodeDatagrams
from tests.decode.dtls.findings import findings
from tests.decode.dtls.foreign import dns, quic, rtp
from tests.support import dtls, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, batch_of
from tests.support.decoding import check, decode_batches
from tests.support.dtls import HELLO, LIE, Exchange

NOT_DTLS = {
    "dns, ids like content types": [dns(kind << 8 | low, 0) for kind in range(20, 26) for low in (0xFE, 0x01)],
    "dns, flags like versions": [dns(0x18FE, flags) for flags in (0xFF00, 0xFD00, 0xFEFF)],
    "quic": [quic(first) for first in (0xC0, 0xE3, 0x40, 0x17, 0x18)],
    "rtp": [rtp(number) for number in range(50)],
    "random": [tls.noise(length, 9) for length in range(0, 1400, 7)],
    "random behind a content type and a version": [
        bytes([20 + length % 5, 0xFE, 0xFD]) + tls.noise(length, 8) for length in range(10, 1400, 7)
    ],
    "a byte too many": [dtls.record(tls.HEARTBEAT, LIE, number) + b"\0" for number in range(9)],
    "a byte too few": [dtls.record(tls.HEARTBEAT, LIE, number)[:-1] for number in range(9)],
    "numbers beyond reason": [dtls.record(tls.HEARTBEAT, LIE, number << 40) for number in range(1, 9)],
    "epochs beyond reason": [dtls.record(tls.HEARTBEAT, LIE, 1, epoch=epoch << 8) for epoch in range(1, 9)],
    "versions of TLS": [dtls.record(tls.HEARTBEAT, LIE, number, version=0x0303) for number in range(9)],
    "the version of AnyConnect without a hello": [
        dtls.record(tls.HEARTBEAT, LIE, number, version=dtls.BAD_VERSION) for number in range(9)
    ],
    "TLS in datagrams": [tls.client_hello(), tls.server_hello(), tls.request(0x4000)],
    "a hello's header with fragments that do not fit": [
        dtls.record(tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, 0)[:9] + b"\xff\xff\xff", 1) + b"\0"
    ],
    "type 25 alone": [dtls.record(dtls.TLS12_CID, tls.noise(40), number, epoch=1) for number in range(9)],
    "nothing": [b""] * 3,
}


@pytest.mark.parametrize("name", NOT_DTLS)
def test_what_is_not_dtls(engine_name: str, name: str) -> None:
    exchange = Exchange()
    for payload in NOT_DTLS[name]:
        exchange.send(TO_SERVER, payload)
        exchange.send(TO_CLIENT, payload)
    decoded = decode_batches(engine_name, [batch_of(exchange.frames)])
    assert (len(decoded.heartbeats), len(decoded.sessions)) == (0, 0)
    (flow,) = decoded.flows
    packets = len(NOT_DTLS[name])
    check(flow, protocol=17, transport=0, packets_to_server=packets, packets_to_client=packets)
    assert findings(engine_name, exchange.frames) == []
    assert decoded.drops == {}


def test_the_version_of_anyconnect_after_a_hello(decode: DecodeDatagrams) -> None:
    exchange = Exchange()
    hello = dtls.fragment(tls.CLIENT_HELLO, dtls.client_hello_body(version=dtls.BAD_VERSION), 0)
    exchange.send(TO_SERVER, dtls.record(tls.HANDSHAKE, hello, 0, version=dtls.BAD_VERSION))
    exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 1, version=dtls.BAD_VERSION))
    check(decode(exchange).heartbeats[0], claimed_length=0x4000, record_version=dtls.BAD_VERSION)
