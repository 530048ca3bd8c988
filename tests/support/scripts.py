"""TLS connections made up at random: what each side says in turn, and how the segments of a turn may come."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from tests.support import tls
from tests.support.conversation import (
    ACK,
    FIN,
    PSH,
    RST,
    SECOND_NS,
    SYN,
    TO_CLIENT,
    TO_SERVER,
    Conversation,
    Packet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.facts import Direction


class Turn(NamedTuple):
    """What one side sends before the other answers."""

    way: Direction
    data: bytes


_claims = st.sampled_from([0, 1, 7, 18, 300, 0x3FED, 0x4000, 0xFFFF])
_fragments = st.sampled_from([512, 4096, tls.FRAGMENT_BYTES])
_lengths = st.sampled_from([0, 1, 2, 3, 20, 27, 35, 61, 512, 1048, 16_384, 16_408])
_carried = st.sampled_from([0, 1, 16, 37, 600, 16_381])

_versions = st.sampled_from([0x0301, 0x0303, 0x03FF])
_memory = st.builds(tls.noise, _carried)

_records = st.one_of(
    st.builds(tls.request, _claims, _memory),
    st.builds(lambda claimed, fragment: b"".join(tls.answer(claimed, fragment=fragment)), _claims, _fragments),
    st.builds(lambda claimed: tls.answer(claimed)[0], _claims),
    st.builds(tls.heartbeat, st.integers(0, 255), _claims, _memory),
    st.builds(tls.sealed, _lengths, _lengths),
    st.builds(lambda body, version: tls.record(tls.HEARTBEAT, body, version=version), _memory, _versions),
    st.builds(tls.application_data, _lengths),
    st.sampled_from([tls.ccs(), tls.alert(), tls.certificate(), tls.finished()]),
    st.sampled_from([tls.client_hello(), tls.server_hello()]),
)
_turns = st.builds(
    lambda way, records: Turn(way, b"".join(records)),
    st.sampled_from([TO_SERVER, TO_CLIENT]),
    st.lists(_records, min_size=1, max_size=4),
)

scripts = st.builds(
    lambda turns: [Turn(TO_SERVER, tls.client_hello()), Turn(TO_CLIENT, tls.server_hello()), *turns],
    st.lists(_turns, min_size=1, max_size=8),
)
"""TLS from the first byte."""

lossy_scripts = st.builds(lambda script, skipped: script[skipped:], scripts, st.integers(0, 3)) | scripts
"""The same, the hellos perhaps left out."""


def begun() -> Conversation:
    """With right checksums: where all are wrong, one in 65,536 is right by chance, and the others are doubted then."""
    return Conversation(checksums=True).connect()


def plainly(script: list[Turn]) -> Conversation:
    """Every turn in as few segments as hold it, in order."""
    conversation = begun()
    for turn in script:
        for piece in tls.cut(turn.data, range(60_000, len(turn.data), 60_000)):
            conversation.segment(turn.way, piece)
    return conversation


@st.composite
def torn(
    draw: st.DrawFn, script: list[Turn], begin: Callable[[], Conversation], *, longest: int = 60_000
) -> Conversation:
    """Every turn cut anywhere, its segments in any order, overlapping, some of them twice; nothing is missing."""
    conversation = begin()
    for turn in script:
        seq, length = conversation.next_seq[turn.way], len(turn.data)
        edges = sorted({0, *draw(st.lists(st.integers(1, length), max_size=6)), *range(0, length, longest)} - {length})
        pieces = [(edge, end) for edge, end in zip(edges, [*edges[1:], length], strict=True)]
        pieces += draw(st.lists(st.sampled_from(pieces), max_size=2))
        for edge, end in draw(st.permutations(pieces)):
            longer = min(length, end + draw(st.sampled_from([0, 0, 1, 700])), edge + longest + 700)
            conversation.stray(turn.way, turn.data[edge:longer], seq=seq + edge)
        conversation.next_seq[turn.way] += length
    return conversation


class Decoy(NamedTuple):
    """A packet thrown in anywhere. ``seq`` and ``ack`` count from where the conversation has come by its end."""

    place: int
    way: Direction
    seq: int
    ack: int
    flags: int
    data: bytes
    late_ns: int
    ttl: int
    checksum: bool | None
    urgent: int


_offsets = st.sampled_from([0, 1, -1, -8, 8, -300, 300, 70_000, 1 << 20, 1 << 30, 1 << 31]) | st.integers(-2000, 2000)
_flags = st.integers(0, 63) | st.sampled_from([SYN, SYN | ACK, RST, FIN | ACK, PSH | ACK])
decoys = st.builds(
    Decoy,
    st.integers(0, 50),
    st.sampled_from([TO_SERVER, TO_CLIENT]),
    _offsets,
    _offsets,
    _flags,
    st.sampled_from([b"", b"?", tls.request(7), tls.client_hello(), tls.application_data(600)]),
    st.sampled_from([0, 0, 0, SECOND_NS, 3 * SECOND_NS, 100 * SECOND_NS]),
    st.sampled_from([64, 64, 3, 200]),
    st.sampled_from([None, False]),
    st.integers(0, 12),
)


def throw_in(conversation: Conversation, decoy: Decoy) -> None:
    """Add the packet; what comes behind it comes so much later."""
    back = TO_CLIENT if decoy.way == TO_SERVER else TO_SERVER
    seq, ack = conversation.next_seq[decoy.way] + decoy.seq, conversation.next_seq[back] + decoy.ack
    packets = conversation.packets
    place = decoy.place % (len(packets) + 1)
    time_ns = packets[place - 1].time_ns if place else conversation.now_ns
    packets.insert(
        place,
        Packet(time_ns, decoy.way, seq, ack, decoy.flags, decoy.data, decoy.ttl, decoy.urgent, checksum=decoy.checksum),
    )
    for packet in packets[place:]:
        packet.time_ns += decoy.late_ns
