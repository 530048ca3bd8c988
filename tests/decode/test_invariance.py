"""However the same bytes of both sides are carried, the facts that do not speak of packets are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.build import Frame
from tests.support import dtls, framing, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation, batch_of
from tests.support.decoding import TABLES, Decoded, decode_batches, shown
from tests.support.dtls import Exchange
from tests.support.fragments import parts
from tests.support.framing import ETHERNET, Link
from tests.support.scripts import begun, plainly, scripts, torn
from tests.support.tunnels import IN_IP, ON_LINKS

if TYPE_CHECKING:
    from hbids.facts import Direction, Rows
    from tests.support.scripts import Turn

SPEAK_OF_PACKETS = {"time_ns", "end_time_ns", "packet_number", "flow_start_ns", "vlan"}
SPEAK_OF_PACKETS |= {
    f"{what}_to_{way}" for what in ("packets", "bytes", "last_record_ns") for way in ("server", "client")
}

QUICKLY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SLOWLY = settings(QUICKLY, max_examples=40)
"""Where scapy builds every packet."""


def decoded(engine_name: str, frames: list[Frame]) -> Decoded:
    return decode_batches(engine_name, [batch_of(frames)])


def whatever_the_packets(rows: Rows) -> list[dict[str, object]]:
    """Rows without the columns that speak of packets and time."""
    return [shown(row, set(rows.dtype.names or ()) - SPEAK_OF_PACKETS) for row in rows]


def assert_same_facts(first: Decoded, second: Decoded) -> None:
    """Early rows are left out: when an answer exceeds its request is a matter of packets."""
    for table in TABLES:
        assert whatever_the_packets(getattr(first, table)) == whatever_the_packets(getattr(second, table)), table


# --- TLS --------------------------------------------------------------------------------------------------------------


@QUICKLY
@given(data=st.data(), script=scripts)
def test_how_segments_are_cut_and_ordered_changes_no_fact(
    engine_name: str, data: st.DataObject, script: list[Turn]
) -> None:
    whole = decoded(engine_name, plainly(script).frames())
    cut = decoded(engine_name, data.draw(torn(script, begun)).frames())
    assert_same_facts(cut, whole)
    assert set(cut.drops) - set(whole.drops) <= {"segments_repeated"}


@QUICKLY
@given(data=st.data(), script=scripts)
def test_what_is_sent_or_seen_again_changes_no_fact(engine_name: str, data: st.DataObject, script: list[Turn]) -> None:
    whole = decoded(engine_name, plainly(script).frames())
    conversation = data.draw(torn(script, begun))
    again = data.draw(st.lists(st.sampled_from(range(3, len(conversation.packets))), max_size=8))
    for index in sorted(again, reverse=True):
        conversation.packets.insert(index + data.draw(st.integers(1, 3)), conversation.packets[index])
    frames = [frame for frame in conversation.frames() for _ in range(data.draw(st.integers(1, 2)))]
    repeated = decoded(engine_name, frames)
    assert_same_facts(repeated, whole)
    assert set(repeated.drops) - set(whole.drops) <= {"segments_repeated"}


HOSTS = st.sampled_from([("10.0.0.1", "10.0.0.2"), ("fd66::1", "fd66::2")])
LINKS = [ETHERNET, framing.vlan((0x8100, 9)), framing.RAW, framing.LINUX_SLL2, *ON_LINKS.values()]
carriers = st.builds(
    lambda link, names: Link(link.link_type, lambda packet: link.wrap(_tunnelled(packet, names))),
    st.sampled_from(LINKS),
    st.lists(st.sampled_from(sorted(IN_IP)), max_size=4),
)
"""Links, and tunnels in tunnels on them."""


def _tunnelled(packet: bytes, names: list[str]) -> bytes:
    for name in names:
        packet = IN_IP[name](packet)
    return packet


@SLOWLY
@given(data=st.data(), script=scripts, link=carriers, hosts=HOSTS)
def test_what_segments_are_wrapped_in_changes_no_fact(
    engine_name: str, data: st.DataObject, script: list[Turn], link: Link, hosts: tuple[str, str]
) -> None:
    def begin(way: Link) -> Conversation:
        return Conversation(client=hosts[0], server=hosts[1], link=way, checksums=True).connect()

    bare, wrapped = begin(ETHERNET), data.draw(torn(script, lambda: begin(link), longest=20_000))
    bare.packets = wrapped.packets
    inside, outside = decoded(engine_name, wrapped.frames()), decoded(engine_name, bare.frames())
    assert_same_facts(inside, outside)
    assert inside.drops == outside.drops


@QUICKLY
@given(data=st.data(), script=scripts, hosts=HOSTS)
def test_how_packets_are_fragmented_changes_no_fact(
    engine_name: str, data: st.DataObject, script: list[Turn], hosts: tuple[str, str]
) -> None:
    conversation = Conversation(client=hosts[0], server=hosts[1], link=framing.RAW, checksums=True).connect()
    conversation.packets = plainly(script).packets
    whole = conversation.frames()
    pieces = []
    for number, frame in enumerate(whole):
        size = data.draw(st.sampled_from([8, 16, 1_480])) if len(frame.data) < 2_000 else 16_384
        packets = parts(frame.data, size, identification=number) if data.draw(st.booleans()) else [frame.data]
        packets = data.draw(st.permutations(packets)) if len(packets) < 20 else packets[::-1]
        pieces += [Frame(frame.time_ns, packet, len(packet), frame.link_type) for packet in packets]
    assert_same_facts(decoded(engine_name, pieces), decoded(engine_name, whole))


# --- DTLS -------------------------------------------------------------------------------------------------------------


class Record(NamedTuple):
    """One of DTLS, before it has a number."""

    way: Direction
    content_type: int
    body: bytes
    epoch: int = 0


_ways = st.sampled_from([TO_SERVER, TO_CLIENT])
_claims = st.sampled_from([0, 1, 18, 300, 4_000, 0x4000])
_messages = st.builds(dtls.heartbeat, st.sampled_from([1, 2, 2, 7]), _claims, st.builds(tls.noise, st.integers(0, 700)))
_more = st.one_of(
    st.builds(Record, _ways, st.just(tls.HEARTBEAT), _messages),
    st.builds(Record, _ways, st.just(tls.HEARTBEAT), st.builds(tls.noise, st.integers(19, 1_400)), st.just(1)),
    st.builds(Record, _ways, st.just(tls.APPLICATION_DATA), st.builds(tls.noise, st.integers(1, 600)), st.just(1)),
    st.builds(Record, _ways, st.just(tls.ALERT), st.just(b"\x01\x00")),
)
GREETING = [
    Record(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, dtls.client_hello_body(), 0)),
    Record(
        TO_CLIENT,
        tls.HANDSHAKE,
        dtls.fragment(dtls.HELLO_VERIFY_REQUEST, tls.words([dtls.DTLS_1_0]) + tls.vector(1, dtls.COOKIE), 0),
    ),
    Record(TO_SERVER, tls.HANDSHAKE, dtls.fragment(tls.CLIENT_HELLO, dtls.HELLO, 1)),
    Record(TO_CLIENT, tls.HANDSHAKE, dtls.fragment(tls.SERVER_HELLO, dtls.server_hello_body(), 1)),
]
sessions_of_dtls = st.lists(_more, max_size=12).map(lambda more: [*GREETING, *more])


def numbered(records: list[Record]) -> list[tuple[Direction, bytes]]:
    exchange = Exchange()
    return [(way, exchange.next(way, kind, body, epoch=epoch)) for way, kind, body, epoch in records]


def one_by_one(records: list[Record]) -> Exchange:
    """A datagram for each."""
    exchange = Exchange()
    for way, record in numbered(records):
        exchange.send(way, record)
    return exchange


@st.composite
def regrouped(draw: st.DrawFn, records: list[Record]) -> Exchange:
    """As many of them in a datagram as one side sends without the other, some datagrams twice."""
    exchange = Exchange()
    datagrams: list[tuple[Direction, bytes]] = []
    for way, record in numbered(records):
        if datagrams and datagrams[-1][0] == way and draw(st.booleans()):
            datagrams[-1] = way, datagrams[-1][1] + record
        else:
            datagrams.append((way, record))
    for way, payload in datagrams:
        asks_for_cookie = payload[dtls.HEADER_BYTES] == dtls.HELLO_VERIFY_REQUEST  # numbers begin anew behind it
        for _ in range(1 if asks_for_cookie else draw(st.sampled_from([1, 1, 2]))):
            exchange.send(way, payload)
    return exchange


@QUICKLY
@given(data=st.data(), records=sessions_of_dtls)
def test_how_records_are_grouped_into_datagrams_changes_no_fact(
    engine_name: str, data: st.DataObject, records: list[Record]
) -> None:
    alone = decoded(engine_name, one_by_one(records).frames)
    grouped = decoded(engine_name, data.draw(regrouped(records)).frames)
    assert_same_facts(grouped, alone)
    assert set(grouped.drops) <= {"dtls_records_replayed"}


@SLOWLY
@given(data=st.data(), records=sessions_of_dtls, link=carriers)
def test_what_datagrams_are_wrapped_in_changes_no_fact(
    engine_name: str, data: st.DataObject, records: list[Record], link: Link
) -> None:
    frames = data.draw(regrouped(records)).frames
    wires = [(frame.time_ns, link.wrap(frame.data[14:])) for frame in frames]
    wrapped = [Frame(time_ns, wire, len(wire), link.link_type) for time_ns, wire in wires]
    assert_same_facts(decoded(engine_name, wrapped), decoded(engine_name, frames))


@QUICKLY
@given(data=st.data(), records=sessions_of_dtls)
def test_how_hellos_are_fragmented_changes_no_session_and_no_heartbeat(
    engine_name: str, data: st.DataObject, records: list[Record]
) -> None:
    whole = decoded(engine_name, one_by_one(records).frames)
    exchange = Exchange()
    for way, kind, body, epoch in records:
        pieces = [body]
        if kind == tls.HANDSHAKE and body[0] != dtls.HELLO_VERIFY_REQUEST:
            pieces = data.draw(st.permutations(refragmented(body, data.draw(st.integers(30, 120)))))
        for piece in pieces:
            exchange.send(way, exchange.next(way, kind, piece, epoch=epoch))
    cut = decoded(engine_name, exchange.frames)
    assert whatever_the_packets(cut.sessions) == whatever_the_packets(whole.sessions)
    assert whatever_the_packets(cut.heartbeats) == whatever_the_packets(whole.heartbeats)


def refragmented(message: bytes, size: int) -> list[bytes]:
    """A handshake message in fragments of so many bytes."""
    number, body = int.from_bytes(message[4:6], "big"), message[12:]
    return [dtls.fragment(message[0], body, number, at, at + size) for at in range(0, len(body), size)]
