"""The sieve reads off lines what parsing them would give, and both sieves say the same of any bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.config import Eve
from hbids.decode.engine import native_available
from hbids.eve.sieve import SIFTED_DTYPE, Session, Sieve, Stop, open_sieve
from hbids.facts import EndReason, Facts, Rows
from hbids.pipeline.sidecar import Sidecar
from tests.conftest import missing
from tests.support.eve_lines import flow, tls

LIMITS = Eve(sessions=64, session_bytes_total=20_000)
FAR_NS = (1 << 63) - 1


@pytest.fixture
def sieve(engine_name: str) -> Sieve:
    return open_sieve(engine_name, LIMITS, tells_all=False)


def read(sieve: Sieve, lines: bytes, place: int = 0, now_ns: int = 0) -> list[bytes]:
    """The lines that are to be parsed."""
    parsed: list[bytes] = []
    at = 0
    while True:
        stop, start, end = sieve.sift(lines, at, len(lines), place, now_ns)
        if stop == Stop.END:
            return parsed
        at = end if stop == Stop.EVENT else start
        parsed += [lines[start:end]] * (stop == Stop.EVENT)


def flows_of(sieve: Sieve) -> Rows:
    return np.frombuffer(sieve.flows(), SIFTED_DTYPE)


def test_a_flow_becomes_a_row(sieve: Sieve) -> None:
    assert read(sieve, flow(7, vlan='"vlan":[100,4095],')) == []
    (row,) = flows_of(sieve)
    assert bytes(row["client_addr"]) == bytes(10) + b"\xff\xff\x0a\x00\x00\x01"
    assert bytes(row["server_addr"]) == b"\xfd" + bytes(14) + b"\x10"
    assert row.tolist()[0:2] == (1_795_514_400_123_456_000, 1_795_514_409_500_000_000)
    assert row.tolist()[4:6] == (40_000, 443)
    assert row["vlan"].tolist() == [100, 4_095, 0xFFFF]
    assert row.tolist()[7:] == (EndReason.FIN, 9, 8, 1_043, 2_485)
    assert len(flows_of(sieve)) == 0
    assert sieve.counts() == (1, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("state", "tcp", "reason"),
    [
        ('"state":"closed","reason":"shutdown"}', ',"tcp":{"rst":true}}', EndReason.RST),
        ('"state":"closed","reason":"timeout"}', ',"tcp":{"fin":true}}', EndReason.FIN),
        ('"state":"established","reason":"timeout"}', ',"tcp":{"rst":true}}', EndReason.TIMEOUT),
        ('"state":"new","reason":"tcp_reuse"}', "}", EndReason.REUSED),
        ('"state":"new","reason":"shutdown"}', "}", EndReason.CAPTURE_END),
    ],
)
def test_how_a_flow_ended(sieve: Sieve, state: str, tcp: str, reason: EndReason) -> None:
    read(sieve, flow(1, state=state, tcp=tcp))
    assert flows_of(sieve)["end_reason"].tolist() == [reason]


@pytest.mark.parametrize(
    "changes",
    [
        {"head": '{ "timestamp":"2026-11-24T10:00:00.123456+0000","flow_id":1,'},
        {"head": '{"timestamp":"2026-11-24T10:00:00.123456+0000","flow_id":01,'},
        {"head": '{"timestamp":"2026-02-30T10:00:00.123456+0000","flow_id":1,'},
        {"head": '{"timestamp":"2026-11-24T10:00:00.123456+2500","flow_id":1,'},
        {"head": '{"timestamp":"2026-W47-1T10:00:00.123456+0000","flow_id":1,'},
        {"interface": '"in_iface":"eth\\"0",'},
        {"interface": '"in_iface":"eth\u00e9",'},
        {"vlan": '"vlan":[4096],'},
        {"vlan": '"vlan":[1,2,3,4],'},
        {"client": '"src_ip":"10.0.0.256","src_port":40000,'},
        {"client": '"src_ip":"10.0.0.01","src_port":40000,'},
        {"client": '"src_ip":"10.0.0.1","src_port":65536,'},
        {"server": '"dest_ip":"fd00::10","dest_port":443,'},
        {"protocol": '"proto":"UDP",'},
        {"counts": '"flow":{"pkts_toserver":-1,"pkts_toclient":8,"bytes_toserver":1043,"bytes_toclient":2485,'},
        {"counts": '"flow":{"pkts_toclient":8,"bytes_toserver":1043,"bytes_toclient":2485,'},
        {"times": '"start":"1970-01-01T00:00:00.000000+0000","end":"2026-11-24T10:00:09.500000+0000","age":9,'},
        {"times": '"start":"2026-11-24T10:00:09.500000+0000","end":"2026-11-24T10:60:09.500000+0000","age":9,'},
        {"times": '"start":"2026-11-24T10:00:09.500000Z","end":"2026-11-24T10:60:09.500000+0000","age":9,'},
    ],
)
def test_what_looks_otherwise_is_parsed(sieve: Sieve, changes: dict[str, str]) -> None:
    line = flow(1, 0, **changes)
    assert read(sieve, line + flow(2)) == [line]
    assert len(flows_of(sieve)) == 1


def test_rows_are_those_that_parsing_gives(engine_name: str) -> None:
    lines = [
        flow(1),
        flow(2, vlan='"vlan":[7],', tcp=',"tcp":{"rst":true}}'),
        flow(3, app='"app_proto":"tls","app_proto_orig":"smtp",', state='"state":"new","reason":"timeout"}'),
        flow(4, times='"start":"2026-11-24T10:00:09.500000+0200","end":"2026-11-24T07:00:09.500000+0000","age":9,'),
    ]

    def rows(lines: list[bytes]) -> Rows:
        facts: list[Facts] = []
        sidecar = Sidecar(engine=engine_name, facts_sink=facts.append)
        sidecar.read(b"".join(lines))
        sidecar.finish()
        flows = np.concatenate([each.flows for each in facts])
        flows["flow_id"] = 0
        return flows

    sifted, parsed = rows(lines), rows([json.dumps(json.loads(line)).encode() + b"\n" for line in lines])
    assert len(sifted) == 4
    assert sifted.tobytes() == parsed.tobytes()


def test_what_does_not_matter_is_left_out(sieve: Sieve) -> None:
    other = [
        b'{"event_type":"http"}\n',
        b'{"event_type":"frame","frame":{"type":"hdr"}}\n',
        flow(1, app='"app_proto":"http",'),
        b'{"event_type":"netflow","app_proto":"dns"}\n',
        b"\n",
        b"no event\n",
    ]
    wanted = [
        b'{"event_type": "alert"}\n',
        b'{"event_type":"netflow","app_proto":"tls"}\n',
        b'{"event_type":"frame","frame":{"type":"heartbeat"}}\n',
        b'{"event_type":"http","event_type":"stats"}\n',
    ]
    assert read(sieve, b"".join(other + wanted + other)) == wanted
    assert sieve.counts()[0] == 16


def test_all_events_of_a_known_flow_are_parsed(sieve: Sieve) -> None:
    lines = [tls(1), flow(1), flow(1, app='"app_proto":"failed",')]
    sieve.know(1)
    assert read(sieve, b"".join([*lines, tls(2)])) == lines
    sieve.forget(1)
    assert read(sieve, b"".join(lines)) == []
    assert read(sieve, flow(2, app='"app_proto":"failed",')) == [flow(2, app='"app_proto":"failed",')]


def test_a_session_waits_for_its_flow_to_end_or_to_show_a_heartbeat(sieve: Sieve) -> None:
    read(sieve, tls(1, ja3="-15") + tls(2, ja3="-15") + tls(3) + tls(4, ja3="-15"), 100, 5)
    read(sieve, flow(1) + flow(3), 200, 6)
    assert list(sieve.told()) == [Session(1, 5, 100, tls(1, ja3="-15"))]
    assert sieve.claim(2) == Session(2, 5, 100, tls(2, ja3="-15"))
    assert sieve.claim(2) is None
    sieve.tell(4)
    sieve.tell_since(FAR_NS)
    assert [session[0] for session in sieve.told()] == [4]
    assert sieve.counts() == (6, 4, 2, 1, 1)


def test_sessions_wait_no_longer_than_they_may(sieve: Sieve) -> None:
    for number in range(4):
        read(sieve, tls(number, ja3="-15"), number, number)
    read(sieve, tls(0, ja3="-15"), 9, 9)  # a second event of a flow has its turn, and waits from now on
    assert (sieve.oldest_place(0), sieve.oldest_place(2), sieve.oldest_place(4)) == (0, 2, None)
    sieve.tell_since(2)
    assert list(sieve.told()) == []
    sieve.tell_since(9)
    assert [session[:3] for session in sieve.told()] == [(0, 9, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert sieve.oldest_place(0) is None


@pytest.mark.parametrize(("fill", "waiting"), [("", 64), ("x" * 1_000, 16)])
def test_no_more_sessions_wait_than_may(sieve: Sieve, fill: str, waiting: int) -> None:
    read(sieve, b"".join(tls(number, ja3=fill + "-15") for number in range(200)))
    assert [session[0] for session in sieve.told()] == list(range(200 - waiting))


def test_each_second_is_told(sieve: Sieve) -> None:
    lines = tls(1) + flow(2) + flow(3, 1) + tls(4, 1) + tls(5)
    assert sieve.sift(lines, 0, len(lines), 0, 0) == (Stop.SECOND, 0, len(tls(1)))
    stop, start, _ = sieve.sift(lines, 0, len(lines), 0, 0)
    assert (stop, lines[start:]) == (Stop.SECOND, flow(3, 1) + tls(4, 1) + tls(5))
    stop, start, _ = sieve.sift(lines, start, len(lines), 0, 0)
    assert (stop, lines[start:]) == (Stop.SECOND, tls(5))


def test_lines_end_where_they_are_said_to(sieve: Sieve) -> None:
    lines = flow(1) + flow(2)
    sieve.sift(lines, 0, len(flow(1)), 0, 0)
    assert sieve.sift(lines, 0, len(flow(1)), 0, 0) == (Stop.END, len(flow(1)), len(flow(1)))
    assert sieve.counts()[0] == len(flows_of(sieve)) == 1


JA3S = st.sampled_from(["", "-15", ",15", "-15-3", "-150", "-215", '"exts"'])
IDS, SECONDS = st.integers(0, 5), st.integers(0, 3)
CHANGES = st.dictionaries(
    st.sampled_from(["interface", "vlan", "client", "app", "counts", "state", "tcp", "protocol", "id"]),
    st.sampled_from(
        [
            "",
            '"in_iface":"x",',
            '"vlan":[1,02],',
            '"vlan":[1,2,3],',
            '"app_proto": "tls",',
            '"app_proto":"tls","app_proto_tc":"x",',
            ',"tcp":{"rst":true}}',
            '"proto":"TCP","ip_v":4,',
        ]
    ),
    max_size=2,
)
LINES = st.one_of(
    st.builds(tls, IDS, SECONDS, JA3S),
    st.builds(flow, IDS, SECONDS),
    st.builds(lambda number, second, changes: flow(number, second, **changes), IDS, SECONDS, CHANGES),
    st.builds(
        lambda kind, number: b'{"event_type":"%b","flow_id": %d}\n' % (kind, number),
        st.sampled_from([b"alert", b"netflow", b"flow"]),
        IDS,
    ),
    st.sampled_from([b"\n", b'"event_type":\t"frame" "type": "heartbeat"\n', b'"event_type":"tls"\n']),
    st.builds(lambda data: data + b"\n", st.binary(max_size=30)),
)
DAMAGE = st.tuples(st.integers(0, 2_000), st.integers(0, 3), st.binary(max_size=3))
STEPS = st.one_of(
    st.tuples(st.just("read"), st.lists(LINES, max_size=8).map(b"".join), st.lists(DAMAGE, max_size=3)),
    st.tuples(st.sampled_from(["know", "forget", "tell", "claim"]), IDS),
    st.tuples(st.sampled_from(["tell_since", "oldest_place"]), st.integers(0, 12)),
)


def outcome(sieve: Sieve, steps: list[tuple[Any, ...]]) -> list[Any]:
    """Whatever a sieve says."""
    said: list[Any] = []
    for number, (what, *given_) in enumerate(steps):
        if what == "read":
            lines, damages = bytearray(given_[0]), given_[1]
            for at, length, put in damages:
                lines[at : at + length] = put
            said.append(read(sieve, bytes(lines), number, number))
        else:
            said.append(getattr(sieve, what)(*given_))
        said += [sieve.flows(), list(sieve.told()), sieve.counts(), sieve.oldest_place(0)]
    return said


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=12), st.booleans())
def test_both_sieves_say_the_same_of_any_bytes(steps: list[tuple[Any, ...]], tells_all: bool) -> None:
    if not native_available():
        missing("the native engine; install Rust 1.85 or newer, then `make clean test`")
    limits = Eve(sessions=64, session_bytes_total=1_000)
    native, reference = (open_sieve(name, limits, tells_all=tells_all) for name in ("native", "reference"))
    assert outcome(native, steps) == outcome(reference, steps)
