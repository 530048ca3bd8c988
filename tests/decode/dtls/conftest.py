"""Tests of DTLS decode exchanges of datagrams, on both engines."""

from __future__ import annotations

from typing import Protocol

import pytest

from hbids.config import Limits
from tests.support.conversation import batch_of
from tests.support.decoding import Decoded, decode_batches
from tests.support.dtls import Exchange


class DecodeDatagrams(Protocol):
    """Runs exchanges through the engine of this test."""

    def __call__(self, *exchanges: Exchange, limits: Limits | None = None) -> Decoded: ...


@pytest.fixture
def decode(engine_name: str) -> DecodeDatagrams:
    def run(*exchanges: Exchange, limits: Limits | None = None) -> Decoded:
        frames = [frame for exchange in exchanges for frame in exchange.frames]
        return decode_batches(engine_name, [batch_of(sorted(frames, key=lambda frame: frame.time_ns))], limits)

    return run
