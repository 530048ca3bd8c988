"""Every test of decoding runs on both engines, and shows which one ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.decoding import Decoded, decode_conversations

if TYPE_CHECKING:
    from hbids.config import Limits
    from tests.support.conversation import Captured


class Decode(Protocol):
    """Runs conversations through the engine of this test."""

    def __call__(self, *conversations: Captured, limits: Limits | None = None) -> Decoded: ...


@pytest.fixture
def decode(engine_name: str) -> Decode:
    def run(*conversations: Captured, limits: Limits | None = None) -> Decoded:
        return decode_conversations(engine_name, conversations, limits)

    return run


@pytest.fixture(params=[False, True], ids=["udp", "tcp"])
def over_tcp(request: pytest.FixtureRequest) -> bool:
    """OpenVPN in datagrams, and in a connection."""
    carried: bool = request.param
    return carried
