"""Every test of decoding runs on both engines, and shows which one ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.conversation import batch_of
from tests.support.decoding import Decoded, decode_batches, decode_conversations
from tests.support.eap import frames_of

if TYPE_CHECKING:
    from hbids.config import Limits
    from tests.support.conversation import Captured
    from tests.support.eap import Dialogue


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


class DecodeEap(Protocol):
    """Runs EAP dialogues through the engine of this test."""

    def __call__(self, *dialogues: Dialogue, limits: Limits | None = None) -> Decoded: ...


@pytest.fixture
def decode_eap(engine_name: str) -> DecodeEap:
    def run(*dialogues: Dialogue, limits: Limits | None = None) -> Decoded:
        return decode_batches(engine_name, [batch_of(frames_of(*dialogues))], limits)

    return run
