"""Whatever stands in eve.json: no exception, bounded memory, and a count of what could not be used."""

from __future__ import annotations

import json
import tracemalloc
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.config import Config, Eve
from hbids.decode.engine import native_available
from hbids.eve.lines import LineCutter
from hbids.facts import Finding
from hbids.pipeline.result import Result
from hbids.pipeline.sidecar import Sidecar
from tests.conftest import PCAPS
from tests.support.suricata import eve_of

ENGINE = "native" if native_available() else "reference"
TYPES = ("alert", "packet", "tls", "flow", "frame", "netflow", "anomaly", "stats", "http", "")
SIDS = (1016900, 1016910, 1016912, 2230012, 2230014, 2018372, 1)
PORTS = st.sampled_from([443, 50_000, 0, 65_536, -1])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "::ffff:10.0.0.1", "fe80::1%eth0", "nonsense", ""])
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.just(10**400),
    st.just("9" * 5_000),
)
BYTES = st.binary(max_size=200).map(lambda data: b64encode(data).decode())
TIMES = st.sampled_from(
    [
        "2026-11-24T10:00:00.000001+0000",
        "2026-11-24T10:00:09.5+0100",
        "2026-11-24T10:00:30Z",
        "0000-00-00T00:00:00",
        "9" * 30,
    ]
)


