"""What holds for whatever OpenVPN's control channel carries: both engines agree, and how TLS is cut into packets, and
in which order they come, changes no heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.config import Limits
from hbids.decode.engine import native_available
from tests.conftest import missing
from tests.support import openvpn, tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER, batch_of
from tests.support.decoding import TABLES, all_facts, decode_conversations, differences, engine_called, shown
from tests.support.openvpn import HMAC_BYTES, Vpn, framed, sealed_by_tls_crypt
from tests.support.scripts import Turn, lossy_scripts, plainly, scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.facts import Direction

    Happening = Callable[[Vpn, "Event"], None]

LIE = tls.request(0x4000)
MOST_WAITING = 8
WHATEVER_THE_PACKETS = (
    *("direction", "kind", "protection", "phase", "claimed_length", "record_length", "bytes_seen", "records"),
    *("payload_present", "padding_present", "answers_message", "request_record_length", "gap", "midstream"),
)


# --- how it is cut --------------------------------------------------------------------------------------------------


@st.composite
def torn(draw: st.DrawFn, script: list[Turn]) -> Vpn:
    """Every turn cut anywhere, its packets in any order within the receiver's window, some of them twice."""
    vpn = Vpn(over_tcp=draw(st.booleans()), hmac_bytes=draw(st.sampled_from([0, *HMAC_BYTES]))).reset()
    for turn in script:
        length = len(turn.data)
        edges = draw(st.lists(st.integers(1, length), max_size=5))
        pieces = tls.cut(turn.data, sorted({*edges, *range(0, length, 16_000)} - {0, length}))
        packets = [vpn.next(turn.way, piece) for piece in pieces]
        for begin in range(0, len(packets), MOST_WAITING):
            window = packets[begin : begin + MOST_WAITING]
            again = draw(st.lists(st.sampled_from(window), max_size=2))
            order = draw(st.permutations([*window, *again]))
            vpn.send(turn.way, *(window if vpn.over_tcp else order))
            if draw(st.booleans()):
                vpn.acknowledge(TO_CLIENT if turn.way == TO_SERVER else TO_SERVER)
    return vpn


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), script=scripts)
def test_how_tls_is_cut_into_packets_changes_no_heartbeat(
    engine_name: str, data: st.DataObject, script: list[Turn]
) -> None:
    vpn = data.draw(torn(script))
    whole = decode_conversations(engine_name, [plainly(script)])
    cut = decode_conversations(engine_name, [vpn])
    assert [shown(row, WHATEVER_THE_PACKETS) for row in cut.heartbeats] == [
        shown(row, WHATEVER_THE_PACKETS) for row in whole.heartbeats
    ]
    for name in ("records_to_server", "record_bytes_to_client", "heartbeats_to_client"):
        assert cut.flows[name].tolist() == whole.flows[name].tolist()
    assert "openvpn_gaps" not in cut.drops


# --- both engines ---------------------------------------------------------------------------------------------------


class Event(NamedTuple):
    """One thing that happens to a channel."""

    what: Happening
    way: Direction
    data: bytes
    number: int
    seconds: float


def say(vpn: Vpn, event: Event) -> None:
    vpn.say(event.way, event.data, size=max(1, min(event.number, 2_000) * 50))


def lose(vpn: Vpn, event: Event) -> None:
    vpn.next(event.way, event.data)


def late(vpn: Vpn, event: Event) -> None:
    """Three packets, the first of them last."""
    first, *others = (vpn.next(event.way, event.data) for _ in range(3))
    vpn.send(event.way, *others, first)


def acknowledge(vpn: Vpn, event: Event) -> None:
    vpn.acknowledge(event.way)


def repeat(vpn: Vpn, event: Event) -> None:
    """An id that may have been used."""
    packet = vpn.packet(event.way, openvpn.CONTROL, event.data, packet_id=event.number, acks=[event.number])
    vpn.send(event.way, packet)


def forge(vpn: Vpn, event: Event) -> None:
    remote_id = event.data[:8].ljust(8)
    vpn.send(event.way, vpn.packet(event.way, openvpn.ACK, acks=[event.number, 1, 2], remote_id=remote_id))


def reach_ahead(vpn: Vpn, event: Event) -> None:
    far = (vpn.next_ids[event.way] + event.number) & 0xFFFF_FFFF
    vpn.send(event.way, vpn.packet(event.way, openvpn.CONTROL, event.data, packet_id=far))


def jump(vpn: Vpn, event: Event) -> None:
    vpn.next_ids[event.way] = (vpn.next_ids[event.way] + event.number) & 0xFFFF_FFFF


def babble(vpn: Vpn, event: Event) -> None:
    first = event.number % 12 << 3 | event.number & 1
    vpn.send(event.way, bytes([first]) + vpn.session_ids[event.way] + event.data)


def use(vpn: Vpn, event: Event) -> None:
    vpn.data(event.way, min(event.number, 2_000))


def reset(vpn: Vpn, event: Event) -> None:
    opcode = openvpn.RESET_CLIENT if event.way == TO_SERVER else openvpn.RESET_SERVER
    vpn.send(event.way, vpn.next(event.way, opcode=opcode))


def restart(vpn: Vpn, event: Event) -> None:
    vpn.restart(b"client-%d" % (event.number % 10), b"server-%d" % (event.number % 10))


