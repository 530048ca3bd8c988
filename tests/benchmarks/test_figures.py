"""The figures say what was measured, and nothing where noise is larger than the thing."""

import pytest

from benchmarks.content import Content
from benchmarks.figures import NATIVE, Figure, Results, Round, figures
from benchmarks.measure import Cost, Failed, run

CONTENT = Content(path="capture.pcap", packets=1_000_000, bytes=1, flows=110_000)


def _results(*, bulk_native_s: list[float], start_s: float = 0.2) -> Results:
    """Every program reads for 1, 2 and 4 s, but for native on ``bulk``; tcpdump starts at no cost."""
    captures = {
        "bulk": (NATIVE, "tcpdump"),
        "short": (NATIVE, "tcpdump"),
        "bulk-sample": ("dpkt loop",),
        "short-sample": ("dpkt loop",),
    }
    results = Results(dict.fromkeys(captures, CONTENT))
    for capture, programs in captures.items():
        for program in programs:
            begin_s = 0.0 if program == "tcpdump" else start_s
            start = Cost(begin_s, 1.0, 40_000_000)
            for reading_s in bulk_native_s if (capture, program) == ("bulk", NATIVE) else [1.0, 2.0, 4.0]:
                results.add(capture, program, Round(start, Cost(begin_s + reading_s, 1.0, 150_000_000)))
    return results


def _by_name(results: Results) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(results)}


def test_ratios_are_taken_within_a_round_and_their_median_counts() -> None:
    found = _by_name(_results(bulk_native_s=[0.5, 0.5, 1.0]))
    assert found["bulk: CPU native / tcpdump, reading"].value == pytest.approx(0.25)
    assert found["bulk: CPU native / tcpdump"].value == pytest.approx(0.35)
    assert found["bulk: CPU native / tcpdump"].met is True


def test_slow_programs_are_compared_by_packet() -> None:
    found = _by_name(_results(bulk_native_s=[0.1, 0.1, 0.1]))
    assert found["bulk: CPU a packet dpkt loop / native, reading"].value == pytest.approx(20)


def test_a_reading_lost_in_noise_gives_no_ratio_and_meets_no_aim() -> None:
    found = _by_name(_results(bulk_native_s=[0.3, -0.01, 0.3]))
    for name in ("bulk: CPU native / tcpdump, reading", "bulk: CPU a packet dpkt loop / native, reading"):
        assert found[name].value is None
        assert found[name].met is None


def test_aims_are_judged_on_whole_processes() -> None:
    found = _by_name(_results(bulk_native_s=[0.4, 0.8, 1.6], start_s=1.0))
    assert found["bulk: CPU native / tcpdump, reading"].value == pytest.approx(0.4)
    assert found["bulk: CPU native / tcpdump, reading"].met is None
    assert found["bulk: CPU native / tcpdump"].met is False


def test_memory_of_a_live_flow_is_what_the_small_capture_did_not_need() -> None:
    figure = _by_name(_results(bulk_native_s=[1.0, 1.0, 1.0]))["short: native memory a live flow"]
    assert figure.value == pytest.approx(1000)
    assert figure.met is False


def test_programs_that_were_not_there_are_left_out() -> None:
    assert not any("Suricata" in name for name in _by_name(_results(bulk_native_s=[1.0, 1.0, 1.0])))


def test_a_program_that_ends_badly_is_told_with_its_words() -> None:
    with pytest.raises(Failed, match=r"(?s)exit status 3.*no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_the_cpu_time_of_a_childs_children_counts() -> None:
    cost = run(["sh", "-c", "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); true"])
    assert cost.cpu_s > 0
    assert cost.wall_s > 0
    assert cost.peak_rss_bytes > 500_000
