"""One request and what comes of it: what fires, and what nearly does."""

from __future__ import annotations

from hbids.facts import Verdict
from tests.detect.casebook import (
    ASKED,
    LIE,
    WHOLE,
    case,
    leak,
    refusing,
)
from tests.support import tls
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation, connected, greeted, sealing

# --- what is missing --------------------------------------------------------------------------------------------------


def answer_alone(claimed: int, *, to_client: bool = True) -> Conversation:
    """The answer to a lie that was not captured."""
    conversation = greeted()
    conversation.lose(*(conversation.client if to_client else conversation.server)(LIE))
    for record in tls.answer(claimed):
        (conversation.server if to_client else conversation.client)(record)
    return conversation


@case({1016120: 1}, Verdict.LEAKED, near={1016100, 1016121, 1016122})
def a_servers_answer_alone() -> Conversation:
    return answer_alone(0x4000).lose_way(TO_SERVER)


@case({1016120: 1}, Verdict.LEAKED)
def a_servers_answer_behind_a_loss() -> Conversation:
    return answer_alone(0xFFFF)


@case({1016121: 1}, Verdict.LEAKED, near={1016101, 1016120})
def a_clients_answer_alone() -> Conversation:
    return answer_alone(0x4000, to_client=False).lose_way(TO_CLIENT)


@case({1016122: 1}, Verdict.PROBED, near={1016120})
def a_small_answer_alone() -> Conversation:
    return answer_alone(300)


@case({1016220: 1}, Verdict.LEAKED, near={1016201})
def a_servers_sealed_answer_alone() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(WHOLE, WHOLE, WHOLE, 42))
    return conversation.lose_way(TO_SERVER)


@case({}, Verdict.EXPOSED, near={1016122, 1016220})
def sealed_heartbeats_of_which_one_way_was_captured() -> Conversation:
    conversation = sealing()
    for _ in range(3):
        conversation.client(tls.sealed(ASKED))
        conversation.server(tls.sealed(ASKED))
    return conversation.lose_way(TO_SERVER)


# --- evasion ----------------------------------------------------------------------------------------------------------


@case({1016001: 1, 1016030: 1}, Verdict.ATTEMPTED)
def a_lie_and_something_else_in_its_place() -> Conversation:
    conversation = greeted()
    seq = conversation.next_seq[TO_SERVER]
    conversation.client(LIE)
    conversation.stray(TO_SERVER, tls.request(0), seq=seq)
    return conversation


@case({}, Verdict.EXPOSED, near={1016030})
def segments_that_repeat() -> Conversation:
    conversation = greeted()
    conversation.repeat(*conversation.client(tls.application_data(40)))
    return conversation


# --- nothing ----------------------------------------------------------------------------------------------------------


@case({}, Verdict.EXPOSED, near={1016010, 1016011, 1016021, 1016100, 1016110})
def an_honest_request_and_its_answer() -> Conversation:
    conversation = greeted()
    conversation.client(tls.honest_request())
    conversation.server(tls.answer(18)[0])
    return conversation


@case({}, Verdict.EXPOSED, near={1016003})
def an_honest_request_on_a_joined_connection() -> list[Conversation]:
    joined = Conversation(client_port=50_000)
    joined.client(tls.honest_request())
    joined.server(tls.answer(18)[0])
    return [joined, greeted()]


@case({}, Verdict.EXPOSED, near={1016004, 1016101})
def an_honest_request_of_the_server_and_its_answer() -> Conversation:
    conversation = greeted()
    conversation.server(tls.honest_request())
    conversation.client(tls.answer(18)[0])
    return conversation


@case({}, Verdict.EXPOSED, near={1016200})
def the_smallest_legal_sealed_heartbeat() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(43))
    conversation.server(tls.sealed(43))
    return conversation


@case({}, Verdict.EXPOSED, near={1016201, 1016203})
def a_sealed_answer_as_much_larger_as_padding_explains() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(ASKED + 16))
    return conversation


