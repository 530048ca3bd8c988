"""Every test of decoding runs on both engines, and shows which one ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.decoding import Decoded, decode_conversations

if TYPE_CHECKING:
    from hbids.config import Limits
    from tests.support.conversation import Conversation


class Decode(Protocol):
    """Runs conversations through the engine of this test."""

    def __call__(self, *conversations: Conversation, limits: Limits | None = None) -> Decoded: ...


@pytest.fixture
def decode(engine_name: str) -> Decode:
    def run(*conversations: Conversation, limits: Limits | None = None) -> Decoded:
        return decode_conversations(engine_name, conversations, limits)

    return run
