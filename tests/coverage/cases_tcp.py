"""TCP as hosts see it, and as those show it who hide from sensors. Scapy builds the headers, with right checksums."""

from __future__ import annotations

from functools import partial

from hbids.facts import Verdict
from tests.capture.build import Frame
from tests.coverage.casebook import LEAK, SIMULATED, TWO_LEAKS, Group
from tests.coverage.exchanges import ANSWER, LIE, SEALED_LEAK, SEALED_LEAK_BYTES, answered, leak, sealed_leak, segments
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
from tests.support.scapy_ip import scapy_ip

GROUP = Group(
    "TCP",
    "Where nothing else is said, each capture holds a leak of 16,384 bytes. A decoy stands in the place of the "
    "request, for the sensor alone.",
    made_by="scapy",
)
HONEST = tls.request(0)
URG = 0x20


def new(client_seq: int = 1_000, server_seq: int = 900_000) -> Conversation:
    return Conversation(network=scapy_ip, client_seq=client_seq, server_seq=server_seq)


def greeted(client_seq: int = 1_000, server_seq: int = 900_000) -> Conversation:
    return new(client_seq, server_seq).connect().say_hello()


# --- order and loss ---------------------------------------------------------------------------------------------------


@GROUP.case("in order", *LEAK, verdict=Verdict.LEAKED, leaked=0x4000)
def in_order() -> Conversation:
    return leak(greeted())


@GROUP.case("a window's worth in reverse order", *LEAK, verdict=Verdict.LEAKED, leaked=0xFFFF)
def reversed_window() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(0xFFFF))
    answer = b"".join(tls.answer(0xFFFF))
    packets = conversation.server(answer, cut=segments(answer))
    conversation.reorder(range(len(packets))[::-1], packets)
    return conversation


@GROUP.leak("segments of one byte", counted={})
def single_bytes() -> Conversation:
    conversation = new().connect()
    conversation.client(tls.client_hello(), cut=range(1, len(tls.client_hello())))
    conversation.server(tls.server_hello(), cut=range(1, len(tls.server_hello())))
    conversation.client(LIE, cut=range(1, len(LIE)))
    return answered(conversation)


@GROUP.leak("segments of one byte, in reverse order")
def single_bytes_reversed() -> Conversation:
    conversation = greeted()
    packets = conversation.client(LIE, cut=range(1, len(LIE)))
    conversation.reorder(range(len(packets))[::-1], packets)
    return answered(conversation)


@GROUP.leak("all of the answer captured before its request")
def answer_first() -> Conversation:
    conversation = greeted()
    packets = [*conversation.client(LIE), *conversation.server(ANSWER, cut=segments(ANSWER))]
    conversation.reorder([*range(1, len(packets)), 0], packets)
    return conversation


@GROUP.leak("all segments sent twice", counted={"segments_repeated": 15})
def retransmitted() -> Conversation:
    conversation = leak(greeted())
    conversation.repeat(*(packet for packet in conversation.packets if packet.payload))
    return conversation


@GROUP.leak("a retransmission that brings more than the first time", counted={})
def retransmitted_with_more() -> Conversation:
    conversation = greeted()
    seq = conversation.next_seq[TO_SERVER]
    conversation.client(LIE[:5])
    conversation.stray(TO_SERVER, LIE, seq=seq)
    conversation.next_seq[TO_SERVER] = seq + len(LIE)
    return answered(conversation)


@GROUP.leak("sequence numbers wrap in request and answer")
def wrapping() -> Conversation:
    hellos = greeted(0, 0).next_seq
    return leak(greeted(-hellos[TO_SERVER] - 3, -hellos[TO_CLIENT] - 5_000))


def lost(which: int, sealed: bool = False) -> Conversation:
    conversation = sealed_leak(greeted().finish_handshake()) if sealed else leak(greeted())
    conversation.lose(conversation.packets[which])
    return conversation


GAP = {"stream_gaps": 1}
GROUP.leak("lost: SYN")(partial(lost, 0))
GROUP.leak("lost: ClientHello", counted=GAP)(partial(lost, 3))
GROUP.case(
    "lost: ServerHello, so that the phase is not known",
    *(1016003, 1016100, 1016102), verdict=Verdict.LEAKED, leaked=0x4000, counted=GAP,
)(partial(lost, 4))  # fmt: skip
GROUP.case("lost: the request. The leak is estimated", 1016120, verdict=Verdict.LEAKED, estimated=0x4000)(
    partial(lost, 5)
)
GROUP.case(
    "lost: the beginning of the answer, of which only the last record is known",
    *(1016001, 1016100), verdict=Verdict.LEAKED, leaked=16, counted=GAP,
)(partial(lost, 6))  # fmt: skip
GROUP.case(
    "lost: 1,400 bytes of the answer, which do not count as leaked",
    *LEAK, verdict=Verdict.LEAKED, leaked=0x4000 - 1_400 + 16, counted=GAP,
)(partial(lost, 10))  # fmt: skip
GROUP.case(
    "lost: a change of cipher, before a sealed leak",
    *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES, counted=GAP,
)(partial(lost, 5, sealed=True))  # fmt: skip


