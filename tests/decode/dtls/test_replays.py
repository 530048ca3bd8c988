"""Record numbers: what was seen before, and what only looks so."""

from __future__ import annotations

from hbids.facts import Protection
from tests.decode.dtls.conftest import DecodeDatagrams
from tests.support import dtls, tls
from tests.support.conversation import TO_SERVER
from tests.support.decoding import column
from tests.support.dtls import LIE, greeted, sealing


def test_a_record_sent_twice_is_one(decode: DecodeDatagrams) -> None:
    exchange = sealing()
    exchange.beat(TO_SERVER, tls.noise(61), epoch=1)
    again = exchange.frames[-1]
    exchange.frames += [again, again]
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 1
    assert decoded.drops == {"dtls_records_replayed": 2}


def test_records_out_of_order_are_no_replays(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    beats = [exchange.next(TO_SERVER, tls.HEARTBEAT, LIE) for _ in range(64)]
    for beat in [*reversed(beats), *beats]:
        exchange.send(TO_SERVER, beat)
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 64
    assert decoded.drops == {"dtls_records_replayed": 64}


def test_a_forged_number_far_ahead_hides_nothing(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    for number in (5, (1 << 48) - 1, 6, 6, 7):
        exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, number))
    decoded = decode(exchange)
    assert len(decoded.heartbeats) == 4
    assert decoded.drops == {"dtls_records_replayed": 1}


def test_epochs_count_for_themselves(decode: DecodeDatagrams) -> None:
    exchange = greeted()
    for epoch in (0, 1, 2):
        exchange.send(TO_SERVER, dtls.record(tls.HEARTBEAT, LIE, 50, epoch=epoch))
    decoded = decode(exchange)
    assert column(decoded.heartbeats, "protection") == [Protection.CLEAR, Protection.SEALED, Protection.SEALED]
