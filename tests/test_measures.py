"""What rows of heartbeats mean in bytes."""

from __future__ import annotations

import numpy as np
import pytest

from hbids.facts import ABSENT, HEARTBEAT_DTYPE, NO_SUITE, Answer, Kind, Protection, Rows
from hbids.measures import (
    answers_what_must_be_discarded,
    breaks_rfc_6520,
    is_sealed,
    is_short_sealed,
    leaked_bytes,
    leaked_bytes_estimated,
    overread_bytes,
    smallest_sealed_records,
)

AES_GCM, AES_CBC = 0xC02F, 0x002F
TLS_1_0, TLS_1_2 = 0x0301, 0x0303


def heartbeat(kind: Kind, protection: Protection, **columns: int) -> Rows:
    """A table of one row."""
    row = np.zeros(1, HEARTBEAT_DTYPE)
    row["kind"], row["protection"] = kind, protection
    row["claimed_length"] = row["request_record_length"] = row["request_claimed_length"] = ABSENT
    row["cipher_suite"], row["tls_version"], row["encrypt_then_mac"] = AES_GCM, TLS_1_2, Answer.NO
    row["records"] = row["is_final"] = 1
    for name, value in columns.items():
        row[name] = value
    return row


def request(record_length: int, claimed: int) -> Rows:
    columns = {"record_length": record_length, "bytes_seen": record_length, "claimed_length": claimed}
    return heartbeat(Kind.REQUEST, Protection.CLEAR, **columns)


def answer(claimed: int, bytes_seen: int, request_record_length: int, request_claimed: int = 0x4000) -> Rows:
    return heartbeat(
        Kind.RESPONSE,
        Protection.CLEAR,
        claimed_length=claimed,
        bytes_seen=bytes_seen,
        record_length=min(bytes_seen, 16_384),
        answers_message=1,
        request_record_length=request_record_length,
        request_claimed_length=request_claimed,
    )


def sealed_answer(record_length: int, bytes_seen: int, records: int, asked: int, **columns: int) -> Rows:
    return heartbeat(
        Kind.RESPONSE,
        Protection.SEALED,
        record_length=record_length,
        bytes_seen=bytes_seen,
        records=records,
        answers_message=1,
        request_record_length=asked,
        **columns,
    )


def sealed_request(record_length: int, **columns: int) -> Rows:
    return heartbeat(Kind.REQUEST, Protection.SEALED, record_length=record_length, bytes_seen=record_length, **columns)


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record_length", "claimed", "overread", "breaks"),
    [
        pytest.param(3, 0x4000, 16_384, True, id="the classic"),
        pytest.param(3, 3, 3, True, id="what Zeek misses"),
        pytest.param(18, 16, 1, True, id="off by one"),
        pytest.param(18, 18, 3, True, id="off by three"),
        pytest.param(19, 0, 0, False, id="the smallest legal"),
        pytest.param(23, 4, 0, False, id="honest"),
        pytest.param(23, 5, 0, True, id="a byte of padding is missing"),
        pytest.param(23, 20, 0, True, id="no padding"),
        pytest.param(23, 21, 1, True, id="the boundary"),
        pytest.param(18, 0, 0, True, id="too short even for no payload"),
        pytest.param(37, 18, 0, False, id="OpenSSL"),
        pytest.param(3, 0, 0, True, id="zgrab"),
        pytest.param(16_384, 16_381, 0, True, id="masstest"),
        pytest.param(3, 65_535, 65_535, True, id="the most"),
        pytest.param(65_535, 65_535, 3, True, id="an absurd record"),
    ],
)
def test_a_request_over_reads_what_its_claim_exceeds_its_record_by(
    record_length: int, claimed: int, overread: int, *, breaks: bool
) -> None:
    row = request(record_length, claimed)
    assert overread_bytes(row).tolist() == [overread]
    assert breaks_rfc_6520(row).tolist() == [breaks]


def test_only_clear_requests_over_read() -> None:
    assert overread_bytes(answer(0x4000, 20, 3)).tolist() == [0]
    assert overread_bytes(sealed_request(27)).tolist() == [0]
    assert overread_bytes(request(3, ABSENT)).tolist() == [0]


def test_what_is_malformed_breaks_the_rfc() -> None:
    assert breaks_rfc_6520(heartbeat(Kind.MALFORMED, Protection.CLEAR)).tolist() == [True]