# --- what is captured -------------------------------------------------------------------------------------------------


@GROUP.case("one way alone, the client's: an attempt", 1016003, verdict=Verdict.ATTEMPTED)
def client_alone() -> Conversation:
    return leak(greeted()).lose_way(TO_CLIENT)


@GROUP.case("one way alone, the server's: a leak, estimated", 1016120, verdict=Verdict.LEAKED, estimated=0x4000)
def server_alone() -> Conversation:
    return leak(greeted()).lose_way(TO_SERVER)


@GROUP.case(
    "one way alone, the server's, sealed: a leak, estimated", 1016220, verdict=Verdict.LEAKED, estimated=16_384 - 1
)
def server_alone_sealed() -> Conversation:
    return sealed_leak(greeted().finish_handshake()).lose_way(TO_SERVER)


@GROUP.case("one way alone, the client's, sealed: sizes of honest requests tell nothing", verdict=Verdict.CLEAR)
def client_alone_sealed() -> Conversation:
    return sealed_leak(greeted().finish_handshake()).lose_way(TO_CLIENT)


@GROUP.case(
    "the capture begins inside a record of the handshake",
    *(1016003, 1016100, 1016102), verdict=Verdict.LEAKED, leaked=0x4000, confidence="Medium",
)  # fmt: skip
def joined_in_the_handshake() -> Conversation:
    conversation = greeted()
    conversation.server(tls.certificate())
    return leak(_joined(conversation, 1, skipped=100))


@GROUP.case(
    "the capture begins inside records of application data",
    *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES, confidence="Medium",
)  # fmt: skip
def joined_in_application_data() -> Conversation:
    conversation = greeted().finish_handshake()
    conversation.client(tls.application_data(5_000))
    conversation.server(tls.application_data(16_000) * 2)
    return sealed_leak(_joined(conversation, 2, skipped=1_000))


def _joined(conversation: Conversation, packets: int, skipped: int) -> Conversation:
    """Only the last packets are left, and of each not the first bytes."""
    conversation.packets = conversation.packets[-packets:]
    for packet in conversation.packets:
        packet.payload = packet.payload[skipped:]
        packet.seq += skipped
    return conversation


BULK_SEGMENTS = 850


@GROUP.case(
    "a sealed leak behind 40 MB of application data, over a wrap of the sequence numbers. Nothing the decoder keeps "
    "grows with what has passed, so gigabytes read alike",
    *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES, made_by=SIMULATED,
)  # fmt: skip
def behind_bulk() -> Conversation:
    conversation = Conversation(server_seq=(1 << 32) - 20_000_000).connect().say_hello().finish_handshake()
    data = tls.application_data(16_384) * 3
    for _ in range(BULK_SEGMENTS):
        conversation.server(data)
    return sealed_leak(conversation)


# --- beginnings and ends ----------------------------------------------------------------------------------------------


@GROUP.leak("simultaneous open")
def simultaneous_open() -> Conversation:
    conversation = new()
    seqs = dict(conversation.next_seq)
    for flags in (SYN, SYN | ACK):
        for way, back in ((TO_SERVER, TO_CLIENT), (TO_CLIENT, TO_SERVER)):
            conversation.stray(way, b"", seq=seqs[way], flags=flags, ack=seqs[back] + 1 if flags & ACK else 0)
    conversation.next_seq = {way: seq + 1 for way, seq in seqs.items()}
    return leak(conversation.say_hello())


@GROUP.leak("keep-alives, with and without a byte", counted={"segments_repeated": 2})
def keep_alives() -> Conversation:
    conversation = greeted()
    for way in (TO_SERVER, TO_CLIENT):
        for payload in (b"", b"\0"):
            conversation.wait(60).stray(way, payload, seq=conversation.next_seq[way] - 1, flags=ACK)
    return leak(conversation)


def ended(flags: int, ahead: int) -> Conversation:
    """Both sides seem to end it."""
    conversation = greeted()
    for way in (TO_SERVER, TO_CLIENT):
        conversation.stray(way, b"", seq=conversation.next_seq[way] + ahead, flags=flags)
    return leak(conversation.wait(1))


GROUP.leak("RST outside the window")(partial(ended, RST, 1 << 30))
GROUP.leak("RST in the window, which the host ignores")(partial(ended, RST, 1_000))
GROUP.leak("RST that never arrived")(partial(ended, RST, 0))
GROUP.leak("FIN outside the window")(partial(ended, FIN | ACK, 1 << 30))
GROUP.leak("FIN that never arrived")(partial(ended, FIN | ACK, 0))


