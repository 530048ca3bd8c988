"""What holds for whatever comes: both engines agree, and how a stream or a capture is cut changes nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hbids.decode.engine import native_available
from hbids.facts import FrameBatch
from tests.capture.build import Frame
from tests.conftest import missing
from tests.support import mutation
from tests.support.conversation import START_NS, Conversation, batch_of
from tests.support.decoding import TABLES, all_facts, differences, engine_called
from tests.support.mutation import Damage, Damaged
from tests.support.scripts import decoys, lossy_scripts, throw_in, torn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hbids.config import Limits
    from hbids.facts import Facts
    from tests.support.scripts import Decoy, Turn

CAPTURES = mutation.small_captures()


@pytest.fixture(scope="module")
def both() -> tuple[str, str]:
    if not native_available():
        missing("the native engine")
    return "native", "reference"


def outcome(name: str, batches: list[FrameBatch], limits: Limits | None = None) -> tuple[Facts, dict[str, int]]:
    engine = engine_called(name, limits)
    return all_facts(engine, batches), {counter: n for counter, n in engine.counters().items() if n}


def assert_same(first: tuple[Facts, dict[str, int]], second: tuple[Facts, dict[str, int]]) -> None:
    for table in TABLES:
        assert differences(getattr(first[0], table), getattr(second[0], table)) == [], table
    assert first[1] == second[1]


# --- both engines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_both_engines_agree_on_a_capture(path: Path, both: tuple[str, str]) -> None:
    batch = mutation.batch_from(path)
    for limits in mutation.TINY_LIMITS:
        assert_same(*(outcome(name, [batch], limits) for name in both))


@settings(max_examples=800, deadline=None)
@given(damaged=mutation.damaged, limits=mutation.limits)
@example(  # a flow from the beginning of time on, with more checkpoints than 32 bits count
    damaged=Damaged("benign_hb_openssl_tls.pcap", [Damage("retime", 0, 0, -(1 << 63))]), limits=mutation.TINY_LIMITS[-1]
)
def test_both_engines_agree_on_damaged_captures(damaged: Damaged, limits: Limits, both: tuple[str, str]) -> None:
    batch = damaged.batch()
    assert_same(*(outcome(name, [batch], limits) for name in both))


@settings(max_examples=600, deadline=None)
@given(data=st.data(), script=lossy_scripts, thrown=st.lists(decoys, max_size=4), limits=mutation.limits)
def test_both_engines_agree_on_made_up_connections(
    data: st.DataObject, script: list[Turn], thrown: list[Decoy], limits: Limits, both: tuple[str, str]
) -> None:
    checksums = data.draw(st.booleans())
    begun = Conversation(checksums=checksums)
    if data.draw(st.booleans()):
        begun.connect()
    conversation = data.draw(torn(script, lambda: begun))
    for decoy in thrown:
        throw_in(conversation, decoy)
    for lost in data.draw(st.lists(st.integers(0, 50), max_size=3)):
        del conversation.packets[lost : lost + 1]
    batch = batch_of(conversation.frames())
    assert_same(*(outcome(name, [batch], limits) for name in both))


@settings(max_examples=300, deadline=None)
@given(link_type=st.sampled_from([0, 1, 101, 108, 113, 276, 105]), frames=st.lists(st.binary(max_size=90), max_size=5))
def test_both_engines_agree_on_noise(link_type: int, frames: list[bytes], both: tuple[str, str]) -> None:
    batch = batch_of([Frame(START_NS, frame, len(frame), link_type) for frame in frames])
    assert_same(*(outcome(name, [batch]) for name in both))


# --- how it is cut ----------------------------------------------------------------------------------------------------


def chunks(batch: FrameBatch, sizes: Iterator[int]) -> list[FrameBatch]:
    """The batch in chunks of so many frames, each with its own copy of their bytes."""
    found, at = [], 0
    while at < len(batch.frames):
        frames = batch.frames[at : at + next(sizes)].copy()
        begin = int(frames["offset"].min())
        end = int((frames["offset"] + frames["captured_bytes"]).max())
        frames["offset"] -= begin
        found.append(FrameBatch(batch.data[begin:end], frames))
        at += len(frames)
    return found


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_chunks_of_any_size_give_the_same_facts(path: Path, engine_name: str) -> None:
    batch = mutation.batch_from(path)
    whole = outcome(engine_name, [batch])
    dice = random.Random(path.name)  # noqa: S311  data, not secrets
    assert_same(outcome(engine_name, chunks(batch, iter(lambda: 1, 0))), whole)
    assert_same(outcome(engine_name, chunks(batch, iter(lambda: dice.randrange(1, 30), 0))), whole)
