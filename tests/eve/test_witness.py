"""Where reading must begin again, so that nothing is lost that is known of flows."""

from __future__ import annotations

import pytest

from hbids.config import Eve
from hbids.eve.witness import Witness
from tests.support.eve_lines import flow, tls


@pytest.fixture
def witness(engine_name: str) -> Witness:
    return Witness(Eve(), engine_name)


def read(witness: Witness, lines: bytes, place: int) -> None:
    witness.progress.place = place, []
    witness.read(lines, len(lines))


def test_at_the_first_session_that_waits(witness: Witness) -> None:
    read(witness, tls(1, 0), 10)
    read(witness, tls(2, 0) + tls(3, 0), 20)
    assert witness.oldest_place(0) == (10, [])
    assert witness.oldest_place(11) == (20, [])
    read(witness, flow(1), 30)
    assert witness.oldest_place(0) == (20, [])
    witness.release()
    assert witness.oldest_place(0) is None


def test_at_a_session_that_was_told_of_until_that_is_judged(witness: Witness) -> None:
    read(witness, tls(1, 0, "-15"), 10)
    read(witness, flow(1), 20)
    read(witness, flow(2), 30)
    assert witness.oldest_place(0) == (10, [])
    assert witness.slices() == []
    read(witness, flow(3, 1), 40)
    assert witness.oldest_place(0) == (10, [])
    (piece,) = witness.slices()
    assert len(piece.sessions) == 1
    assert witness.oldest_place(0) is None
