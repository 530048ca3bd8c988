"""``--report``: a page that says what the summary says, whatever stands in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.simulation import Exchanges, address_bytes, flows_of, numbered_addresses, rows_of
from hbids.cli.report import Evidence, page
from hbids.cli.report.evidence import rests_on
from hbids.config import Config, Output, Report
from hbids.eve.event import alert
from hbids.facts import FLOW_DTYPE, SESSION_DTYPE, Facts, Finding, Rows
from hbids.measures import Measured
from hbids.pipeline import Analysis
from hbids.signatures import shipped
from hbids.stats.endpoints import Place
from hbids.stats.history import History
from tests.cli.report.captures import MADE, drawn, leak_of, page_of
from tests.conftest import PCAPS, REPOSITORY, run_hbids
from tests.support.conversation import SECOND_NS, START_NS, write_pcap
from tests.support.eap import Eapol, Radius, attacked
from tests.support.markup import Page
from tests.support.summaries import endpoint, summary_of

if TYPE_CHECKING:
    from pathlib import Path

LEAK = PCAPS / "scan_vuln_stafford.pcap"
CAPTURES = sorted(path for path in PCAPS.iterdir() if path.suffix.startswith(".pcap"))
HOSTILE = b"<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;"


def cell_texts(page: Page, caption: str) -> list[list[str]]:
    """The rows of the tables whose caption begins so."""
    tables = [table for table in page.root.all("table") if table.all("caption")[0].text.startswith(caption)]
    return [
        [cell.text for cell in row.all("th") + row.all("td")]
        for table in tables
        for row in table.all("tbody")[0].all("tr")
    ]


def visits(day: int, *, alike: int) -> Rows:
    """A day of a web site: downloads of every size by many clients, and some by one that are all alike."""
    random = np.random.default_rng(day)
    count = 1_000 + alike
    sizes = np.full(count, 900), np.full(count, 21_000)
    sizes[0][:1_000] = random.lognormal(7, 0.5, 1_000) + 600
    sizes[1][:1_000] = random.lognormal(10, 1.2, 1_000) + 4_000
    clients = np.append(random.integers(1, 500, 1_000), np.zeros(alike, int))
    times_ns = START_NS + (day * 86_400 + np.sort(random.integers(0, 3_600, count))) * SECOND_NS
    return flows_of(times_ns, numbered_addresses(clients), address_bytes("203.0.113.1"), sizes)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_every_number_is_the_summarys(capture: Path, tmp_path: Path) -> None:
    summary_path = tmp_path / "summary.json"
    page = page_of(capture, tmp_path, "--summary", summary_path)
    summary = json.loads(summary_path.read_text())
    rows = cell_texts(page, "What happened to each endpoint")
    assert len(rows) == len(summary["endpoints"])
    for row, told in zip(rows, summary["endpoints"], strict=True):
        leaked = told["leaked_bytes"] + told["leaked_bytes_estimated"]
        assert told["ip"] in row[0] or told["protocol"] == "eapol"
        assert row[1:5] == [
            told["verdict"],
            f"{'~' if told['leaked_bytes_estimated'] else ''}{leaked:,}",
            f"{len(told['sources']):,}",
            f"{told['heartbeat_requests'] + told['sealed_requests']:,}",
        ]
    by_source = cell_texts(page, "Who asked")
    taken = sum(int(row[3].strip("~").replace(",", "")) for row in by_source)
    assert taken == summary["leaked_bytes"] + summary["leaked_bytes_estimated"]
    assert {sid for row in cell_texts(page, "Evidence about") for sid in re.findall(r"\b1016\d{3}\b", row[1])} <= set(
        summary["alerts"]
    )


def test_it_answers_from_top_to_bottom(tmp_path: Path) -> None:
    page = page_of(LEAK, tmp_path)
    (headline,) = page.root.all("h1")
    assert headline.text == "10.66.0.10:443 LEAKED 32,736 bytes of its memory to 1 source."
    assert [heading.text for heading in page.root.all("h2")] == [
        "What to do now",
        "Endpoints, worst first",
        "One by one",
        "Connections by size",
        "What each line rests on",
        "What could not be seen",
    ]
    assert page.section("What to do now").all("li")[0].text.startswith("Patch 10.66.0.10 now")
    (story,) = page.root.all("section", "endpoint")
    assert "private key" in story.text
    assert "web, TLS over TCP" in story.text
    assert "ssltest.py" in story.text


def test_evidence_leads_to_the_flow_in_other_tools(tmp_path: Path) -> None:
    eve = tmp_path / "eve.json"
    page = page_of(LEAK, tmp_path, "--eve", eve)
    events = [json.loads(line) for line in eve.read_text().splitlines()]
    rows = cell_texts(page, "Evidence about 10.66.0.10:443")
    assert len(rows) == len(events)
    for event in events:
        flow = f"{event['flow']['src_ip']}:{event['flow']['src_port']} → 10.66.0.10:443 TCP"
        (row,) = [
            row
            for row in rows
            if row[1].split(" ", 1)[0] == str(event["alert"]["signature_id"])
            and row[0] == event["timestamp"][:19].replace("T", " ")
            and row[1].endswith(event["alert"]["signature"].removeprefix("HBIDS "))
        ] or [[""] * 4]
        assert flow in row[2]
        assert event["community_id"] in row[2]
        assert row[3] == "read on the wire"


@pytest.mark.parametrize(
    ("carrier", "server", "client"),
    [(Radius(), "10.0.0.2:1812 (eap)", "10.0.0.9:"), (Eapol(), "02:00:00:00:00:0b (eap)", "02:00:00:00:00:0a →")],
    ids=["radius", "eapol"],
)
def test_eap_has_its_evidence_too(carrier: Radius | Eapol, server: str, client: str, tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "eap.pcap", attacked(carrier).frames())
    page = page_of(capture, tmp_path)
    rows = cell_texts(page, f"Evidence about {server}")
    assert rows
    assert all(row[2].startswith(client) for row in rows)
    assert cell_texts(page, f"Who asked {server}")[0][3] == "16,384"
    assert "Secrets shared with access servers" in page.root.text


def test_flows_out_of_line_are_told_and_drawn() -> None:
    evidence, history, findings = Evidence(10), History(Report()), list[Finding]()
    analysis = Analysis(Config(), findings.append, history)
    nothing = Facts.empty()
    for day in range(12):
        analysis.add(Facts(nothing.heartbeats, nothing.sessions, visits(day, alike=400 if day == 11 else 0)))
    for finding in findings:
        evidence.add(alert(finding, shipped()[finding.sid], Output()))
    told = Page.read(page(summary_of(), history, evidence, Report(), MADE))
    assert told.root.all("header", "suspicious")
    (row,) = cell_texts(told, "Flows out of line")
    assert row[1].startswith("1016400")
    assert row[3] == "sizes of flows alone"
    assert "1,500 of 12,400 without heartbeats" in told.root.text
    drawn_odd = re.findall(r"without heartbeats, out of line: (\d+)", told.section("Connections by size").text)
    assert 20 < int(drawn_odd[0]) < 100


def test_of_too_many_alerts_the_graver_stay(tmp_path: Path) -> None:
    eve = tmp_path / "eve.json"
    run_hbids("replay", LEAK, "--eve", eve)
    events = [json.loads(line) for line in eve.read_text().splitlines()]
    verdict = {event["alert"]["signature_id"]: event["alert"]["context"]["hbids"]["verdict"] for event in events}
    evidence = Evidence(2)
    for event in [*events, *events]:
        evidence.add(event)
    kept = [verdict[event["alert"]["signature_id"]] for event in evidence.of(Place.of(endpoint()))]
    assert kept == ["leaked", "leaked"]


def test_a_sealed_leak_is_called_an_estimate() -> None:
    page = drawn(summary_of(endpoint(leaked_bytes=0, leaked_bytes_estimated=5_000)))
    assert "~5,000" in page.root.all("header")[0].text
    assert "bytes leaked, estimated" in page.root.all("header")[0].text
    assert "~ marks a sum with an estimate in it" in page.root.text


def test_what_context_knows_of_an_endpoint_is_shown() -> None:
    exposure = {
        "heartbeat_first_accepted": "2026-11-20T00:00:00.000000Z",
        "first_leak": "2026-11-23T19:10:02.123456Z",
        "last_leak": "2026-11-23T19:10:05.500000Z",
        "first_patched": "2026-11-24T08:00:00.000000Z",
        "last_patched": "2026-11-24T09:00:00.000000Z",
        "exposed_from": "2026-11-20T00:00:00.000000Z",
        "exposed_until": None,
    }
    page = drawn(summary_of(endpoint(exposure=exposure, assets=["mail gateway", "IT operations"])))
    text = page.root.text
    assert "Asset mail gateway, IT operations" in text
    assert "Leaked 2026-11-23 19:10:02 to 2026-11-23 19:10:05 UTC" in text
    assert "Exposed from 2026-11-20 00:00:00 UTC on, no end seen" in text
    assert "Patched 2026-11-24 08:00:00 to 2026-11-24 09:00:00 UTC" in text


@pytest.mark.parametrize(
    ("changes", "secret"),
    [
        ({"port": 993}, "Mailbox passwords"),
        ({"port": 1194, "carrier": "openvpn"}, "tls-auth key"),
        ({"port": 0, "role": "client"}, "Passwords, tokens and cookies the client held"),
        ({"port": 4433}, "Whatever clients sent it"),
    ],
)
def test_what_to_make_anew_fits_the_role(changes: dict[str, object], secret: str) -> None:
    (story,) = drawn(summary_of(endpoint(**changes))).root.all("section", "endpoint")
    assert secret in story.text
    assert ("private key of its certificate" in story.text) == ("role" not in changes)


# --- what may stand in it ---------------------------------------------------------------------------------------------


def test_hostile_words_are_only_words(tmp_path: Path) -> None:
    capture = leak_of(tmp_path / "<img src=x onerror=alert(2)>.pcap", HOSTILE)
    page = page_of(capture, tmp_path)
    assert page.root.all("script") + page.root.all("img") == []
    assert HOSTILE.decode() in page.root.text
    assert "<img src=x onerror=alert(2)>.pcap" in page.root.text


def test_characters_without_a_shape_are_shown_as_escapes(tmp_path: Path) -> None:
    capture = leak_of(tmp_path / "capture.pcap", "evil\u202egnp.exe\x00\x1b[31m\x7f".encode() + b"\xff")
    text = page_of(capture, tmp_path).root.text
    assert r"evil\u202egnp.exe\x00\x1b[31m\x7f\xff" in text


def test_hostile_tools_and_times_are_only_words() -> None:
    hostile = endpoint(
        tool_classes={"exploit": ["</style><script>alert(1)</script>"]}, sources=["<b>"], ip="2001:db8::1"
    )
    page = drawn(summary_of(hostile, sources=["</title><script>"]))
    assert page.root.all("script") == []
    assert "</title><script>" in page.root.text
    assert "exploit </style><script>alert(1)</script>" in page.root.text


def test_it_loads_nothing_and_may_run_nothing(tmp_path: Path) -> None:
    page = page_of(LEAK, tmp_path)
    assert "://" not in page.source
    assert page.root.all("script") + page.root.all("link") + page.root.all("img") + page.root.all("iframe") == []
    loading = {"src", "srcset", "style", "action", "data", "poster", "xlink:href"}
    everything = [node for name in set(re.findall(r"<(\w+)", page.source)) for node in page.root.all(name)]
    assert [node for node in everything if loading & set(node.attributes)] == []
    assert [node for node in everything if any(name.startswith("on") for name in node.attributes)] == []
    assert {node.attributes["href"] or "" for node in page.root.all("a")} == {"#endpoint-1"}
    policy = next(m for m in page.root.all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy")
    assert (policy.attributes["content"] or "").startswith("default-src 'none'; style-src 'sha256-")


def test_it_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    page = page_of(PCAPS / "benign_hb_openssl_tls.pcap", tmp_path)
    (html,) = page.root.all("html")
    assert html.attributes["lang"] == "en"
    pictures = [svg for svg in page.root.all("svg") if svg.attributes.get("aria-hidden") != "true"]
    assert pictures
    assert all(svg.attributes["role"] == "img" and svg.all("title") and svg.all("desc") for svg in pictures)
    assert all(table.all("caption")[0].text for table in page.root.all("table"))
    assert all(head.attributes.get("scope") for head in page.root.all("th"))
    targets = {node.attributes.get("id") for node in page.root.all("section")}
    assert {(link.attributes["href"] or "")[1:] for link in page.root.all("a")} <= targets


# --- how much of it ---------------------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    pages = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        source = page_of(PCAPS / "scan_vuln_sslyze.pcap", tmp_path / run).source
        pages.append(re.sub(r"Made \S+ \S+ UTC", "Made", source))
    assert pages[0] == pages[1]


def test_ten_thousand_endpoints_fit_and_what_is_left_out_is_said() -> None:
    count = 10_000
    addresses = numbered_addresses(np.arange(count), "10.0.0.0")
    asked = Exchanges(START_NS + np.arange(count) * 10**9, addresses[::-1], addresses, np.full(count, 0x1000))
    history = History(Report())
    history.add(Measured(rows_of(asked)), np.zeros(0, SESSION_DTYPE), np.zeros(0, FLOW_DTYPE))
    endpoints = [endpoint(ip=f"10.0.{number >> 8}.{number & 255}", leaked_bytes=number) for number in range(count)]
    page = drawn(summary_of(*endpoints), history)
    assert len(page.source) < 1_000_000
    rows = cell_texts(page, "What happened to each endpoint")
    assert len(rows) == 500
    assert rows[0][2] == "9,999"
    assert "9,500 more endpoints left out here" in page.root.text
    assert len(page.root.all("section", "endpoint")) == 50
    assert "9,950 more endpoints without a section of their own" in page.root.text


def test_ten_thousand_sources_fit_and_the_rest_is_summed() -> None:
    count = 10_000
    servers = np.repeat(numbered_addresses(np.array([0]), "203.0.113.1"), count, axis=0)
    asked = Exchanges(
        START_NS + np.arange(count) * 10**7, numbered_addresses(np.arange(count)), servers, np.full(count, 99)
    )
    history = History(Report())
    history.add(Measured(rows_of(asked)), np.zeros(0, SESSION_DTYPE), np.zeros(0, FLOW_DTYPE))
    page = drawn(summary_of(endpoint(ip="203.0.113.1", leaked_bytes=count * 99)), history)
    rows = cell_texts(page, "Who asked")
    assert len(rows) == 26
    assert rows[-1][:4] == ["9,975 more", "9,975", "9,975", f"{9_975 * 99:,}"]


def test_how_much_is_shown_can_be_set(tmp_path: Path) -> None:
    config = tmp_path / "hbids.yaml"
    config.write_text("report: {endpoints_told: 1, endpoints_listed: 2}\n")
    page = page_of(PCAPS / "reverse_pacemaker_client_vuln.pcap", tmp_path, "--config", config)
    assert len(page.root.all("section", "endpoint")) == 1
    assert "1 more endpoint left out here" in page.root.text


def test_an_empty_capture_has_a_page_too(tmp_path: Path) -> None:
    capture = tmp_path / "empty.pcap"
    capture.write_bytes(LEAK.read_bytes()[:24])
    page = page_of(capture, tmp_path)
    assert page.root.all("h1")[0].text == "Nothing to judge: no packet was read."
    assert [heading.text for heading in page.root.all("h2")] == ["What could not be seen"]


def test_the_worst_comes_first_whatever_the_order() -> None:
    milder = endpoint(ip="10.0.0.1", verdict="attempted", leaked_bytes=0)
    page = drawn(summary_of(milder, endpoint(verdict="harvested"), endpoint(ip="10.0.0.3")))
    assert [row[1] for row in cell_texts(page, "What happened")] == ["harvested", "leaked", "attempted"]
    assert "This was a harvest and no scan" in page.root.all("header")[0].text


def test_what_could_not_be_seen_is_told_in_the_words_of_the_verdict() -> None:
    page = drawn(summary_of(drops={"tls13_sessions": 7, "fragments": 3}))
    section = page.section("What could not be seen")
    assert [item.text for item in section.all("li")] == ["7 sessions of TLS 1.3, whose record types are sealed"]


# --- as an output -----------------------------------------------------------------------------------------------------


def test_a_page_on_standard_output() -> None:
    done = run_hbids("replay", LEAK, "--report", "-")
    assert done.returncode == 0
    assert Page.read(done.stdout).root.all("h1")
    assert "LEAKED" in done.stderr


def test_a_page_is_not_for_everybody(tmp_path: Path) -> None:
    page_of(LEAK, tmp_path)
    assert (tmp_path / "report.html").stat().st_mode & 0o007 == 0


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(LEAK.read_bytes())
    assert run_hbids("replay", capture, "--report", capture).returncode == 2
    assert capture.read_bytes() == LEAK.read_bytes()


def test_a_full_disk_costs_the_page_only(tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    done = run_hbids("replay", LEAK, "--report", "/dev/full", "--summary", summary)
    assert done.returncode == 1
    assert "/dev/full: cannot be written, No space left on device" in done.stderr
    assert summary.stat().st_size > 100


def test_without_it_nothing_of_it_is_loaded() -> None:
    program = "import sys; from hbids.cli import main; main(['replay', sys.argv[1]]); print(*sys.modules)"
    command = [sys.executable, "-c", program, str(LEAK)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "hbids.stats" in loaded
    assert [name for name in loaded if name.startswith(("hbids.cli.report", "hbids.stats.history"))] == []


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"evidence": "wire", "sealed": False}, "read on the wire"),
        ({"evidence": "wire", "sealed": True}, "sealed: estimated from sizes"),
        ({"evidence": "eve-frame", "sealed": False}, "told by Suricata (eve-frame)"),
        ({"midstream": True}, "read on the wire; joined late, that it is TLS is inferred"),
    ],
)
def test_each_alert_says_what_it_rests_on(context: dict[str, object], words: str) -> None:
    assert rests_on({"alert": {"signature_id": 1016100, "context": {"hbids": context}}}) == words
