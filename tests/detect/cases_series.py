"""Series of requests, exposure and tools: what fires, and what nearly does."""

from __future__ import annotations

from hbids.facts import Verdict
from tests.detect.casebook import (
    EXPOSURE,
    beats,
    case,
    leaks,
    numbered,
    refusing,
    unanswered,
)
from tests.support import tls
from tests.support.conversation import Conversation, greeted, sealing

# --- series -----------------------------------------------------------------------------------------------------------


@case({1016210: 1}, Verdict.PROBED)
def sixty_heartbeats_in_twenty_seconds() -> Conversation:
    return beats(60, seconds=20)


@case({1016210: 1}, Verdict.PROBED)
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


@case({1016001: 1, 1016100: 1, 1016300: 1}, Verdict.HARVESTED, near={1016302})
def ten_leaks_to_one_source() -> list[Conversation]:
    return leaks(10)


@case({1016001: 1, 1016100: 1, 1016102: 1}, Verdict.LEAKED, near={1016300})
def nine_leaks_to_one_source() -> list[Conversation]:
    return leaks(9)


@case({1016001: 1, 1016100: 1, 1016302: 1}, Verdict.HARVESTED, near={1016300})
def ten_leaks_to_one_source_within_a_little_more_than_an_hour() -> list[Conversation]:
    return leaks(10, seconds=401)


@case({1016001: 3, 1016100: 3, 1016301: 1}, Verdict.HARVESTED, near={1016300, 1016303})
def ten_leaks_to_one_behaviour_from_three_sources() -> list[Conversation]:
    return leaks(10, sources=3, apart=True)


@case({1016001: 2, 1016100: 2, 1016303: 1}, Verdict.HARVESTED, near={1016301})
def ten_leaks_to_two_sources_of_one_network() -> list[Conversation]:
    return leaks(10, sources=2)


@case({1016001: 2, 1016100: 2, 1016102: 1}, Verdict.LEAKED, near={1016300, 1016301, 1016303})
def ten_leaks_to_one_behaviour_from_two_sources() -> list[Conversation]:
    return leaks(10, sources=2, apart=True)


@case({}, Verdict.EXPOSED, near={1016400, 1016401})
def many_connections_alike_to_a_service_that_was_not_known() -> list[Conversation]:
    return [numbered(number, seconds=0.1).connect().say_hello() for number in range(110)]


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
