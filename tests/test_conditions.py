"""What conditions match, and how their mistakes are told."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.columns import TABLES, shown
from hbids.conditions import Match, read_match
from hbids.errors import UserInputError
from hbids.facts import (
    ABSENT,
    FLOW_DTYPE,
    HEARTBEAT_DTYPE,
    NO_VERSION,
    NO_VLAN,
    NOT_SEEN,
    SESSION_DTYPE,
    Direction,
    Kind,
    Phase,
    Rows,
    Transport,
)
from hbids.measures import Measured
from hbids.yamlsource import Document, raise_problems

if TYPE_CHECKING:
    from pathlib import Path


def sixteen_bytes(text: str) -> np.ndarray[Any, Any]:
    address = ip_address(text)
    packed = address.packed if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{text}").packed
    return np.frombuffer(packed, np.uint8)


def rows_with(dtype: np.dtype[np.void], column: str, values: list[Any]) -> Rows:
    rows = np.zeros(len(values), dtype)
    for row, value in zip(rows, values, strict=True):
        row[column] = sixteen_bytes(value) if column.endswith("addr") else value
    return rows


def match_of(path: Path, text: str) -> Match:
    path.write_text(text)
    document = Document(path)
    assert document.root is not None
    match = read_match(document, document.root)
    raise_problems([document])
    assert match is not None
    return match


def matching(tmp_path: Path, conditions: str, rows: Rows) -> list[int]:
    """The numbers of the rows that match."""
    tables = {HEARTBEAT_DTYPE: "heartbeats", SESSION_DTYPE: "sessions", FLOW_DTYPE: "flows"}
    match = match_of(tmp_path / "match.yaml", f"{{table: {tables[rows.dtype]}, {conditions}}}")
    table = Measured(rows) if rows.dtype == HEARTBEAT_DTYPE else rows
    return np.flatnonzero(match.rows(table, np.ones(len(rows), bool))).tolist()


# --- what matches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("3", [1]),
        ("0x3", [1]),
        ("'= 3'", [1]),
        ("'!= 3'", [0, 2, 3]),
        ("'> 3'", [2, 3]),
        ("'>= 3'", [1, 2, 3]),
        ("'<3'", [0]),
        ("'<= 3'", [0, 1]),
        ("< 4", [0, 1]),
        ("3..64", [1, 2]),
        ("'!= 3..64'", [0, 3]),
        ("[0, 65535]", [0, 3]),
        ("['< 1', 64..65535]", [0, 2, 3]),
        ("absent", [4]),
        ("'!= absent'", [0, 1, 2, 3]),
        ("[3, unknown]", [1, 4]),
    ],
)
def test_numbers(tmp_path: Path, condition: str, numbers: list[int]) -> None:
    rows = rows_with(HEARTBEAT_DTYPE, "claimed_length", [0, 3, 64, 65535, ABSENT])
    assert matching(tmp_path, f"claimed_length: {condition}", rows) == numbers


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [("handshake", [1]), ("HANDSHAKE", [1]), ("'!= handshake'", [2]), ("[after, unknown]", [0, 2]), ("unknown", [0])],
)
def test_words(tmp_path: Path, condition: str, numbers: list[int]) -> None:
    rows = rows_with(HEARTBEAT_DTYPE, "phase", [Phase.UNKNOWN, Phase.HANDSHAKE, Phase.AFTER])
    assert matching(tmp_path, f"phase: {condition}", rows) == numbers


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("10.66.0.0/16", [0, 1]),
        ("10.66.0.10", [0]),
        ("'!= 10.66.0.0/16'", [2, 3]),
        ("fd66::/16", [3]),
        ("[10.66.0.10, 'fd66::/16']", [0, 3]),
        ("0.0.0.0/0", [0, 1, 2]),
        ("'::/0'", [0, 1, 2, 3]),
        ("10.66.0.10/17", [0]),
    ],
)
def test_addresses(tmp_path: Path, condition: str, numbers: list[int]) -> None:
    rows = rows_with(FLOW_DTYPE, "client_addr", ["10.66.0.10", "10.66.255.1", "192.0.2.1", "fd66::10"])
    assert matching(tmp_path, f"client_addr: {condition}", rows) == numbers


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("mail.example.org", [0]),
        ("MAIL.example.org", [0]),
        ("'*.example.org'", [0, 1]),
        ("mail*", [0, 2]),
        ("'*example*'", [0, 1]),
        ("'!= *.example.org'", [2]),
        ("absent", [3]),
        ("'!= absent'", [0, 1, 2]),
        ("'*'", [0, 1, 2]),
        ("[mailer, unknown]", [2, 3]),
    ],
)
def test_text(tmp_path: Path, condition: str, numbers: list[int]) -> None:
    rows = rows_with(SESSION_DTYPE, "sni", [b"mail.example.org", b"WWW.Example.org", b"mailer", b""])
    assert matching(tmp_path, f"sni: {condition}", rows) == numbers


def test_bytes_match_by_their_beginning(tmp_path: Path) -> None:
    rows = np.zeros(2, SESSION_DTYPE)
    rows["client_random"][1, :4] = (0x53, 0x43, 0x5B, 0x90)
    assert matching(tmp_path, "client_random: 53435B90", rows) == [1]
    assert matching(tmp_path, "client_random: ['00', 5343]", rows) == [0, 1]


def test_any_vlan_layer_will_do(tmp_path: Path) -> None:
    rows = rows_with(FLOW_DTYPE, "vlan", [(100, 200, NO_VLAN), (200, NO_VLAN, NO_VLAN), (NO_VLAN,) * 3])
    assert matching(tmp_path, "vlan: 100..150", rows) == [0]
    assert matching(tmp_path, "vlan: 200", rows) == [0, 1]


def test_extensions_are_there_or_not_or_nobody_knows(tmp_path: Path) -> None:
    rows = rows_with(SESSION_DTYPE, "heartbeat_accepted", [1, 2, ABSENT, NOT_SEEN])
    assert matching(tmp_path, "heartbeat_accepted: yes", rows) == [0, 1]
    assert matching(tmp_path, "heartbeat_accepted: no", rows) == [2]
    assert matching(tmp_path, "heartbeat_accepted: unknown", rows) == [3]


def test_records_are_counted_by_type(tmp_path: Path) -> None:
    rows = rows_with(FLOW_DTYPE, "records_to_client", [(0, 0, 0, 0, 7), (7, 7, 7, 7, 0)])
    assert matching(tmp_path, "heartbeat_records_to_client: '> 0'", rows) == [0]
    assert matching(tmp_path, "data_records_to_client: 7", rows) == [1]


def test_all_columns_must_match_and_none_of_those_under_not(tmp_path: Path) -> None:
    rows = np.zeros(4, HEARTBEAT_DTYPE)
    rows["kind"], rows["direction"] = Kind.REQUEST, Direction.TO_SERVER
    rows["claimed_length"], rows["record_length"] = [100, 100, 5, 100], [3, 3, 3, 200]
    rows["server_port"] = [443, 8443, 443, 443]
    assert matching(tmp_path, "overread: '> 50', server_port: 443", rows) == [0]
    assert matching(tmp_path, "overread: '> 50', not: {server_port: 443}", rows) == [1]
    assert matching(tmp_path, "kind: request, not: {server_port: 8443, claimed_length: 5}", rows) == [0, 3]
    assert matching(tmp_path, "suspicious: yes", np.concatenate([rows])) == []  # messages that have not ended


def test_a_flow_lasts_so_many_seconds(tmp_path: Path) -> None:
    rows = rows_with(FLOW_DTYPE, "end_time_ns", [59_999_999_999, 60_000_000_000])
    assert matching(tmp_path, "duration_s: '>= 60'", rows) == [1]


# --- how values are shown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "dtype", "column", "value", "text"),
    [
        ("heartbeats", HEARTBEAT_DTYPE, "phase", Phase.AFTER, "after"),
        ("heartbeats", HEARTBEAT_DTYPE, "phase", Phase.UNKNOWN, None),
        ("heartbeats", HEARTBEAT_DTYPE, "claimed_length", ABSENT, None),
        ("heartbeats", HEARTBEAT_DTYPE, "claimed_length", 0, 0),
        ("flows", FLOW_DTYPE, "client_addr", "192.0.2.1", "192.0.2.1"),
        ("flows", FLOW_DTYPE, "vlan", (100, NO_VLAN, NO_VLAN), 100),
        ("flows", FLOW_DTYPE, "vlan", (100, 200, NO_VLAN), [100, 200]),
        ("flows", FLOW_DTYPE, "vlan", (NO_VLAN,) * 3, None),
        ("flows", FLOW_DTYPE, "protocol", 17, "udp"),
        ("flows", FLOW_DTYPE, "protocol", 132, 132),
        ("flows", FLOW_DTYPE, "transport", Transport.DTLS, "dtls"),
        ("sessions", SESSION_DTYPE, "sni", b"a\xff", "a�"),
        ("sessions", SESSION_DTYPE, "sni", b"", None),
        ("sessions", SESSION_DTYPE, "tls_version", NO_VERSION, None),
        ("sessions", SESSION_DTYPE, "heartbeat_offered", 2, "yes"),
    ],
)
def test_values_are_told_as_they_are_asked_for(
    table: str, dtype: np.dtype[np.void], column: str, value: Any, text: Any
) -> None:
    rows = rows_with(dtype, column, [value])
    asked = TABLES[table][column]
    assert shown(asked, asked.values(Measured(rows) if table == "heartbeats" else rows)[0]) == text


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "a match without table: write table: and one of heartbeats, sessions, flows"),
        ("{table: heartbeat, kind: request}", "there is no table 'heartbeat': use one of heartbeats"),
        ("{table: flows}", "a match without conditions: name a column of flows"),
        ("[table]", "expected a mapping, found a list"),
        ("{table: flows, sni: x}", "flows have no column 'sni'"),
        ("{table: heartbeats, claimed: 5}", "heartbeats have no column 'claimed': did you mean 'claimed_length'?"),
        ("{table: heartbeats, time_ns: 5}", "heartbeats have no column 'time_ns'"),
        (
            "{table: heartbeats, claimed_length: many}",
            "claimed_length cannot be 'many': write a number from 0 to 65535",
        ),
        ("{table: heartbeats, claimed_length: 1.5}", "claimed_length cannot be '1.5'"),
        ("{table: heartbeats, claimed_length: -1}", "claimed_length cannot be '-1'"),
        (
            "{table: heartbeats, claimed_length: '> 65535'}",
            "claimed_length can never be > 65535: write a number from 0",
        ),
        ("{table: heartbeats, claimed_length: '< 0'}", "claimed_length can never be < 0"),
        ("{table: heartbeats, claimed_length: 70000}", "claimed_length is never 70000"),
        ("{table: heartbeats, claimed_length: 64..20}", "claimed_length can never be 64..20"),
        ("{table: heartbeats, claimed_length: '> 5..9'}", "a range is not compared by '>'"),
        ("{table: heartbeats, claimed_length: 5..}", "claimed_length cannot be ''"),
        ("{table: heartbeats, claimed_length: '>'}", "claimed_length is compared with nothing"),
        ("{table: heartbeats, claimed_length: ''}", "claimed_length is compared with nothing"),
        ("table: heartbeats\nclaimed_length: != 5", "claimed_length is compared without quotes"),
        ("table: heartbeats\nclaimed_length: >1\n 5", "claimed_length is compared without quotes"),
        ("{table: heartbeats, claimed_length: []}", "an empty list for claimed_length"),
        ("{table: heartbeats, claimed_length: ['!= 5', 7]}", "any value differs from one of several"),
        ("{table: heartbeats, claimed_length: {a: b}}", "claimed_length is no value"),
        ("{table: heartbeats, claimed_length: [[5]]}", "claimed_length is no value"),
        ("{table: heartbeats, record_length: absent}", "record_length is never absent"),
        ("{table: heartbeats, claimed_length: '> absent'}", "absent is not compared by '>'"),
        ("{table: heartbeats, claimed_length: 99999999999999999999}", "claimed_length cannot be '99999"),
        ("{table: heartbeats, kind: query}", "kind cannot be 'query': write request, response, malformed"),
        ("{table: heartbeats, kind: '> request'}", "kind is a word, and words are not compared by '>'"),
        ("{table: flows, client_addr: 10.0.0.0/33}", "'10.0.0.0/33' is not a network"),
        ("{table: flows, client_addr: '> 10.0.0.1'}", "addresses are not compared by '>'"),
        ("{table: sessions, sni: 'a*b'}", "'a*b' has a * inside"),
        ("{table: sessions, sni: '< a'}", "text is not compared by '<'"),
        ("{table: sessions, client_random: 534}", "'534' are no bytes in hex"),
        ("{table: sessions, client_random: '!= 53'}", "bytes are not compared by '!='"),
        ("{table: sessions, sni: a, not: {sny: b}}", "sessions have no column 'sny': did you mean 'sni'?"),
        ("{table: sessions, sni: a, not: b}", "expected a mapping, found 'b'"),
        ("{table: sessions, sni: a, sni: b}", "key 'sni' given twice"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserInputError) as error:
        match_of(tmp_path / "match.yaml", text)
    (problem,) = error.value.problems
    assert problem.startswith(f"{tmp_path / 'match.yaml'}:")
    assert complaint in problem


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserInputError) as error:
        match_of(tmp_path / "match.yaml", "table: flows\nserver_port: 70000\nsni: x\nclient_addr: y\nnot:\n  vlan: z\n")
    assert [problem.split(":")[1] for problem in error.value.problems] == ["2", "3", "4", "6"]


# --- whatever the rows are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "dtype"), [("heartbeats", HEARTBEAT_DTYPE), ("sessions", SESSION_DTYPE), ("flows", FLOW_DTYPE)]
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_any_bytes_are_judged_and_no_value_is_two_things(
    tmp_path: Path, table: str, dtype: np.dtype[np.void], seed: int
) -> None:
    rows = np.frombuffer(np.random.default_rng(seed).bytes(8 * dtype.itemsize), dtype)
    facts = Measured(rows) if table == "heartbeats" else rows
    everything = np.ones(len(rows), bool)
    for name, column in TABLES[table].items():
        one = {"address": "10.0.0.0/8", "text": "a*", "bytes": "00", "word": next(iter(column.words), "")}
        value = one.get(column.kind, str(column.span[0]))
        match = match_of(tmp_path / "match.yaml", f"{{table: {table}, {name}: {value}}}")
        flags = match.rows(facts, everything)
        assert flags.shape == everything.shape
        if column.kind != "bytes" and name != "vlan":
            other = match_of(tmp_path / "match.yaml", f"{{table: {table}, {name}: '!= {value}'}}")
            assert not (flags & other.rows(facts, everything)).any()
        for told in column.values(facts):
            json.dumps(shown(column, told))
