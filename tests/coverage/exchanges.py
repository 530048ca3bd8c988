"""What happens on the connections of the cases: an attack, or what must not be taken for one."""

from __future__ import annotations

from tests.support import tls
from tests.support.conversation import Conversation

SEGMENT_BYTES = 1_400
CLAIMED = 0x4000
SEALED_LEAK = (1016201, 1016203)

LIE = tls.request(CLAIMED)
"""A request that claims all it leaks."""
ANSWER = b"".join(tls.answer(CLAIMED))
ASKED = 61
"""A sealed OpenSSL heartbeat, under AES-GCM."""
FULL = 16_384 + 24
"""A sealed record of all the plaintext a record may hold, under AES-GCM."""


def segments(data: bytes) -> range:
    """Where to cut data so that it fits into packets of an Ethernet."""
    return range(SEGMENT_BYTES, len(data), SEGMENT_BYTES)


def leak(conversation: Conversation, claimed: int = CLAIMED) -> Conversation:
    """A lie and its answer, which has as many bytes of memory as it claims."""
    conversation.client(tls.request(claimed))
    return answered(conversation, b"".join(tls.answer(claimed)))


def answered(conversation: Conversation, data: bytes = ANSWER) -> Conversation:
    """The server's bytes, in packets as large as an Ethernet takes."""
    conversation.server(data, cut=segments(data))
    return conversation


def honest(conversation: Conversation) -> Conversation:
    """A keep-alive and its answer."""
    conversation.client(tls.honest_request())
    conversation.server(b"".join(tls.answer(18)))
    return conversation


def sealed_leak(conversation: Conversation) -> Conversation:
    """A sealed request and an answer of 16 KB and 18 bytes."""
    conversation.client(tls.sealed(ASKED))
    return answered(conversation, tls.sealed(FULL, 24 + 18))


SEALED_LEAK_BYTES = 16_384 + 18 - (ASKED - 24) - 16
"""What hbids makes of it: the answer's plaintext less the request's and the padding."""
