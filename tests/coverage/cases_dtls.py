"""DTLS 1.0 and 1.2, what of DTLS 1.3 and connection ids can be seen, and UDP that is something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.rtp import RTP
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from hbids.facts import Verdict
from tests.capture.build import Frame
from tests.coverage.casebook import Build, Group
from tests.coverage.cases_fragments import fragments
from tests.support import dtls, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.dtls import DTLS_1_0, DTLS_1_2, DTLS_1_3, HELLO, HONEST, LIE, Exchange, greeted, sealing
from tests.support.framing import ETHERNET
from tests.support.openssl import dtls_datagrams
from tests.support.tunnels import Wrap, over, over_ethernet, udp

GROUP = Group(
    "DTLS",
    "Each record is a message here, an answer's too. Where nothing else is said, each capture holds a clear leak of "
    "4,096 bytes.",
    endpoint="10.0.0.2:4433",
)
CLAIMED = 4_096
ASK = dtls.heartbeat(tls.REQUEST, CLAIMED)
ANSWER = dtls.heartbeat(tls.RESPONSE, CLAIMED, tls.noise(CLAIMED + tls.PADDING_BYTES))


def leaking(
    item: str, *more: int, attempt: int = 1016001, counted: dict[str, int] | None = None, made_by: str | None = None
) -> Callable[[Build], Build]:
    """A case that is told as any leak of 4,096 bytes is: it comes whole, so there is no total."""
    return GROUP.case(
        item, attempt, 1016100, *more, verdict=Verdict.LEAKED, leaked=CLAIMED, counted=counted, made_by=made_by
    )


def leak(exchange: Exchange) -> list[Frame]:
    exchange.beat(TO_SERVER, ASK)
    exchange.beat(TO_CLIENT, ANSWER)
    return exchange.frames


# --- hellos -----------------------------------------------------------------------------------------------------------


@leaking("behind hellos with a cookie")
def with_cookie() -> list[Frame]:
    return leak(greeted())


def answered_at_once(version: int) -> list[Frame]:
    exchange = Exchange()
    exchange.ask(dtls.client_hello_body(version=version))
    exchange.answer(dtls.server_hello_body(version=version))
    return leak(exchange)


leaking("DTLS 1.0, without a cookie")(partial(answered_at_once, DTLS_1_0))
leaking("DTLS 1.2, without a cookie")(partial(answered_at_once, DTLS_1_2))


def hello_in_fragments(places: Sequence[tuple[int, int | None]]) -> list[Frame]:
    exchange = Exchange()
    for begin, end in places:
        exchange.say(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, 1, begin, end))
    exchange.answer()
    return leak(exchange)


leaking("a ClientHello in fragments, the last first")(partial(hello_in_fragments, [(50, None), (20, 50), (0, 20)]))
leaking("a ClientHello in fragments of a byte")(partial(hello_in_fragments, [(at, at + 1) for at in range(len(HELLO))]))
leaking("a ClientHello in fragments that overlap")(
    partial(hello_in_fragments, [(at, at + 12) for at in range(0, len(HELLO), 7)][::-1])
)
leaking("a ClientHello that never becomes whole", counted={"hello_incomplete": 1})(
    partial(hello_in_fragments, [(0, 50)])
)


@leaking("a client that begins anew on the same ports")
def anew() -> list[Frame]:
    exchange = greeted().finish()
    exchange.numbers.clear()
    exchange.ask(dtls.client_hello_body(random=bytes(32)))
    exchange.answer(dtls.server_hello_body(random=bytes(32)))
    return leak(exchange)


@leaking("glued to the ClientHello in one datagram", attempt=1016000)
def glued_to_the_hello() -> list[Frame]:
    exchange = Exchange()
    hello = exchange.next(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, HELLO, 0))
    exchange.send(TO_SERVER, hello + exchange.next(TO_SERVER, tls.HEARTBEAT, ASK))
    exchange.answer()
    exchange.beat(TO_CLIENT, ANSWER)
    return exchange.frames


# --- records and datagrams --------------------------------------------------------------------------------------------


@leaking("several records in a datagram, the request last")
def several_records() -> list[Frame]:
    exchange = greeted()
    records = [exchange.next(TO_SERVER, kind, b"\x02\x28") for kind in (tls.ALERT, tls.APPLICATION_DATA)]
    exchange.send(TO_SERVER, b"".join(records) + exchange.next(TO_SERVER, tls.HEARTBEAT, ASK))
    exchange.beat(TO_CLIENT, ANSWER)
    return exchange.frames


@GROUP.case("64 requests, the last first", *[1016001] * 3, 1016210, verdict=Verdict.ATTEMPTED)
def out_of_order() -> list[Frame]:
    exchange = greeted()
    for beat in reversed([exchange.next(TO_SERVER, tls.HEARTBEAT, ASK) for _ in range(64)]):
        exchange.send(TO_SERVER, beat)
    return exchange.frames


@leaking("every datagram twice", counted={"dtls_records_replayed": 5})
def repeated() -> list[Frame]:
    return list(chain(*((frame, frame) for frame in leak(greeted()))))


@leaking("a forged record number far ahead before the request", 1016010)
def forged_number() -> list[Frame]:
    exchange = greeted()
    exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, dtls.heartbeat(tls.REQUEST, 0), (1 << 48) - 1))
    return leak(exchange)


@GROUP.case(
    "a record that claims 600 bytes in a datagram of fewer, held to have sent them all",
    *(1016001, 1016100), verdict=Verdict.LEAKED, leaked=CLAIMED - 597, counted={"dtls_records_overrun": 1},
)  # fmt: skip
def overrun() -> list[Frame]:
    exchange = greeted()
    exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, ASK, 50, length=600))
    exchange.beat(TO_CLIENT, ANSWER)
    return exchange.frames


@leaking(
    "the answer's datagram in IP fragments, the last first",
    counted={"fragments": 3, "packets_reassembled": 1},
    made_by="scapy",
)
def answer_in_fragments() -> list[Frame]:
    *frames, whole = leak(greeted())
    for packet in reversed(fragments(whole.data[14:], 1_480, identification=9)):
        data = ETHERNET.wrap(packet)
        frames.append(Frame(whole.time_ns, data, len(data)))
    return frames


@GROUP.case(
    "a datagram of the answer cut after 1,000 bytes: what was kept is measured",
    *(1016001, 1016100),
    verdict=Verdict.LEAKED,
    leaked=1_000 - 13 - 3,
    counted={"datagrams_cut": 1},
)
def cut_short() -> list[Frame]:
    exchange = greeted()
    exchange.beat(TO_SERVER, ASK)
    exchange.send(TO_CLIENT, exchange.next(TO_CLIENT, tls.HEARTBEAT, ANSWER), captured_bytes=1_000)
    return exchange.frames


@leaking("a decoy with a wrong UDP checksum and the request's number", counted={"datagrams_refused": 1})
def wrong_checksum() -> list[Frame]:
    exchange = Exchange(checksums=True).greet()
    request = exchange.next(TO_SERVER, tls.HEARTBEAT, ASK)
    decoy = exchange.send(TO_SERVER, request)
    exchange.frames[-1] = decoy._replace(data=decoy.data[:-1] + b"\x01")
    exchange.send(TO_SERVER, request)
    exchange.beat(TO_CLIENT, ANSWER)
    return exchange.frames


def wrapped(wrap: Wrap) -> list[Frame]:
    frames = []
    for frame in leak(greeted()):
        data = ETHERNET.wrap(wrap(frame.data[14:]))
        frames.append(Frame(frame.time_ns, data, len(data)))
    return frames


leaking("in VXLAN", made_by="scapy")(partial(wrapped, over_ethernet(*udp(4789, VXLAN(vni=1)))))
leaking("in GTP-U", made_by="scapy")(partial(wrapped, over(*udp(2152, GTP_U_Header(teid=1, gtp_type=255)))))


@GROUP.case(
    "a server asks its client",
    1016004,
    1016101,
    verdict=Verdict.LEAKED,
    endpoint="10.0.0.1 (client)",
    leaked=CLAIMED,
    others={GROUP.endpoint: Verdict.EXPOSED},
)
def client_asked() -> list[Frame]:
    exchange = greeted()
    exchange.beat(TO_CLIENT, ASK)
    exchange.beat(TO_SERVER, ANSWER)
    return exchange.frames


# --- epochs -----------------------------------------------------------------------------------------------------------


def sealed(asked: int, *came: int, cipher: int = tls.AES_GCM, version: int = DTLS_1_2) -> list[Frame]:
    exchange = sealing(cipher, version)
    exchange.beat(TO_SERVER, tls.noise(asked), epoch=1)
    for length in came:
        exchange.beat(TO_CLIENT, tls.noise(length), epoch=1)
    return exchange.frames


GROUP.case(
    "sealed by an epoch: the answer larger than its request", 1016201, verdict=Verdict.LEAKED, estimated=CLAIMED
)(partial(sealed, 24 + 3 + 16, 24 + 3 + CLAIMED + 16 + 16))
GROUP.case("sealed under AES-CBC-SHA, DTLS 1.0", 1016201, verdict=Verdict.LEAKED, estimated=4_064)(
    partial(sealed, 64, 4_144, cipher=tls.AES_CBC, version=DTLS_1_0)
)
GROUP.case("sealed, too small for any legal heartbeat", 1016200, 1016211, verdict=Verdict.ATTEMPTED)(
    partial(sealed, 27)
)
GROUP.case("sealed and honest: nothing")(partial(sealed, 61, 61))


@leaking("a clear request after the handshake, its epoch says so", attempt=1016002)
def clear_after_the_handshake() -> list[Frame]:
    return leak(sealing())


@GROUP.case("clear and honest: nothing")
def honest() -> list[Frame]:
    exchange = greeted()
    exchange.beat(TO_SERVER, HONEST)
    exchange.beat(TO_CLIENT, dtls.heartbeat(tls.RESPONSE, 18, bytes(34)))
    return exchange.frames


# --- what cannot be seen, or is inferred ------------------------------------------------------------------------------


@GROUP.case("joined late, clear", *(1016003, 1016100), verdict=Verdict.LEAKED, leaked=CLAIMED, confidence="Medium")
def joined_clear() -> list[Frame]:
    exchange = Exchange()
    exchange.beat(TO_SERVER, ASK)
    return leak(exchange)


@GROUP.case("joined late, sealed", 1016201, verdict=Verdict.LEAKED, estimated=1_360 - 48 - 16, confidence="Medium")
def joined_sealed() -> list[Frame]:
    exchange = Exchange()
    exchange.beat(TO_SERVER, tls.noise(48), epoch=1)
    exchange.beat(TO_CLIENT, tls.noise(1_360), epoch=1)
    return exchange.frames


@GROUP.case(
    "one datagram alone that looks like a lie: proves nothing",
    verdict=Verdict.CLEAR,
    counted={"heartbeats_without_tls": 1},
)
def one_alone() -> list[Frame]:
    exchange = Exchange()
    exchange.beat(TO_SERVER, LIE)
    return exchange.frames


@GROUP.case("records with a connection id: type and content are sealed; counted", counted={"dtls_cid_records": 2})
def connection_ids() -> list[Frame]:
    exchange = sealing()
    for way in (TO_SERVER, TO_CLIENT):
        exchange.send(way, dtls.record(dtls.TLS12_CID, b"\xc1d" + tls.noise(600), 1, epoch=1))
    return exchange.frames


@GROUP.case("DTLS 1.3: recognised and counted", verdict=Verdict.CLEAR, counted={"dtls13_records": 3})
def dtls_1_3() -> list[Frame]:
    exchange = Exchange()
    exchange.ask(dtls.client_hello_body(extensions=(tls.supported_versions(DTLS_1_2, DTLS_1_3),)))
    exchange.answer(dtls.server_hello_body(extensions=(tls.selected_version(DTLS_1_3),)))
    sized = b"\x2e\x00\x01\x00\x20" + tls.noise(32)
    exchange.send(TO_CLIENT, sized + sized + b"\x22\x02" + tls.noise(40))
    return exchange.frames


# --- OpenSSL ----------------------------------------------------------------------------------------------------------


def of_openssl() -> Exchange:
    exchange = Exchange()
    for way, payload in dtls_datagrams():
        exchange.send(way, payload)
    return exchange


@GROUP.case("a session with a cookie and a certificate in fragments: nothing", verdict=Verdict.CLEAR, made_by="OpenSSL")
def honest_openssl() -> list[Frame]:
    return of_openssl().frames


@GROUP.case(
    "a sealed leak behind such a session",
    *(1016011, 1016201), verdict=Verdict.LEAKED, estimated=CLAIMED, made_by="OpenSSL, simulated",
)  # fmt: skip
def leak_behind_openssl() -> list[Frame]:
    exchange = of_openssl()
    for way, length in ((TO_SERVER, 24 + 3 + 16), (TO_CLIENT, 24 + 3 + CLAIMED + 16 + 16)):
        exchange.send(way, dtls.record(tls.HEARTBEAT, tls.noise(length), 1_000, epoch=1))
    return exchange.frames


# --- UDP that is something else ---------------------------------------------------------------------------------------


def both_ways(*payloads: bytes) -> list[Frame]:
    exchange = Exchange()
    for payload in payloads:
        for way in (TO_SERVER, TO_CLIENT):
            exchange.send(way, payload)
    return exchange.frames


DNS_LIKE = [
    bytes(DNS(id=kind << 8 | low, qd=DNSQR(qname="example.com"))) for kind in range(20, 26) for low in (0xFE, 1)
]
RTP_LIKE = [bytes(RTP(payload_type=24, sequence=number) / Raw(LIE * 40)) for number in range(50)]
QUIC_LIKE = [bytes([first]) + b"\0\0\0\1\x08" + tls.noise(1_188) for first in (0xC0, 0xE3, 0x40, 0x17, 0x18)]
for item, payloads, made_by in (
    ("DNS, whose ids look like content types: nothing", DNS_LIKE, "scapy"),
    ("RTP, whose payload holds lies: nothing", RTP_LIKE, "scapy"),
    ("QUIC: nothing", QUIC_LIKE, None),
    ("TLS records in datagrams: nothing", [tls.client_hello(), tls.server_hello(), tls.request(0x4000)], None),
    (
        "records of DTLS with a byte too many: nothing",
        [dtls.record(tls.HEARTBEAT, LIE, at) + b"\0" for at in range(9)],
        None,
    ),
):
    GROUP.case(item, verdict=Verdict.CLEAR, made_by=made_by)(partial(both_ways, *payloads))


@leaking("beside STUN and RTP on the same ports, as WebRTC does", counted={"datagrams_foreign": 2})
def webrtc() -> list[Frame]:
    exchange = greeted()
    exchange.send(TO_SERVER, b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12))
    exchange.send(TO_CLIENT, RTP_LIKE[0])
    return leak(exchange)