def renegotiate(vpn: Vpn, _: Event) -> None:
    vpn.renegotiate()


def seal(vpn: Vpn, event: Event) -> None:
    opcode = (openvpn.RESET_CLIENT, openvpn.RESET_SERVER, openvpn.CONTROL, openvpn.SOFT_RESET)[event.number % 4]
    session_id = vpn.session_ids[event.way] if event.number % 3 else b"tlscrypt"
    key_id = int(opcode == openvpn.SOFT_RESET)
    vpn.send(event.way, sealed_by_tls_crypt(opcode, session_id, event.number % 256, 30, key_id=key_id))


def change_tls_auth(vpn: Vpn, event: Event) -> None:
    vpn.hmac_bytes = (0, *HMAC_BYTES)[event.number % 7]


HAPPENINGS: tuple[Happening, ...] = (
    *(say, say, say, lose, late, acknowledge, repeat, forge, reach_ahead, jump, babble, use),
    *(reset, restart, renegotiate, seal, change_tls_auth),
)

_events = st.builds(
    Event,
    st.sampled_from(HAPPENINGS),
    st.sampled_from([TO_SERVER, TO_CLIENT]),
    st.sampled_from(
        [
            b"",
            LIE,
            LIE[:3],
            LIE[3:],
            tls.request(7),
            tls.client_hello(),
            tls.server_hello(),
            tls.answer(0x1000)[0],
            tls.ccs() + tls.finished(),
            tls.sealed(61),
            tls.sealed(1_000),
            tls.noise(30),
        ]
    ),
    st.integers(0, 20) | st.sampled_from([70, 1 << 16, 1 << 24, (1 << 31) - 2, 1 << 31, 0xFFFF_FFFF]),
    st.sampled_from([0, 0, 0, 0, 0.2, 11, 400]),
)


LIMITS = (
    Limits(),
    Limits(openvpn_sessions=1, hole_acked_wait_ns=1, hole_wait_ns=SECOND_NS),
    Limits(out_of_order_bytes=1_500, held_heartbeats=1, state_bytes_total=4_000),
    Limits(out_of_order_bytes_total=2_500, checkpoint_ns=SECOND_NS // 100, search_bytes=100),
)


def assert_same(vpn: Vpn, limits: Limits) -> None:
    engines = [engine_called(name, limits) for name in ("native", "reference")]
    first, second = (all_facts(engine, [batch_of(vpn.frames())]) for engine in engines)
    for table in TABLES:
        assert differences(getattr(first, table), getattr(second, table)) == [], table
    counted = [{name: n for name, n in engine.counters().items() if n} for engine in engines]
    assert counted[0] == counted[1]


@pytest.fixture(scope="module")
def both() -> None:
    if not native_available():
        missing("the native engine")


@settings(max_examples=600, deadline=None)
@given(
    events=st.lists(_events, max_size=25),
    begin=st.sampled_from([0, 1, 2]),
    over_tcp=st.booleans(),
    lost_way=st.sampled_from([None, None, TO_SERVER, TO_CLIENT]),
    limits=st.sampled_from(LIMITS),
)
@pytest.mark.usefixtures("both")
def test_both_engines_agree_on_made_up_channels(
    events: list[Event], begin: int, over_tcp: bool, lost_way: Direction | None, limits: Limits
) -> None:
    vpn = Vpn(over_tcp=over_tcp)
    if begin:
        vpn.reset()
    if begin == 2:
        vpn.greet()
    for event in events:
        vpn.wait(event.seconds)
        event.what(vpn, event)
    if lost_way:
        vpn.lose_way(lost_way)
    assert_same(vpn, limits)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), script=lossy_scripts, limits=st.sampled_from(LIMITS), connected=st.booleans())
@pytest.mark.usefixtures("both")
def test_both_engines_agree_on_segments_cut_anywhere(
    data: st.DataObject, script: list[Turn], limits: Limits, connected: bool
) -> None:
    """Packets of OpenVPN among other bytes, cut into segments, lost and out of order."""
    vpn = Vpn(over_tcp=True, hmac_bytes=data.draw(st.sampled_from([0, 20])))
    if connected:
        vpn.reset()
    for turn in script[:6]:
        stream = b"".join(framed(vpn.next(turn.way, piece)) for piece in tls.cut(turn.data[:9_000], (200, 2_000)))
        other = data.draw(st.sampled_from([b"", b"", b"", tls.noise(40), framed(b""), b"\x00\x20\x48" + bytes(31)]))
        stream += other
        seq = vpn.connection.next_seq[turn.way]
        edges = sorted(set(data.draw(st.lists(st.integers(1, len(stream)), max_size=6))) - {len(stream)})
        pieces = list(zip([0, *edges], tls.cut(stream, edges), strict=True))
        for at, piece in data.draw(st.permutations(pieces)):
            if data.draw(st.integers(0, 9)):
                vpn.connection.stray(turn.way, piece, seq=seq + at)
        vpn.connection.next_seq[turn.way] += len(stream)
        vpn.connection.segment(TO_CLIENT if turn.way == TO_SERVER else TO_SERVER)
        vpn.wait(data.draw(st.sampled_from([0, 0, 1, 11])))
    assert_same(vpn, limits)
