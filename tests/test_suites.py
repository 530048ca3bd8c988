"""What sealing adds to a record under each cipher suite."""

from __future__ import annotations

import pytest

from hbids.facts import NO_SUITE, Answer
from hbids.suites import MAX_PLAINTEXT_BYTES, sealing_of

TLS_1_0, TLS_1_1, TLS_1_2 = 0x0301, 0x0302, 0x0303
HONEST_BYTES = 19
"""The smallest legal heartbeat: 3 bytes of header, 16 of padding."""

# IANA name, number, version, smallest record around 19 bytes of plaintext. Measured in the laboratory, or listed by
# Zeek's heartbleed.zeek; the rest follow from the RFC of the suite.
SMALLEST = [
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC02F, TLS_1_2, 43),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", 0x009D, TLS_1_2, 43),
    ("TLS_RSA_WITH_AES_128_CCM", 0xC09C, TLS_1_2, 43),
    ("TLS_RSA_WITH_AES_128_CCM_8", 0xC0A0, TLS_1_2, 35),
    ("TLS_RSA_WITH_CAMELLIA_128_GCM_SHA256", 0xC07A, TLS_1_2, 43),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA8, TLS_1_2, 35),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", 0x002F, TLS_1_0, 48),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", 0x002F, TLS_1_1, 64),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", 0x002F, TLS_1_2, 64),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xC014, TLS_1_2, 64),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003C, TLS_1_2, 80),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", 0xC028, TLS_1_2, 96),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", 0x000A, TLS_1_0, 40),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", 0x000A, TLS_1_2, 48),
    ("TLS_RSA_WITH_RC4_128_SHA", 0x0005, TLS_1_0, 39),
    ("TLS_RSA_WITH_RC4_128_SHA", 0x0005, TLS_1_2, 39),
    ("TLS_RSA_WITH_RC4_128_MD5", 0x0004, TLS_1_2, 35),
    ("TLS_RSA_WITH_NULL_SHA256", 0x003B, TLS_1_2, 51),
]

# What OpenSSL's heartbeat of 37 bytes becomes (measured).
MEASURED = [
    ("AES-GCM", 0xC02F, TLS_1_2, 61),
    ("RC4-SHA", 0x0005, TLS_1_2, 57),
    ("AES-CBC-SHA, TLS 1.0", 0x002F, TLS_1_0, 64),
    ("AES-CBC-SHA, TLS 1.2", 0x002F, TLS_1_2, 80),
]


@pytest.mark.parametrize(("suite", "version", "expected"), [e[1:] for e in SMALLEST], ids=[e[0] for e in SMALLEST])
def test_the_smallest_legal_heartbeat(suite: int, version: int, expected: int) -> None:
    sealing = sealing_of(suite, version, Answer.NO)
    assert sealing is not None
    assert sealing.record_bytes(HONEST_BYTES) == expected


@pytest.mark.parametrize(("suite", "version", "expected"), [e[1:] for e in MEASURED], ids=[e[0] for e in MEASURED])
def test_the_heartbeat_of_openssl(suite: int, version: int, expected: int) -> None:
    sealing = sealing_of(suite, version, Answer.NO)
    assert sealing is not None
    assert sealing.record_bytes(37) == expected


@pytest.mark.parametrize(
    ("suite", "version", "expected"), [(0x002F, TLS_1_2, 68), (0x002F, TLS_1_0, 52), (0x003C, TLS_1_2, 80)]
)
def test_encrypt_then_mac_keeps_the_mac_out_of_the_blocks(suite: int, version: int, expected: int) -> None:
    sealing = sealing_of(suite, version, Answer.YES)
    assert sealing is not None
    assert sealing.record_bytes(HONEST_BYTES) == expected


@pytest.mark.parametrize("suite", [0xC02F, 0xCCA8, 0x0005])
def test_encrypt_then_mac_means_nothing_without_blocks(suite: int) -> None:
    assert sealing_of(suite, TLS_1_2, Answer.YES) == sealing_of(suite, TLS_1_2, Answer.NO)


@pytest.mark.parametrize("suite", [0x1301, 0x1302, 0x1303, 0x00FF, 0x5600, NO_SUITE])
def test_what_is_no_suite_that_seals_visibly_is_unknown(suite: int) -> None:
    assert sealing_of(suite, TLS_1_2, Answer.NO) is None


@pytest.mark.parametrize("encrypt_then_mac", [Answer.UNKNOWN, Answer.NO, Answer.YES])
@pytest.mark.parametrize("version", [TLS_1_0, TLS_1_2])
@pytest.mark.parametrize("suite", sorted({number for _, number, _, _ in SMALLEST}))
def test_the_record_of_a_plaintext_holds_that_plaintext(suite: int, version: int, encrypt_then_mac: Answer) -> None:
    sealing = sealing_of(suite, version, encrypt_then_mac)
    assert sealing is not None
    for plaintext_bytes in (0, 1, 15, 16, 17, 37, 300, 16_383, MAX_PLAINTEXT_BYTES):
        record_bytes = sealing.record_bytes(plaintext_bytes)
        assert plaintext_bytes <= sealing.plaintext_bytes(record_bytes) < plaintext_bytes + sealing.block
        assert sealing.plaintext_bytes(record_bytes - sealing.block) < max(1, plaintext_bytes)


@pytest.mark.parametrize("record_bytes", [0, 1, 24])
def test_a_record_too_small_for_any_plaintext_holds_none(record_bytes: int) -> None:
    sealing = sealing_of(0xC02F, TLS_1_2, Answer.NO)
    assert sealing is not None
    assert sealing.plaintext_bytes(record_bytes) == 0


def test_no_record_holds_more_than_a_fragment() -> None:
    sealing = sealing_of(0xC02F, TLS_1_2, Answer.NO)
    assert sealing is not None
    assert sealing.plaintext_bytes(65_535) == MAX_PLAINTEXT_BYTES