def port_reused(*ends: int) -> list[Conversation]:
    """A connection with a leak, how it ends, and another between the same ports."""
    first = leak(greeted())
    for flags in ends:
        for way in (TO_SERVER, TO_CLIENT):
            first.segment(way, flags=flags)
    second = Conversation(
        network=scapy_ip, start_ns=first.now_ns + SECOND_NS, client_seq=3_000_000_000, server_seq=2_000_000_000
    )
    return [first, leak(second.connect().say_hello())]


for item, ends, counted in (
    ("the port is used again after FIN", [FIN | ACK], {}),
    ("the port is used again after RST", [RST], {"syn_ignored": 1}),
    ("the port is used again without any end", [], {"syn_ignored": 1}),
):
    GROUP.case(
        f"{item}: two leaks", *TWO_LEAKS, verdict=Verdict.LEAKED, leaked=2 * 0x4000, counted=counted
    )(partial(port_reused, *ends))  # fmt: skip


# --- decoys -----------------------------------------------------------------------------------------------------------


def instead(conversation: Conversation, data: bytes = HONEST, **fields: int) -> Packet:
    """A decoy in the place of what the client sends next."""
    return conversation.stray(TO_SERVER, data, seq=conversation.next_seq[TO_SERVER], **fields)


def with_wrong_checksums(conversation: Conversation, *packets: Packet) -> list[Frame]:
    """Scapy makes right ones; these do not keep them."""
    frames = conversation.frames()
    for at, packet in enumerate(conversation.packets):
        if any(packet is wrong for wrong in packets):
            data = bytearray(frames[at].data)
            data[14 + 20 + 16] ^= 0x55
            frames[at] = frames[at]._replace(data=bytes(data))
    return frames


REFUSED = {"segments_refused": 1}


@GROUP.leak("a decoy with a wrong checksum", counted=REFUSED)
def wrong_checksum() -> list[Frame]:
    conversation = greeted()
    decoy = instead(conversation)
    return with_wrong_checksums(leak(conversation), decoy)


@GROUP.leak("every checksum wrong: the network card computes them behind the capture")
def all_wrong() -> list[Frame]:
    conversation = leak(greeted())
    return with_wrong_checksums(conversation, *conversation.packets)


@GROUP.leak("every checksum of the server wrong, of the client right")
def one_side_wrong() -> list[Frame]:
    conversation = leak(greeted())
    return with_wrong_checksums(conversation, *(packet for packet in conversation.packets if packet.way == TO_CLIENT))


@GROUP.leak("a decoy with a low TTL", counted=REFUSED)
def low_ttl() -> Conversation:
    conversation = greeted()
    instead(conversation).ttl = 3
    return leak(conversation)


@GROUP.leak("a decoy that acknowledges what was never sent", counted=REFUSED)
def future_acknowledgement() -> Conversation:
    conversation = greeted()
    instead(conversation).ack += 5_000
    return leak(conversation)


def untaken(flags: int) -> Conversation:
    conversation = greeted()
    instead(conversation, flags=flags)
    return leak(conversation)


for words, flags in (("without ACK", PSH), ("with SYN", SYN | ACK), ("with RST", RST)):
    GROUP.leak(f"a decoy {words}, whose bytes no host takes", counted={"payloads_ignored": 1})(partial(untaken, flags))


@GROUP.leak("a decoy far ahead in the window, never acknowledged", counted=GAP)
def far_ahead() -> Conversation:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"?", seq=conversation.next_seq[TO_SERVER] + 500_000)
    return leak(conversation.wait(30))


@GROUP.leak("a decoy SYN with another sequence number", counted={"syn_ignored": 1})
def decoy_syn() -> Conversation:
    conversation = greeted()
    conversation.stray(TO_SERVER, b"", seq=conversation.next_seq[TO_SERVER] + 1_000_000_000, flags=SYN)
    return leak(conversation)


@GROUP.leak("two copies that contradict each other, the request first", 1016030, counted={"segments_repeated": 1})
def contradicting() -> Conversation:
    conversation = greeted()
    seq = conversation.next_seq[TO_SERVER]
    conversation.client(LIE)
    conversation.stray(TO_SERVER, HONEST, seq=seq)
    return answered(conversation)


@GROUP.case(
    "two copies that contradict each other, the decoy first: its answer shows the leak",
    *(1016010, 1016030, 1016100, 1016102),
    verdict=Verdict.LEAKED, leaked=0x4000, counted={"segments_repeated": 1},
)  # fmt: skip
def contradicting_decoy_first() -> Conversation:
    conversation = greeted()
    instead(conversation)
    conversation.client(LIE)
    return answered(conversation)


@GROUP.leak("a byte out of band (urgent) in the middle of the request", counted={"urgent_bytes": 1})
def urgent_byte() -> Conversation:
    conversation = greeted()
    packet = conversation.client(LIE[:4] + b"!" + LIE[4:])[0]
    packet.flags, packet.urgent = PSH | ACK | URG, 5
    return answered(conversation)