def or_wrong(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what it should be."""
    return st.integers(0, 9).flatmap(lambda dice: WRONG if dice == 0 else right)


FLOWS = st.fixed_dictionaries(
    {},
    optional={
        **{f"pkts_to{side}": or_wrong(st.integers(0, 99)) for side in ("server", "client")},
        **{f"bytes_to{side}": or_wrong(st.integers(0, 1 << 40)) for side in ("server", "client")},
        "start": or_wrong(TIMES),
        "end": or_wrong(TIMES),
        "src_ip": or_wrong(ADDRESSES),
        "dest_ip": or_wrong(ADDRESSES),
        "src_port": or_wrong(PORTS),
        "dest_port": or_wrong(PORTS),
        "state": or_wrong(st.sampled_from(["closed", "new"])),
    },
)
NETFLOWS = st.fixed_dictionaries(
    {},
    optional={
        "pkts": or_wrong(st.integers(0, 99)),
        "bytes": or_wrong(st.integers(0, 1 << 40)),
        "start": or_wrong(TIMES),
        "end": or_wrong(TIMES),
    },
)
JA3 = st.sampled_from(["771,1-2,0-10-15,1,0", "771,49200,65281-15", ",,,,", "-,-,-", "9" * 900, "1,2", "771,²,15"])
TLS = st.fixed_dictionaries(
    {},
    optional={
        "version": or_wrong(st.sampled_from(["TLS 1.2", "TLSv1", "?"])),
        "sni": or_wrong(st.text(max_size=300)),
        "ja3": or_wrong(st.fixed_dictionaries({}, optional={"hash": WRONG, "string": or_wrong(JA3)})),
        "ja3s": or_wrong(st.fixed_dictionaries({}, optional={"hash": WRONG, "string": or_wrong(JA3)})),
        "server_handshake": or_wrong(
            st.fixed_dictionaries({}, optional={"exts": or_wrong(st.lists(WRONG, max_size=3))})
        ),
    },
)
EVENTS = st.fixed_dictionaries(
    {
        "event_type": or_wrong(st.sampled_from(TYPES)),
        "timestamp": or_wrong(TIMES),
        "flow_id": or_wrong(st.integers(1, 4)),
    },
    optional={
        "src_ip": or_wrong(ADDRESSES),
        "dest_ip": or_wrong(ADDRESSES),
        "src_port": or_wrong(PORTS),
        "dest_port": or_wrong(PORTS),
        "proto": or_wrong(st.sampled_from(["TCP", "UDP", "ICMP"])),
        "app_proto": or_wrong(st.sampled_from(["tls", "smtp", "failed"])),
        "direction": or_wrong(st.sampled_from(["to_server", "to_client"])),
        "vlan": or_wrong(st.lists(or_wrong(st.integers(0, 5_000)), max_size=5)),
        "alert": or_wrong(st.fixed_dictionaries({"signature_id": or_wrong(st.sampled_from(SIDS))})),
        "flow": or_wrong(FLOWS),
        "tls": or_wrong(TLS),
        "netflow": or_wrong(NETFLOWS),
        "tcp": or_wrong(st.fixed_dictionaries({}, optional={"rst": WRONG, "fin": st.booleans()})),
        "anomaly": or_wrong(
            st.fixed_dictionaries(
                {
                    "event": or_wrong(
                        st.sampled_from(["OVERFLOW_HEARTBEAT_MESSAGE", "stream.x", "DATALEAK_HEARTBEAT_MISMATCH"])
                    )
                },
                optional={"app_proto": or_wrong(st.just("tls"))},
            )
        ),
        "packet": or_wrong(BYTES),
        "packet_info": or_wrong(st.fixed_dictionaries({"linktype": or_wrong(st.sampled_from([1, 101, 113, 0]))})),
        "payload": or_wrong(BYTES),
        "stream": or_wrong(st.sampled_from([0, 1])),
        "stats": or_wrong(st.dictionaries(st.sampled_from(["capture", "tcp"]), WRONG)),
        "frame": or_wrong(
            st.fixed_dictionaries(
                {"type": st.just("heartbeat")},
                optional={
                    "length": or_wrong(st.integers(0, 70_000)),
                    "stream_offset": or_wrong(st.integers(0, 1 << 50)),
                    "direction": or_wrong(st.sampled_from(["toserver", "toclient"])),
                    "payload": or_wrong(BYTES),
                },
            )
        ),
    },
)


def run(lines: bytes, config: Config | None = None) -> tuple[Result, list[Finding]]:
    findings: list[Finding] = []
    sidecar = Sidecar(config=config, engine=ENGINE, on_finding=findings.append)
    sidecar.read(lines)
    return sidecar.finish(), findings


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=12))
def test_events_that_lie_do_no_harm(events: list[dict[str, Any]]) -> None:
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    result, _ = run(lines)
    assert result.totals["eve"]["lines"] == len(events)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80), st.sampled_from([b'{"event_type":"alert"', b'"event_type":"tls"}', b"[" * 3_000])
        ),
        max_size=9,
    )
)
def test_lines_that_are_no_events_do_no_harm(lines: list[bytes]) -> None:
    run(b"\n".join(lines) + b"\n")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_true_events_damaged_do_no_harm(data: st.DataObject) -> None:
    lines = bytearray(eve_of(PCAPS / "scan_vuln_stafford.pcap").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    run(bytes(lines))


def test_what_is_broken_is_counted() -> None:
    good = b'{"timestamp":"2026-11-24T10:00:00.000000+0000","event_type":"stats","stats":{}}'
    lines = [
        good,
        b"@cee: " + good,
        b'{"event_type":"alert"',
        b'["event_type":"alert"]',
        b'{"event_type":"alert"}',
        b"\xff",
        b"",
    ]
    result, _ = run(b"\n".join(lines) + b"\n")
    assert result.totals["eve"]["lines"] == 7
    assert {name: count for name, count in result.totals["drops"].items() if name.startswith("eve")} == {
        "eve_lines_broken": 2,
        "eve_events_ignored": 1,
    }


def test_a_line_may_be_long_but_not_endless() -> None:
    cutter = LineCutter(1_000)
    lines = b"".join(
        cutter.push(piece) for piece in (b"a\nb", b"b" * 400, b"b\n", b"c" * 900, b"c" * 900, b"c\nd\n", b"e")
    )
    assert lines == b"a\n" + b"b" * 402 + b"\n" + b"d\n"
    assert cutter.too_long == 1
    assert cutter.finish() == b"e\n"


def test_types_that_are_not_read_are_not_parsed() -> None:
    lines = b'{"event_type":"http","x":"}\n{"event_type":"dns"\n{"event_type":"flow","app_proto":"http",\n'
    result, _ = run(lines)
    eve = {"lines": 3, "bytes": len(lines), "events": {}, "anomalies": {}, "runs": 0, "joined": 0}
    assert result.totals["eve"] == eve
    assert result.totals["drops"] == {}


def test_lines_that_look_otherwise_say_the_same() -> None:
    """Lines as Suricata writes them are read off their bytes; any other JSON of the same events is parsed."""
    lines = eve_of(PCAPS / "scan_patched_nmap.pcap").read_bytes()
    spaced = b"".join(b"@cee: " + json.dumps(json.loads(line)).encode() + b"\n" for line in lines.splitlines())
    (one, findings), (other, same) = run(lines), run(spaced)
    for totals in (one.totals, other.totals):
        del totals["seconds"], totals["eve"]
    assert other.totals == one.totals
    assert [finding.context for finding in same] == [finding.context for finding in findings]


@pytest.mark.parametrize("kind", ["tls", "alert", "packet", "flow", "netflow", "anomaly"])
def test_memory_is_bounded(kind: str, tmp_path: Path) -> None:
    config = Config(eve=Eve(flows=64, sessions=64, held_bytes_total=1 << 20))
    sidecar = Sidecar(config=config, engine=ENGINE, state=tmp_path / "state")
    payload = b64encode(b"\x16\x03\x01\x20\x00\x01\x00" + bytes(2_000)).decode()

    def events(start: int) -> bytes:
        return b"".join(
            json.dumps(
                {
                    "timestamp": "2026-11-24T10:00:00.000000+0000",
                    "flow_id": number,
                    "event_type": kind,
                    "src_ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                    "src_port": 40_000,
                    "dest_ip": "10.0.0.1",
                    "dest_port": 443,
                    "proto": "TCP",
                    "app_proto": "tls",
                    "alert": {"signature_id": 1016900},
                    "packet": payload,
                    "payload": payload,
                    "stream": 1,
                    "tls": {"sni": "x" * 200},
                    "flow": {},
                    "netflow": {"pkts": 1, "bytes": 2_000},
                    "anomaly": {"app_proto": "tls", "event": "OVERFLOW_HEARTBEAT_MESSAGE"},
                }
            ).encode()
            + b"\n"
            for number in range(start, start + 500)
        )

    sidecar.read(events(0))
    tracemalloc.start()
    for turn in range(1, 11):
        sidecar.read(events(turn * 500))
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 8 << 20
    sidecar.finish([])
