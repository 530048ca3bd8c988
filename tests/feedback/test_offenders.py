"""When Suricata is told of whom: turns, times, and who is struck out."""

from __future__ import annotations

from hbids.config import Feedback
from hbids.feedback.offenders import Due, Offenders

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
ONE, OTHER = "192.0.2.1", "192.0.2.2"


def book(**settings: int) -> Offenders:
    return Offenders(Feedback("hbids.offender", "leaked", 100 * SECOND, **settings))


def tell(book: Offenders, now_ns: int) -> list[tuple[str, int, str]]:
    due = book.due(now_ns)
    for each in due:
        book.told(each, now_ns)
    return [(each.ip, each.seconds, each.how) for each in due]


def test_a_bit_lasts_from_the_offence_and_is_told_once() -> None:
    offenders = book()
    offenders.enter(ONE, 1016100, NOW - 30 * SECOND)
    assert tell(offenders, NOW) == [(ONE, 70, "set")]
    assert tell(offenders, NOW + SECOND) == []


def test_who_goes_on_is_refreshed_when_a_fourth_of_the_time_is_gone() -> None:
    offenders = book()
    offenders.enter(ONE, 1016100, NOW)
    assert tell(offenders, NOW) == [(ONE, 100, "set")]
    offenders.goes_on(ONE, NOW + 10 * SECOND)
    assert tell(offenders, NOW + 10 * SECOND) == []
    offenders.goes_on(ONE, NOW + 40 * SECOND)
    assert tell(offenders, NOW + 41 * SECOND) == [(ONE, 99, "refreshed")]


def test_who_is_over_is_forgotten_and_what_comes_too_late_counted() -> None:
    offenders = book()
    offenders.enter(ONE, 1016100, NOW)
    tell(offenders, NOW)
    offenders.enter(OTHER, 1016100, NOW - 200 * SECOND)
    assert tell(offenders, NOW + 101 * SECOND) == []
    assert offenders.known() == []
    assert offenders.counts["too_late"] == 1
    offenders.goes_on(ONE, NOW + 102 * SECOND)
    assert tell(offenders, NOW + 102 * SECOND) == []
    offenders.enter(ONE, 1016100, NOW + 103 * SECOND)
    assert tell(offenders, NOW + 103 * SECOND) == [(ONE, 100, "set")]


def test_no_clock_makes_a_bit_longer_than_it_shall_be() -> None:
    offenders = book()
    offenders.enter(ONE, 1016100, NOW + 10_000 * SECOND)
    assert tell(offenders, NOW) == [(ONE, 100, "set")]


def test_more_than_so_many_a_minute_wait_and_are_counted() -> None:
    offenders = book(offenders_a_minute=60)
    for number in range(100):
        offenders.enter(f"198.51.100.{number}", 1016100, NOW)
    assert len(tell(offenders, NOW)) == 60
    assert offenders.counts["rate"] == 40
    assert len(tell(offenders, NOW + 10 * SECOND)) == 10
    assert len(tell(offenders, NOW + 40 * SECOND)) == 30
    assert offenders.counts["rate"] == 40


def test_no_more_than_so_many_at_a_time() -> None:
    offenders = book(offenders=2)
    for number in range(3):
        offenders.enter(f"198.51.100.{number}", 1016100, NOW)
    assert len(tell(offenders, NOW)) == 2
    assert offenders.counts["too_many"] == 1


def test_a_restart_of_suricata_makes_nobody_wait_again() -> None:
    offenders = book(offenders_a_minute=1)
    offenders.enter(ONE, 1016100, NOW)
    offenders.enter(OTHER, 1016100, NOW)
    tell(offenders, NOW)
    offenders.forgotten_by_suricata()
    assert tell(offenders, NOW + SECOND) == [(ONE, 99, "set_again")]


def test_who_is_spared_by_now_is_struck_out_and_his_bit_removed() -> None:
    offenders = book()
    for ip in (ONE, OTHER):
        offenders.enter(ip, 1016100, NOW)
    tell(offenders, NOW)
    offenders.pardon(lambda ip: ip == ONE)
    assert offenders.pardoned() == [ONE]
    offenders.is_removed(ONE)
    assert offenders.pardoned() == []
    assert [each["ip"] for each in offenders.known()] == [OTHER]


def test_what_is_refused_is_tried_again_after_a_minute() -> None:
    offenders = book()
    offenders.enter(ONE, 1016100, NOW)
    [due] = offenders.due(NOW)
    offenders.refused(due, NOW)
    assert offenders.due(NOW + 59 * SECOND) == []
    assert offenders.due(NOW + 61 * SECOND) == [Due(ONE, 1016100, 39, "set")]


def test_another_run_goes_on() -> None:
    offenders, next_run = book(), book(offenders_a_minute=1)
    for ip in (ONE, OTHER):
        offenders.enter(ip, 1016100, NOW)
    tell(offenders, NOW)
    next_run.restore(offenders.document())
    assert tell(next_run, NOW + 50 * SECOND) == [(ONE, 50, "set_again"), (OTHER, 50, "set_again")]
