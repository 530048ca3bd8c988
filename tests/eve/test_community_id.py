"""Community ID against the baseline of the specification (corelight/community-id-spec, baseline/*.json)."""

from __future__ import annotations

import pytest

from hbids.eve.community_id import community_id

# protocol, one endpoint, the other, id with seed 0, id with seed 1; the specification's TCP, UDP and SCTP rows
BASELINE = [
    (
        6,
        ("128.232.110.120", 34855),
        ("66.35.250.204", 80),
        "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "1:3V71V58M3Ksw/yuFALMcW0LAHvc=",
    ),
    (
        6,
        ("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943),
        ("2607:f8b0:400c:c03::1a", 25),
        "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
        "1:eJYTW6AOzFLlSUoESovMjnu7rMw=",
    ),
    (
        17,
        ("192.168.1.52", 54585),
        ("8.8.8.8", 53),
        "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
        "1:Q9We8WO3piVF8yEQBNJF4uiSVrI=",
    ),
    (
        132,
        ("192.168.170.8", 7),
        ("192.168.170.56", 7),
        "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=",
        "1:5w3ZRjeKBzqT3zsaEECDGjUbYeg=",
    ),
]


@pytest.mark.parametrize(("protocol", "one", "other", "plain", "seeded"), BASELINE)
def test_agrees_with_the_specification(
    protocol: int, one: tuple[str, int], other: tuple[str, int], plain: str, seeded: str
) -> None:
    assert community_id(protocol, *one, *other) == plain
    assert community_id(protocol, *other, *one) == plain
    assert community_id(protocol, *one, *other, seed=1) == seeded


def test_ports_decide_when_addresses_are_equal() -> None:
    assert community_id(6, "10.0.0.1", 1, "10.0.0.1", 2) == community_id(6, "10.0.0.1", 2, "10.0.0.1", 1)