def test_measures_take_whole_tables() -> None:
    rows = np.concatenate([request(3, 0x4000), answer(0x4000, 16_403, 3), sealed_answer(130, 130, 1, 92)])
    assert overread_bytes(rows).tolist() == [16_384, 0, 0]
    assert leaked_bytes(rows).tolist() == [0, 16_384, 0]
    assert leaked_bytes_estimated(rows).tolist() == [0, 0, 22]
    assert is_sealed(rows).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "measure", [overread_bytes, leaked_bytes, leaked_bytes_estimated, breaks_rfc_6520, is_short_sealed]
)
def test_no_rows_measure_nothing(measure: object) -> None:
    assert callable(measure)
    assert len(measure(np.zeros(0, HEARTBEAT_DTYPE))) == 0


# --- clear answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "bytes_seen", "request_record_length", "leaked"),
    [
        pytest.param(0x4000, 16_403, 3, 16_384, id="whole"),
        pytest.param(0x4000, 16_384, 3, 16_381, id="the tail is missing"),
        pytest.param(0x4000, 16_403, 22, 16_365, id="nmap sent 19 itself"),
        pytest.param(0xFFED, 65_536, 3, 65_517, id="pacemaker"),
        pytest.param(0x4000, 3, 3, 0, id="a header alone"),
        pytest.param(0x4000, 4, 3, 1, id="the first byte"),
        pytest.param(0x4000, 0, 3, 0, id="nothing came"),
        pytest.param(16_381, 16_384, 16_384, 0, id="sslyze"),
        pytest.param(3, 22, 6, 0, id="sslyze, second"),
        pytest.param(18, 37, 37, 0, id="honest"),
        pytest.param(100, 50_000, 3, 100, id="more came than claimed"),
        pytest.param(0x4000, 16_403, 2, 16_384, id="to a request without a whole header"),
    ],
)
def test_a_leak_is_what_came_beyond_what_was_sent(
    claimed: int, bytes_seen: int, request_record_length: int, leaked: int
) -> None:
    assert leaked_bytes(answer(claimed, bytes_seen, request_record_length)).tolist() == [leaked]


def test_an_answer_whose_request_was_not_seen_is_not_measured() -> None:
    row = answer(0x4000, 16_403, ABSENT)
    row["answers_message"] = 0
    assert leaked_bytes(row).tolist() == [0]


@pytest.mark.parametrize(
    ("request_record_length", "request_claimed", "flag"),
    [
        (3, 0x4000, True),
        (3, 0, True),
        (18, 0, True),
        (19, 0, False),
        (37, 18, False),
        (36, 18, True),
        (16_384, 16_381, True),
    ],
)
def test_a_patched_peer_answers_only_what_is_padded(
    request_record_length: int, request_claimed: int, *, flag: bool
) -> None:
    row = answer(request_claimed, 100, request_record_length, request_claimed)
    assert answers_what_must_be_discarded(row).tolist() == [flag]


# --- sealed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suite", "version", "least"),
    [
        (0xC02F, TLS_1_2, 43),
        (0xCCA8, TLS_1_2, 35),
        (0x002F, TLS_1_2, 64),
        (0x002F, TLS_1_0, 48),
        (0x003C, TLS_1_2, 80),
        (0xC028, TLS_1_2, 96),
        (0x000A, TLS_1_2, 48),
        (0x000A, TLS_1_0, 40),
        (0x0005, TLS_1_2, 39),
        (0x0004, TLS_1_2, 35),
    ],
)
def test_less_than_the_suites_least_is_short(suite: int, version: int, least: int) -> None:
    rows = np.concatenate(
        [sealed_request(length, cipher_suite=suite, tls_version=version) for length in (least - 1, least)]
    )
    assert is_short_sealed(rows).tolist() == [True, False]
    assert smallest_sealed_records(rows).tolist() == [least, least]


def test_without_a_suite_nothing_is_short() -> None:
    row = sealed_request(1, cipher_suite=NO_SUITE)
    assert is_short_sealed(row).tolist() == [False]
    assert smallest_sealed_records(row).tolist() == [0]


def test_only_requests_are_short() -> None:
    assert is_short_sealed(sealed_answer(27, 27, 1, 27)).tolist() == [False]


@pytest.mark.parametrize(
    ("records", "asked", "leaked"),
    [
        pytest.param([16_408] * 4 + [42], 61, 65_501, id="heartleech"),
        pytest.param([130], 92, 22, id="FiloSottile"),
        pytest.param([44], 27, 1, id="heartbleeder"),
        pytest.param([43], 27, 0, id="zgrab"),
        pytest.param([61], 61, 0, id="OpenSSL"),
        pytest.param([327], 327, 0, id="GnuTLS"),
        pytest.param([16_408] * 4, 61, 65_536 - 37 - 16, id="records exactly full"),
        pytest.param([77], 61, 0, id="explained by padding"),
        pytest.param([78], 61, 1, id="not explained by padding"),
        pytest.param([20], 61, 0, id="shorter than the request"),
    ],
)
def test_a_sealed_leak_is_estimated_from_lengths(records: list[int], asked: int, leaked: int) -> None:
    row = sealed_answer(records[0], sum(records), len(records), asked)
    assert leaked_bytes_estimated(row).tolist() == [leaked]
    assert leaked_bytes(row).tolist() == [0]