@case({}, Verdict.EXPOSED, near={1016202, 1016204})
def a_clients_sealed_answer_as_much_larger_as_padding_explains() -> Conversation:
    conversation = sealing()
    conversation.server(tls.sealed(327))
    conversation.client(tls.sealed(327 + 16))
    return conversation


# --- requests ---------------------------------------------------------------------------------------------------------


@case({1016000: 1}, Verdict.ATTEMPTED, near={1016001, 1016011})
def a_lie_before_the_server_hello() -> Conversation:
    conversation = connected()
    conversation.client(tls.client_hello() + LIE)
    return conversation


@case({1016010: 1}, Verdict.PROBED, near={1016000})
def all_that_is_claimed_is_carried_before_the_server_hello() -> Conversation:
    conversation = connected()
    conversation.client(tls.client_hello() + tls.request(20, bytes(20)))
    return conversation


@case({1016001: 1}, Verdict.ATTEMPTED, near={1016000, 1016002, 1016100})
def a_lie_in_the_handshake() -> Conversation:
    conversation = greeted()
    conversation.client(LIE)
    return conversation


@case({1016001: 1}, Verdict.ATTEMPTED)
def a_lie_by_one_byte() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(21, bytes(20)))
    return conversation


@case({1016010: 1}, Verdict.PROBED, near={1016001})
def all_that_is_claimed_is_carried_in_the_handshake() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(20, bytes(20)))
    return conversation


@case({1016010: 1}, Verdict.PROBED)
def a_byte_of_padding_is_missing() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(5, bytes(20)))
    return conversation


@case({1016003: 1}, Verdict.ATTEMPTED)
def a_lie_on_a_joined_connection() -> Conversation:
    conversation = Conversation()
    conversation.client(LIE)
    return conversation


@case({1016004: 1}, Verdict.ATTEMPTED, near={1016001})
def a_lie_of_the_server() -> Conversation:
    conversation = greeted()
    conversation.server(LIE)
    return conversation


@case({1016011: 1}, Verdict.PROBED)
def an_honest_request_that_was_not_agreed_to() -> Conversation:
    conversation = refusing()
    conversation.client(tls.honest_request())
    return conversation


@case({1016011: 1}, Verdict.PROBED)
def an_honest_sealed_request_that_was_not_agreed_to() -> Conversation:
    conversation = refusing().finish_handshake()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(ASKED))
    return conversation


@case({1016001: 1}, Verdict.ATTEMPTED, near={1016011})
def a_lie_that_was_not_agreed_to() -> Conversation:
    conversation = refusing()
    conversation.client(LIE)
    return conversation


@case({1016020: 2}, Verdict.PROBED)
def records_shorter_than_the_header() -> Conversation:
    conversation = greeted()
    for body in (b"", b"\x01", b"\x01\x40"):
        conversation.client(tls.record(tls.HEARTBEAT, body))
    return conversation


@case({1016010: 1}, Verdict.PROBED, near={1016020})
def a_record_of_the_header_alone() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(0))
    return conversation


@case({1016021: 1}, Verdict.PROBED)
def a_message_of_unknown_type() -> Conversation:
    conversation = greeted()
    conversation.client(tls.heartbeat(3, 18, bytes(34)))
    return conversation


# --- leaks ------------------------------------------------------------------------------------------------------------


@case({1016001: 1, 1016100: 1, 1016102: 1}, Verdict.LEAKED, near={1016300, 1016301})
def a_leak_over_records() -> Conversation:
    conversation = greeted()
    conversation.client(LIE)
    for piece in tls.answer(0x4000):
        conversation.server(piece)
    return conversation


@case({1016001: 1, 1016100: 1}, Verdict.LEAKED, near={1016102})
def a_leak_that_comes_whole() -> Conversation:
    return leak(connected())


@case({1016001: 1, 1016100: 1}, Verdict.LEAKED)
def a_leak_of_one_byte() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(21, bytes(20)))
    conversation.server(tls.answer(21)[0])
    return conversation


