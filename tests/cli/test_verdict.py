"""The verdict for people: true, short, and readable anywhere."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hbids.cli.verdict import print_verdict
from tests.support.summaries import endpoint, exposure, scanners, summary_of


@pytest.fixture(autouse=True)
def _usual_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def printed(*endpoints: dict[str, Any], **changes: Any) -> str:
    stream = io.StringIO()
    print_verdict(summary_of(*endpoints, **{"drops": {"gap_bytes": 0}} | changes), stream)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_leak_is_the_first_thing_said() -> None:
    first = printed(endpoint()).splitlines()[0]
    assert first == "10.66.0.10:443 LEAKED 32,736 bytes of its memory to 1 source."


def test_the_table_says_who_asked_with_what_and_when() -> None:
    text = one_line(printed(endpoint()))
    assert "10.66.0.10:443 leaked 2 2 0 32,736" in text
    assert "by 10.66.9.66; with checker nmap ssl-heartbleed; 2026-11-23 19:10:02 to 19:10:05 UTC" in text


def test_what_an_endpoint_is_for_stands_below_it() -> None:
    text = one_line(printed(endpoint(assets=["mail", "authenticates"])))
    assert "asset: mail, authenticates; by 10.66.9.66; with" in text


def test_what_went_to_scanners_of_our_own_is_told_apart() -> None:
    both = ["10.9.0.5", "10.66.9.66"]
    text = one_line(printed(endpoint(sources=both, authorized_scanners=scanners("10.9.0.5", answers=1, leaked=16368))))
    assert "by 10.9.0.5 (authorized scanner), 10.66.9.66; 16,368 bytes of it to authorized scanners" in text
    assert "Block and look into 10.66.9.66:" in text


def test_a_leak_to_scanners_of_our_own_alone_is_patched_and_nobody_is_blocked() -> None:
    ours = scanners("10.9.0.5", answers=2, leaked=32736)
    text = one_line(printed(endpoint(sources=["10.9.0.5"], authorized_scanners=ours)))
    assert text.startswith("10.66.0.10:443 LEAKED 32,736 bytes")
    assert "Patch 10.66.0.10 now" in text
    assert "Only scanners of yours took memory here" in text
    assert "Block" not in text
    attempted = endpoint(verdict="attempted", leaking_answers=0, sources=["10.9.0.5"], authorized_scanners=ours)
    assert "Find out whether" not in printed(attempted)


NOT_LEAKED = {"first_leak": None, "last_leak": None, "exposed_from": None, "leaked_bytes": 0}
LATER = "2026-11-25T08:00:00.000000Z"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "exposed since 2026-11-23 19:10:02 UTC or before, not seen patched"),
        (
            {"first_patched": LATER, "exposed_until": LATER},
            "exposed since 2026-11-23 19:10:02 UTC or before, seen patched at 2026-11-25 08:00:00 UTC",
        ),
        (
            {"first_patched": LATER, "leaking_and_patched": True},
            "exposed since 2026-11-23 19:10:02 UTC or before, though some requests are refused: are there several",
        ),
        (
            {"leaked_before_disclosure_bytes": 16368, "leaked_before_disclosure_bytes_estimated": 0},
            "not seen patched; 16,368 bytes leaked before disclosure",
        ),
        (
            NOT_LEAKED | {"first_patched": LATER},
            "refuses what a vulnerable peer answers, first seen 2026-11-25 08:00:00",
        ),
    ],
)
def test_the_exposure_is_a_line_below(known: dict[str, Any], said: str) -> None:
    assert said in one_line(printed(endpoint(exposure=exposure(**known))))


def test_of_the_exposure_nothing_is_said_where_nothing_is_known() -> None:
    text = printed(endpoint(verdict="attempted", exposure=exposure(**NOT_LEAKED)))
    assert "exposed since" not in text
    assert "refuses" not in text


def test_what_is_patched_already_shall_be_confirmed() -> None:
    closed = exposure(first_patched=LATER, exposed_until=LATER)
    text = one_line(printed(endpoint(ip="10.0.0.1", exposure=closed), endpoint(ip="10.0.0.2")))
    assert "Patch 10.0.0.2 now" in text
    assert "Confirm that 10.0.0.1, which refused later, is patched for good" in text


def test_the_gravest_comes_first_whatever_the_order() -> None:
    text = printed(
        endpoint(ip="10.0.0.1", verdict="exposed"),
        endpoint(ip="10.0.0.2", verdict="harvested", leaked_bytes=5),
        endpoint(ip="10.0.0.3", leaked_bytes=9),
        endpoint(ip="10.0.0.4", leaked_bytes=10),
    )
    assert text.startswith("10.0.0.2:443 was HARVESTED")
    assert "3 more endpoints below" in one_line(text)
    places = [text.index(f"\n{ip}:443") for ip in ("10.0.0.2", "10.0.0.4", "10.0.0.3", "10.0.0.1")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("verdict", "alerts", "advice"),
    [
        ("harvested", {}, "revoke the old ones"),
        ("leaked", {}, "reset sessions, API tokens and passwords"),
        ("attempted", {}, "Confirm that 10.66.0.10 is patched"),
        ("probed", {}, "is a scanner of yours"),
        ("probed", {"1016110": 1}, "answered what a patched one discards"),
        ("exposed", {}, "the extension alone does not show"),
    ],
)
def test_the_advice_fits_the_verdict(verdict: str, alerts: dict[str, int], advice: str) -> None:
    text = one_line(printed(endpoint(verdict=verdict), alerts=alerts))
    assert advice in text
    assert ("private keys" in text) == (verdict in {"harvested", "leaked"})


def test_a_vpn_is_marked_and_its_advice_speaks_of_its_key() -> None:
    text = one_line(printed(endpoint(port=1194, protocol="udp", carrier="openvpn")))
    assert "10.66.0.10:1194 (openvpn) LEAKED" in text
    assert "replace the shared tls-auth key" in text
    assert "tls-auth" not in printed(endpoint(), endpoint(carrier="openvpn", verdict="attempted"))


def test_a_client_victim_is_marked_and_its_advice_is_its_own() -> None:
    text = one_line(printed(endpoint(ip="10.66.5.3", port=49222, role="client")))
    assert "10.66.5.3:49222 (client) LEAKED" in text
    assert "A client leaked" in text
    assert "certificates" not in text


def test_who_speaks_through_an_access_server_is_behind_it() -> None:
    radius = {"port": 1812, "protocol": "udp", "carrier": "eap", "sources": ["10.0.0.9"]}
    text = one_line(printed(endpoint(**radius)))
    assert "10.66.0.10:1812 (eap) LEAKED" in text
    assert "Patch 10.66.0.10 now" in text
    assert "Block and look into the supplicant behind 10.0.0.9 (its log says Calling-Station-Id)" in text
    assert "secrets of its access servers" in text
    text = one_line(printed(endpoint(**radius, role="client") | {"ip": "10.0.0.9", "port": 0, "sources": ["10.0.0.2"]}))
    assert "10.0.0.9 (eap, client) LEAKED" in text
    assert "Patch the supplicant behind 10.0.0.9" in text
    assert "Block and look into 10.0.0.2" in text


def test_on_a_network_itself_addresses_are_its_own() -> None:
    eapol = {"ip": "fe80::ff:fe00:b", "port": 0, "protocol": "eapol", "carrier": "eap", "sources": ["fe80::ff:fe00:a"]}
    text = one_line(printed(endpoint(**eapol)))
    assert "02:00:00:00:00:0b (eap) LEAKED" in text
    assert "by 02:00:00:00:00:0a;" in text
    assert "Patch the EAP server behind 02:00:00:00:00:0b now" in text
    assert "Block and look into 02:00:00:00:00:0a" in text
    assert "fe80" not in text


def test_an_estimate_is_marked_as_one() -> None:
    text = printed(endpoint(leaked_bytes=0, leaked_bytes_estimated=65500))
    assert "~65,500" in text
    assert "estimated" in text
    assert "~" not in printed(endpoint())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No sign of Heartbleed: no endpoint was asked for memory"),
        ({"tls_sessions": 0}, "no TLS session was seen either"),
        ({"packets": 0, "tls_sessions": 0}, "no packet was read"),
    ],
)
def test_nothing_found_says_what_that_is_worth(changes: dict[str, int], sentence: str) -> None:
    text = one_line(printed(**changes))
    assert sentence in text
    assert "Looked at" in text
    assert "What to do" not in text


def test_what_was_not_seen_is_told_and_zeros_are_not() -> None:
    text = one_line(printed(endpoint(), drops={"stream_gaps": 1234, "ip_fragment": 0, "new_counter": 3, "not_ip": 9}))
    assert "Not seen 1,234 holes in TCP streams or EAP (packets missing from the capture); 3 new_counter" in text
    assert "fragment" not in text
    assert "not_ip" not in text
    assert "Not seen" not in printed(endpoint())


def test_tools_are_told_with_their_class_and_unknown_ones_as_such() -> None:
    assert "by 10.66.9.66; with checker nmap ssl-heartbleed; 2026" in one_line(printed(endpoint()))
    classes = {"exploit": ["heartleech"], "unknown": []}
    assert "; with exploit heartleech, an unknown tool; " in one_line(printed(endpoint(tool_classes=classes)))
    assert "with" not in one_line(printed(endpoint(tool_classes={}))).partition("What to do")[0]


def test_fits_eighty_columns_without_colour_when_piped() -> None:
    many = [f"10.66.9.{n}" for n in range(9)]
    text = printed(
        endpoint(ip="2001:470:e5bf:dead:4957:2174:e82c:4887", sources=many, verdict="harvested", leaked_bytes=10**9),
        *(
            endpoint(ip=f"10.1.0.{n}", sources=many, tool_classes={"exploit": ["Stafford ssltest.py", "heartleech"]})
            for n in range(30)
        ),
        drops={f"counter_number_{n}": n for n in range(20)},
    )
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "and 6 more" in text
    assert "11 more endpoints, none graver" in one_line(text)


def test_names_from_the_wire_or_the_disk_are_not_markup() -> None:
    assert "in [bold]x[/bold].pcap" in one_line(printed(sources=["[bold]x[/bold].pcap"]))
