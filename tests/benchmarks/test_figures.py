"""The figures say what was measured, and nothing where noise is larger than the thing."""

import pytest

from benchmarks.figures import NATIVE, Figure, Results, figures
from benchmarks.measure import Cost, Failed, run


def _results(*, bulk_native_s: list[float], start_s: float = 0.2) -> Results:
    results = Results()
    programs = (NATIVE, "tcpdump", "hbids reference", "dpkt loop")
    for capture in ("small", "bulk", "short", "bulk-sample", "short-sample"):
        for program in programs:
            start = 0.0 if program == "tcpdump" else start_s
            reading = [0.0] * 3 if capture == "small" else [1.0, 2.0, 4.0]
            if (capture, program) == ("bulk", NATIVE):
                reading = bulk_native_s
            for cpu_s in reading:
                results.add(
                    capture, program, Cost(start + cpu_s, 1.0, 150_000_000 if capture == "short" else 40_000_000)
                )
    return results


def _by_name(results: Results) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(results, flows=110_000)}


def test_ratios_are_taken_within_a_round_and_their_median_counts() -> None:
    found = _by_name(_results(bulk_native_s=[0.5, 0.5, 1.0]))
    assert found["bulk: CPU native / tcpdump, reading"].value == pytest.approx(0.25)
    assert found["bulk: CPU native / tcpdump"].value == pytest.approx(0.35)
    assert found["bulk: CPU native / tcpdump"].met is True


def test_a_reading_lost_in_noise_gives_no_ratio_and_meets_no_aim() -> None:
    found = _by_name(_results(bulk_native_s=[0.3, -0.01, 0.3]))
    assert found["bulk: CPU native / tcpdump, reading"].value is None
    assert found["bulk: CPU native / tcpdump, reading"].met is None


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
