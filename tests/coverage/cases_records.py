"""TLS records and messages as liars write them, and as honest peers do."""

from __future__ import annotations

from functools import partial

from hbids.facts import Verdict
from tests.coverage.casebook import LEAK, TWO_LEAKS, Group
from tests.coverage.exchanges import ANSWER, LIE, answered, leak
from tests.support import tls
from tests.support.conversation import Conversation, connected, greeted

GROUP = Group("TLS records", "Where nothing else is said, each capture holds a leak of 16,384 bytes in the clear.")

EARLY_LEAK = (1016000, *LEAK[1:])
"""As :data:`LEAK`, asked before the ServerHello."""


# --- where a request hides --------------------------------------------------------------------------------------------


def behind(*records: bytes) -> Conversation:
    """The request in one segment with what comes before it."""
    conversation = greeted()
    conversation.client(b"".join(records) + LIE)
    return answered(conversation)


for item, record in (
    ("an alert, as masscan does", tls.alert(1, 128)),
    ("a fatal alert", tls.alert(2, 40)),
    ("a close_notify", tls.alert()),
    ("another ClientHello", tls.client_hello()),
    ("application data", tls.application_data()),
    ("a ChangeCipherSpec of two bytes, which is none", tls.record(tls.CHANGE_CIPHER_SPEC, b"\1\1")),
    ("an honest heartbeat", tls.honest_request()),
):
    GROUP.leak(f"glued behind {item}")(partial(behind, record))

for content_type, name in (
    (tls.CHANGE_CIPHER_SPEC, "change_cipher_spec"),
    (tls.ALERT, "alert"),
    (tls.HANDSHAKE, "handshake"),
    (tls.APPLICATION_DATA, "application_data"),
):
    GROUP.leak(f"behind five records of type {name} without a byte")(partial(behind, tls.record(content_type, b"") * 5))
GROUP.leak("behind five heartbeats without a byte", 1016020)(partial(behind, tls.record(tls.HEARTBEAT, b"") * 5))


@GROUP.case("glued to the ClientHello", *EARLY_LEAK, verdict=Verdict.LEAKED, leaked=0x4000)
def glued_to_the_hello() -> Conversation:
    conversation = connected()
    conversation.client(tls.client_hello() + LIE)
    return answered(conversation, tls.server_hello() + tls.certificate() + ANSWER)


@GROUP.case("sent before the ServerHello", *EARLY_LEAK, verdict=Verdict.LEAKED, leaked=0x4000)
def before_the_server_hello() -> Conversation:
    conversation = connected()
    conversation.client(tls.client_hello())
    conversation.client(LIE)
    return answered(conversation, tls.server_hello() + ANSWER)


@GROUP.case("sent before any hello", 1016000, verdict=Verdict.ATTEMPTED)
def before_any_hello() -> Conversation:
    conversation = connected()
    conversation.client(LIE)
    return conversation.say_hello()


def within_the_hello(*, ends: bool) -> Conversation:
    hello = tls.handshake(tls.CLIENT_HELLO, tls.client_hello_body())
    conversation = connected()
    conversation.client(tls.record(tls.HANDSHAKE, hello[:20]) + LIE)
    if ends:
        conversation.client(tls.record(tls.HANDSHAKE, hello[20:]))
        conversation.server(tls.server_hello())
    return answered(conversation)


GROUP.case("between two records of the ClientHello", *EARLY_LEAK, verdict=Verdict.LEAKED, leaked=0x4000)(
    partial(within_the_hello, ends=True)
)
GROUP.case(
    "behind a ClientHello that never ends", *EARLY_LEAK, verdict=Verdict.LEAKED, endpoint="10.0.0.2:443", leaked=0x4000
)(partial(within_the_hello, ends=False))


@GROUP.leak("behind a ClientHello in records of one byte")
def hello_in_bytes() -> Conversation:
    hello = tls.handshake(tls.CLIENT_HELLO, tls.client_hello_body())
    conversation = connected()
    conversation.client(b"".join(tls.record(tls.HANDSHAKE, hello[at : at + 1]) for at in range(len(hello))))
    conversation.server(tls.server_hello())
    return leak(conversation)


SSLV2_HELLO = bytes.fromhex("802e01 0301 0015 0000 0010") + bytes(0x15 + 16)
SSLV2_HELLO_FOR_2 = bytes.fromhex("802e01 0002 0015 0000 0010") + bytes(0x15 + 16)


def sslv2(hello: bytes) -> Conversation:
    conversation = connected()
    conversation.client(hello)
    conversation.server(tls.server_hello())
    return leak(conversation)


GROUP.leak("behind a ClientHello in SSLv2 framing")(partial(sslv2, SSLV2_HELLO))
GROUP.leak("behind a ClientHello in SSLv2 framing, for SSLv2")(partial(sslv2, SSLV2_HELLO_FOR_2))


@GROUP.leak("two requests in one segment, the first honest")
def honest_first() -> Conversation:
    conversation = greeted()
    conversation.client(tls.honest_request() + LIE)
    return answered(conversation, tls.answer(18)[0] + ANSWER)


@GROUP.case("two lies in one segment: two leaks", *TWO_LEAKS, verdict=Verdict.LEAKED, leaked=2 * 0x4000)
def two_lies() -> Conversation:
    conversation = greeted()
    conversation.client(LIE * 2)
    return answered(conversation, ANSWER * 2)