@case({1016004: 1, 1016101: 1, 1016103: 1}, Verdict.LEAKED, near={1016100})
def a_leak_of_the_client_over_records() -> Conversation:
    conversation = greeted()
    conversation.server(tls.request(0xF000))
    for piece in tls.answer(0xF000):
        conversation.client(piece)
    return conversation


@case({1016004: 1, 1016101: 1}, Verdict.LEAKED, near={1016103})
def a_leak_of_the_client_that_comes_whole() -> Conversation:
    conversation = greeted()
    conversation.server(tls.request(0x100))
    conversation.client(tls.answer(0x100)[0])
    return conversation


@case({1016010: 1, 1016110: 1}, Verdict.PROBED, near={1016100})
def an_answer_that_leaks_nothing_to_a_request_without_padding() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(0x3FED, tls.noise(0x3FED)))
    conversation.server(tls.answer(0x3FED)[0])
    return conversation


# --- sealed -----------------------------------------------------------------------------------------------------------


@case({1016200: 1, 1016110: 1}, Verdict.PROBED, near={1016201})
def zgrab() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(27))
    conversation.server(tls.sealed(43))
    return conversation


@case({1016200: 1, 1016201: 1}, Verdict.LEAKED)
def heartbleeder() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(27))
    conversation.server(tls.sealed(44))
    return conversation


@case({1016011: 1, 1016201: 1}, Verdict.LEAKED)
def filippo() -> Conversation:
    conversation = refusing().finish_handshake()
    conversation.client(tls.sealed(92))
    conversation.server(tls.sealed(130))
    return conversation


@case({1016201: 1, 1016203: 1}, Verdict.LEAKED)
def heartleech() -> Conversation:
    conversation = sealing()
    conversation.client(tls.application_data(96) + tls.sealed(ASKED))
    for length in (WHOLE, WHOLE, WHOLE, WHOLE, 42):
        conversation.server(tls.sealed(length))
    return conversation


@case({1016212: 1}, Verdict.PROBED, near={1016201})
def two_full_requests_in_flight() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(WHOLE, WHOLE))
    for _ in range(2):
        conversation.server(tls.sealed(WHOLE))
    return conversation


@case({}, Verdict.EXPOSED, near={1016212, 1016201})
def full_requests_one_after_the_other() -> Conversation:
    conversation = sealing()
    for _ in range(3):
        conversation.client(tls.sealed(WHOLE))
        conversation.server(tls.sealed(WHOLE))
    return conversation


@case({1016110: 1}, Verdict.PROBED, near={1016201, 1016203})
def a_sealed_answer_of_two_records_that_leaks_nothing() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(WHOLE))
    conversation.server(tls.sealed(WHOLE, 24 + 16))
    return conversation


@case({1016201: 1}, Verdict.LEAKED, near={1016110})
def a_sealed_answer_of_two_records_that_leaks_one_byte() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(WHOLE))
    conversation.server(tls.sealed(WHOLE, 24 + 17))
    return conversation


@case({}, Verdict.EXPOSED, near={1016201, 1016110})
def a_full_echo_and_then_a_request_of_the_server() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(WHOLE))
    conversation.server(tls.sealed(WHOLE))
    conversation.wait(11).server(tls.sealed(ASKED))
    conversation.client(tls.sealed(ASKED))
    return conversation


@case({1016201: 1}, Verdict.LEAKED, near={1016203})
def a_sealed_leak_of_one_byte_that_comes_whole() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(ASKED))
    conversation.server(tls.sealed(ASKED + 17))
    return conversation


@case({1016202: 1, 1016204: 1}, Verdict.LEAKED, near={1016201, 1016203})
def a_sealed_leak_of_the_client_over_records() -> Conversation:
    conversation = sealing()
    conversation.server(tls.sealed(ASKED))
    conversation.client(tls.sealed(WHOLE))
    conversation.client(tls.sealed(42))
    return conversation


@case({1016202: 1}, Verdict.LEAKED, near={1016204})
def a_sealed_leak_of_the_client_that_comes_whole() -> Conversation:
    conversation = sealing()
    conversation.server(tls.sealed(ASKED))
    conversation.client(tls.sealed(200))
    return conversation
