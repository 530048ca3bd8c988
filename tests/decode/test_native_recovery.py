"""A panic inside the native engine costs one chunk: it is counted, and the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hbids
from hbids.config import Limits
from hbids.decode.engine import native_available, open_engine
from hbids.facts import Facts
from hbids.pipeline import offline
from tests.conftest import missing
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, batch_of, write_pcap
from tests.support.decoding import column

if TYPE_CHECKING:
    from pathlib import Path

    from hbids.decode.engine import Engine
    from hbids.decode.native import NativeEngine


def attack(number: int) -> Conversation:
    """A request and its answer, so many seconds into the run."""
    conversation = Conversation(client_port=10_000 + number, start_ns=START_NS + number * SECOND_NS).connect()
    conversation.say_hello()
    conversation.client(tls.request(0x1000 + number))
    conversation.server(tls.answer(0x1000 + number)[0])
    return conversation


@pytest.fixture
def engine() -> NativeEngine:
    if not native_available():
        missing("the native engine")
    from hbids.decode.native import NativeEngine

    return NativeEngine(Limits())


def test_a_panic_is_counted_and_later_chunks_are_read(engine: NativeEngine) -> None:
    engine.feed(batch_of(attack(0).frames()))
    engine.panic_in_next_chunk()
    engine.feed(batch_of(attack(1).frames()))
    facts = engine.feed(batch_of(attack(2).frames()))
    assert 0x1002 in column(facts.heartbeats, "claimed_length")
    assert engine.counters()["chunk_panics"] == 1
    assert engine.counters()["packets"] == len(attack(0).packets) * 3


def test_rows_made_before_the_panic_are_kept(engine: NativeEngine) -> None:
    engine.panic_in_next_chunk()
    frames = [*attack(1).frames(), *attack(2).frames()]
    lost = engine.feed(batch_of(frames))
    facts = engine.feed(batch_of(attack(3).frames()))
    kept = [*column(lost.heartbeats, "claimed_length"), *column(facts.heartbeats, "claimed_length")]
    assert kept == [0x1001, 0x1001, 0x1002, 0x1002, 0x1003, 0x1003]
    sessions = [*column(lost.sessions, "client_port"), *column(facts.sessions, "client_port")]
    assert sessions == [10_001, 10_002, 10_003]


def test_open_flows_are_forgotten_and_joined_again(engine: NativeEngine) -> None:
    conversation = attack(0)
    engine.feed(batch_of(conversation.frames()))
    engine.panic_in_next_chunk()
    engine.feed(batch_of(attack(1).frames()))
    conversation.packets.clear()
    conversation.client(tls.request(77))
    facts = engine.feed(batch_of(conversation.frames()))
    assert column(facts.heartbeats[-1:], "claimed_length") == [77]
    assert column(facts.heartbeats[-1:], "midstream") == [1]
    (flows,) = (step.flows for step in engine.finish())
    assert column(flows, "client_port") == [10_000]


def test_a_panic_at_the_end_ends_the_run_all_the_same(engine: NativeEngine) -> None:
    engine.feed(batch_of(attack(0).frames()))
    engine.panic_in_next_chunk()
    assert [type(step) for step in engine.finish()] == [Facts]
    assert engine.counters()["chunk_panics"] == 1
    assert len(engine.feed(batch_of(attack(1).frames())).heartbeats) == 2


def test_the_summary_tells_of_the_panic_and_of_all_the_rest(
    engine: NativeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_engine(name: str, limits: Limits) -> Engine:
        opened = open_engine(name, limits)
        engine.panic_in_next_chunk()
        return engine if opened.name == "native" else opened

    monkeypatch.setattr(offline, "open_engine", failing_engine)
    captures = [write_pcap(tmp_path / f"{number}.pcap", attack(number).frames()) for number in range(3)]
    summary = hbids.replay(*captures, engine="native").summary()
    assert summary["drops"] == {"chunk_panics": 1}
    assert summary["packets"] == 3 * len(attack(0).packets)
    assert summary["heartbeats"]["overread_requests"] == 3
    assert summary["leaked_bytes"] == 0x1000 + 0x1001 + 0x1002
