"""What must and must not raise which alert: every signature has a case that fires it and one that nearly does.

A case is a function that gives connections; its decorator says the alerts they raise, all of them, and which other
signatures they come near to. The exposure of a server that accepts heartbeats (1016500) is left out but where named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hbids.facts import Verdict
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, connected, greeted, sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LIE = tls.request(0x4000)
WHOLE = 16_408
"""A full AES-GCM record."""
ASKED = 61
"""An OpenSSL heartbeat under AES-GCM."""
EXPOSURE = 1016500
FIRED_BY_ROWS = frozenset({1016002})
"""After the handshake both sides seal, so on the wire nobody can tell a clear lie there; test_rows.py has its case."""


@dataclass(frozen=True)
class Case:
    """Connections and the alerts they raise."""

    build: Callable[[], Conversation | list[Conversation]]
    fires: dict[int, int]
    near: frozenset[int]
    verdict: Verdict
    """Of the endpoint that fares worst."""

    @property
    def name(self) -> str:
        return self.build.__name__.replace("_", " ")

    def conversations(self) -> list[Conversation]:
        built = self.build()
        return built if isinstance(built, list) else [built]


CASES: list[Case] = []


def case(
    fires: dict[int, int], verdict: Verdict, near: Collection[int] = ()
) -> Callable[[Callable[[], Conversation | list[Conversation]]], None]:
    def register(build: Callable[[], Conversation | list[Conversation]]) -> None:
        CASES.append(Case(build, fires, frozenset(near), verdict))

    return register


# --- connections to build on ------------------------------------------------------------------------------------------


def numbered(number: int, *, source: int = 1, seconds: float = 1) -> Conversation:
    """The connections of a series, so many seconds apart, of one source or another."""
    start_ns = START_NS + round(number * seconds * SECOND_NS)
    return Conversation(client=f"10.0.0.{source}", server="10.9.9.9", client_port=20_000 + number, start_ns=start_ns)


def refusing() -> Conversation:
    """The server did not agree to heartbeats."""
    return connected().say_hello(server=tls.server_hello_body(extensions=[]))


def leak(conversation: Conversation) -> Conversation:
    """A lie and its answer, whole in one segment."""
    conversation.say_hello()
    conversation.client(tls.request(0x100))
    conversation.server(tls.answer(0x100)[0])
    return conversation


def leaks(number: int, sources: int = 1) -> list[Conversation]:
    return [leak(numbered(index, source=1 + index % sources).connect()) for index in range(number)]


def unanswered(number: int, *, seconds: float = 60) -> list[Conversation]:
    """Connections on which one sealed request of honest size is the last that is heard."""
    found = []
    for index in range(number):
        conversation = numbered(index, seconds=seconds).connect().say_hello().finish_handshake()
        conversation.client(tls.sealed(ASKED))
        found.append(conversation)
    return found


def beats(number: int, seconds: float) -> Conversation:
    """Honest heartbeats, answered, spread over so many seconds."""
    conversation = greeted()
    for index in range(number):
        conversation.now_ns = START_NS + SECOND_NS + round(index * seconds * SECOND_NS / (number - 1))
        conversation.client(tls.honest_request())
        conversation.server(tls.answer(18)[0])
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


@case({1016020: 3}, Verdict.PROBED)
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


# --- series -----------------------------------------------------------------------------------------------------------


@case({1016210: 1}, Verdict.PROBED)
def sixty_heartbeats_in_twenty_seconds() -> Conversation:
    return beats(60, seconds=20)


@case({1016210: 2}, Verdict.PROBED)
def twice_sixty_heartbeats_in_twenty_seconds() -> Conversation:
    return beats(120, seconds=20)


@case({}, Verdict.EXPOSED, near={1016210})
def fifty_nine_heartbeats_in_twenty_seconds() -> Conversation:
    return beats(59, seconds=20)


@case({}, Verdict.EXPOSED, near={1016210})
def sixty_heartbeats_in_a_little_more_than_twenty_seconds() -> Conversation:
    return beats(60, seconds=20.001)


@case({1016211: 1}, Verdict.ATTEMPTED)
def three_sealed_requests_of_one_source_unanswered() -> list[Conversation]:
    return unanswered(3)


@case({}, Verdict.EXPOSED, near={1016211})
def two_sealed_requests_unanswered() -> list[Conversation]:
    return unanswered(2)


@case({}, Verdict.EXPOSED, near={1016211})
def three_sealed_requests_unanswered_within_more_than_an_hour() -> list[Conversation]:
    return unanswered(3, seconds=1801)


@case({1016211: 1}, Verdict.PROBED)
def one_sealed_request_to_a_peer_that_lives_and_keeps_silent() -> Conversation:
    (conversation,) = unanswered(1)
    conversation.wait(2).server(tls.application_data())
    return conversation


@case({}, Verdict.EXPOSED, near={1016211})
def one_sealed_request_to_a_peer_that_was_not_given_the_time() -> Conversation:
    (conversation,) = unanswered(1)
    conversation.wait(1.9).server(tls.application_data())
    return conversation


@case({1016200: 1, 1016211: 1}, Verdict.ATTEMPTED)
def one_sealed_request_that_cannot_be_honest_unanswered() -> Conversation:
    conversation = sealing()
    conversation.client(tls.sealed(27))
    return conversation


@case({1016001: 10, 1016100: 10, 1016300: 1}, Verdict.HARVESTED)
def ten_leaks_to_one_source() -> list[Conversation]:
    return leaks(10)


@case({1016001: 9, 1016100: 9}, Verdict.LEAKED, near={1016300})
def nine_leaks_to_one_source() -> list[Conversation]:
    return leaks(9)


@case({1016001: 10, 1016100: 10, 1016301: 1}, Verdict.HARVESTED, near={1016300})
def ten_leaks_to_one_behaviour_from_three_sources() -> list[Conversation]:
    return leaks(10, sources=3)


@case({1016001: 10, 1016100: 10}, Verdict.LEAKED, near={1016300, 1016301})
def ten_leaks_to_one_behaviour_from_two_sources() -> list[Conversation]:
    return leaks(10, sources=2)


# --- exposure and tools -----------------------------------------------------------------------------------------------


@case({EXPOSURE: 1}, Verdict.EXPOSED)
def a_server_that_agrees_to_heartbeats_twice() -> list[Conversation]:
    return [numbered(number).connect().say_hello() for number in range(2)]


@case({}, Verdict.CLEAR, near={EXPOSURE})
def a_server_that_is_offered_heartbeats_and_refuses() -> Conversation:
    return refusing()


@case({1016001: 1, 1016600: 1}, Verdict.ATTEMPTED)
def nmap() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(0x4000, b"Nmap ssl-heartbleed"))
    return conversation


@case({1016001: 1}, Verdict.ATTEMPTED, near={1016600})
def one_byte_more_than_nmap() -> Conversation:
    conversation = greeted()
    conversation.client(tls.request(0x4000, b"Nmap ssl-heartbleed!"))
    return conversation