@GROUP.leak("five lies of other claims before it, which nobody answers")
def unanswered_before() -> Conversation:
    conversation = greeted()
    for claimed in (1, 2, 300, 0xFFFF, 0x3000):
        conversation.client(tls.request(claimed))
    return leak(conversation)


@GROUP.leak("70 honest requests before it, which nobody answers", 1016210, counted={"pending_requests_dropped": 7})
def flooded_before() -> Conversation:
    conversation = greeted()
    for _ in range(70):
        conversation.client(tls.honest_request())
    return leak(conversation)


# --- lengths and versions that lie ------------------------------------------------------------------------------------


def version(number: int) -> Conversation:
    conversation = greeted()
    conversation.client(tls.heartbeat(tls.REQUEST, 0x4000, version=number))
    return answered(conversation)


for number, name in ((0x0300, "SSL 3.0"), (0x0301, "TLS 1.0"), (0x0304, "TLS 1.3"), (0x03FF, "none there is")):
    GROUP.leak(f"a record version of its own: {name}")(partial(version, number))


def overlong(length: int) -> Conversation:
    conversation = greeted()
    lie = tls.record(tls.HEARTBEAT, tls.heartbeat(tls.REQUEST, 0xFFFF, bytes(length - 3))[5:])
    conversation.client(lie, cut=range(1_400, len(lie), 1_400))
    return answered(conversation, b"".join(tls.answer(0xFFFF)))


for length, counted in ((16_385, {}), (18_432, {}), (18_433, {"record_overlong": 1})):
    GROUP.case(
        f"a request record of {length:,} bytes that claims 65,535",
        *LEAK, verdict=Verdict.LEAKED, leaked=0xFFFF - (length - 3), counted=counted,
    )(partial(overlong, length))  # fmt: skip


@GROUP.case(
    "a request padded to a full record, which claims 65,535", *LEAK, verdict=Verdict.LEAKED, leaked=0xFFFF - 16_381
)
def padded() -> Conversation:
    return overlong(16_384)


@GROUP.leak("a request of more records than one: each is a message of its own", 1016020)
def cut_in_records() -> Conversation:
    conversation = greeted()
    conversation.client(tls.record(tls.HEARTBEAT, b"\x01") + tls.record(tls.HEARTBEAT, b"\x40\x00"))
    return leak(conversation)


def alone(body: bytes) -> Conversation:
    conversation = greeted()
    conversation.client(tls.record(tls.HEARTBEAT, body))
    return conversation


GROUP.case("a heartbeat record of one byte", 1016020, verdict=Verdict.PROBED)(partial(alone, b"\x01"))
GROUP.case("a heartbeat record of two bytes", 1016020, verdict=Verdict.PROBED)(partial(alone, b"\x01\x40"))
GROUP.case("a heartbeat of a type there is not", 1016021, verdict=Verdict.PROBED)(partial(alone, b"\x07\x40\x00"))
GROUP.case(
    "a request that claims all it carries, without padding: cannot leak", 1016010, verdict=Verdict.PROBED
)(partial(alone, b"\x01\x00\x20" + bytes(32)))  # fmt: skip
GROUP.case("a request that claims one byte more than it carries", 1016001, verdict=Verdict.ATTEMPTED)(
    partial(alone, b"\x01\x00\x21" + bytes(32))
)


# --- whose memory -----------------------------------------------------------------------------------------------------


@GROUP.leak("a server that never agreed to heartbeats answers")
def not_agreed() -> Conversation:
    return leak(connected().say_hello(server=tls.server_hello_body(extensions=[])))


@GROUP.case(
    "a server asks its client",
    *(1016004, 1016101, 1016103),
    verdict=Verdict.LEAKED, endpoint="10.0.0.1 (client)", leaked=0x4000,
    others={"10.0.0.2:443": Verdict.EXPOSED},
)  # fmt: skip
def client_asked() -> Conversation:
    conversation = greeted()
    conversation.server(LIE)
    conversation.client(ANSWER, cut=range(1_400, len(ANSWER), 1_400))
    return conversation


@GROUP.leak("an answer in records of 1,024 bytes, as agreed on (RFC 6066)")
def small_fragments() -> Conversation:
    extensions = [tls.extension(1, b"\x02"), tls.heartbeat_extension()]
    conversation = connected().say_hello(server=tls.server_hello_body(extensions=extensions))
    conversation.client(LIE)
    return answered(conversation, b"".join(tls.answer(0x4000, fragment=1_024)))


# --- what is legal ----------------------------------------------------------------------------------------------------


@GROUP.case("an honest heartbeat and its answer: nothing")
def honest() -> Conversation:
    conversation = greeted()
    conversation.client(tls.honest_request())
    conversation.server(tls.answer(18)[0])
    return conversation


@GROUP.case("more padding than needed, and still more in the answer: nothing")
def generous_padding() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(18, bytes(218)))
    conversation.server(tls.heartbeat(tls.RESPONSE, 18, bytes(418)))
    return conversation


@GROUP.case("the largest honest heartbeat, payload of 16,365 bytes: nothing")
def largest() -> Conversation:
    conversation = greeted()
    conversation.client(tls.honest_request(bytes(16_365)))
    return answered(conversation, tls.answer(16_365)[0])
