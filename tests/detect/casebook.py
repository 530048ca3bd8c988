"""How cases of detection are written down, and the connections they are built of.

A case is a function that gives connections; its decorator says the alerts they raise, all of them, and which other
signatures they come near to. The exposure of a server that accepts heartbeats (1016500) is left out but where named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hbids.facts import Verdict
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, connected, greeted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LIE = tls.request(0x4000)
WHOLE = 16_408
"""A full AES-GCM record."""
ASKED = 61
"""An OpenSSL heartbeat under AES-GCM."""
EXPOSURE = 1016500
FIRED_BY_ROWS = frozenset({1016002, 1016400, 1016401})
"""After the handshake both sides seal, so on the wire nobody can tell a clear lie there; test_rows.py has its case.
What is out of line with weeks of traffic has its cases in tests/stats/test_shapes.py."""


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


def numbered(number: int, *, source: int = 1, seconds: float = 1, apart: bool = False) -> Conversation:
    """The connections of a series, so many seconds apart, of one source or another; ``apart``: in other networks."""
    start_ns = START_NS + round(number * seconds * SECOND_NS)
    client = f"10.0.{source}.1" if apart else f"10.0.0.{source}"
    return Conversation(client=client, server="10.9.9.9", client_port=20_000 + number, start_ns=start_ns)


def refusing() -> Conversation:
    """The server did not agree to heartbeats."""
    return connected().say_hello(server=tls.server_hello_body(extensions=[]))


def leak(conversation: Conversation) -> Conversation:
    """A lie and its answer, whole in one segment."""
    conversation.say_hello()
    conversation.client(tls.request(0x100))
    conversation.server(tls.answer(0x100)[0])
    return conversation


def leaks(number: int, sources: int = 1, *, seconds: float = 1, apart: bool = False) -> list[Conversation]:
    """So many leaks, so many seconds apart, to the sources in turn."""
    return [
        leak(numbered(index, source=1 + index % sources, seconds=seconds, apart=apart).connect())
        for index in range(number)
    ]


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