def sealed_cbc(plaintext: int, version: int) -> int:
    """The AES-CBC-SHA record around this much."""
    return (16 if version > TLS_1_0 else 0) + -(-(plaintext + 21) // 16) * 16


@pytest.mark.parametrize("version", [TLS_1_0, TLS_1_2])
@pytest.mark.parametrize("claimed", [1, 100, 0x1000, 0x4000, 0xFFED, 0xFFFF])
def test_under_cbc_the_estimate_is_off_by_less_than_a_block(claimed: int, version: int) -> None:
    message = 3 + claimed + 16
    records = [sealed_cbc(min(16_384, message - at), version) for at in range(0, message, 16_384)]
    asked = sealed_cbc(3, version)
    row = sealed_answer(records[0], sum(records), len(records), asked, cipher_suite=AES_CBC, tls_version=version)
    (leaked,) = leaked_bytes_estimated(row).tolist()
    assert abs(leaked - claimed) < 16


def test_the_tls_version_decides_whether_records_carry_an_iv() -> None:
    rows = [
        sealed_answer(16_424, 2 * 16_424, 2, 64, cipher_suite=AES_CBC, tls_version=version)
        for version in (TLS_1_0, TLS_1_2)
    ]
    assert [leaked_bytes_estimated(row).tolist() for row in rows] == [[2 * 16_384 - 43 - 16], [2 * 16_384 - 27 - 16]]


def test_a_suite_that_was_not_seen_is_taken_for_the_most_common() -> None:
    row = sealed_answer(16_408, 16_450, 2, 61, cipher_suite=NO_SUITE, tls_version=0)
    assert leaked_bytes_estimated(row).tolist() == [16_384 + 18 - 37 - 16]


@pytest.mark.parametrize("lost", [1, 1000, 16_408, 30_000])
def test_bytes_the_capture_lost_are_not_counted_as_leaked(lost: int) -> None:
    whole = sealed_answer(16_408, 4 * 16_408 + 42, 5, 61)
    damaged = sealed_answer(16_408, 4 * 16_408 + 42 - lost, 5, 61, gap=1)
    (all_of_it,), (some,) = leaked_bytes_estimated(whole).tolist(), leaked_bytes_estimated(damaged).tolist()
    assert all_of_it - lost - 24 * 5 <= some <= all_of_it - lost + 24


@pytest.mark.parametrize(("seen", "leaked"), [(16_408, 16_384 - 19), (61, 0)])
def test_of_a_sealed_answer_whose_request_was_not_seen_all_payload_is_taken_for_leaked(seen: int, leaked: int) -> None:
    row = sealed_answer(seen, seen, 1, ABSENT)
    row["answers_message"] = 0
    assert leaked_bytes_estimated(row).tolist() == [leaked]


@pytest.mark.parametrize(("asked", "flag"), [(42, True), (43, False), (61, False)])
def test_a_patched_peer_answers_no_sealed_request_that_is_too_short(asked: int, *, flag: bool) -> None:
    assert answers_what_must_be_discarded(sealed_answer(61, 61, 1, asked)).tolist() == [flag]


@pytest.mark.parametrize(("records", "flag"), [(1, False), (2, True)])
def test_a_patched_peer_gives_no_answer_of_several_records(records: int, *, flag: bool) -> None:
    assert answers_what_must_be_discarded(sealed_answer(16_408, 16_448, records, 16_408)).tolist() == [flag]


@pytest.mark.parametrize("version", [TLS_1_0, TLS_1_2])
@pytest.mark.parametrize("beyond", [0, 1, 15, 100, 49_154])
def test_under_cbc_a_request_that_fills_its_record_makes_no_leak_of_padding(beyond: int, version: int) -> None:
    message = 3 + 16_381 + beyond + 16
    records = [sealed_cbc(min(16_384, message - at), version) for at in range(0, message, 16_384)]
    asked = sealed_cbc(16_384, version)
    row = sealed_answer(records[0], sum(records), len(records), asked, cipher_suite=AES_CBC, tls_version=version)
    (leaked,) = leaked_bytes_estimated(row).tolist()
    assert max(0, beyond - 15) <= leaked <= beyond
