"""What sealing adds to a record, by cipher suite: the table behind every estimate of sealed bytes.

Numbers are the IANA TLS Cipher Suites registry's. TLS 1.3 suites are left out: they hide the content type, so nothing
of theirs is ever known to be a heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hbids.facts import Answer

__all__ = ["MAX_PLAINTEXT_BYTES", "Suite", "sealing_of"]

MAX_PLAINTEXT_BYTES = 16_384
"""RFC 5246 section 6.2.1."""

TLS_1_1 = 0x0302
DTLS_BEFORE_1_0 = 0x0100
"""As of OpenSSL before 0.9.8f and Cisco AnyConnect; the numbers of DTLS 1.0 and later are larger than any of TLS."""


@dataclass(frozen=True, slots=True)
class Aead:
    """``fixed_bytes``: explicit nonce and tag."""

    fixed_bytes: int


@dataclass(frozen=True, slots=True)
class Stream:
    """RC4, NULL: only the MAC is added."""

    mac_bytes: int


@dataclass(frozen=True, slots=True)
class Cbc:
    """MAC, then padding to whole blocks; an explicit IV from TLS 1.1 on (RFC 4346 section 6.2.3.2)."""

    block_bytes: int
    mac_bytes: int


Suite = Aead | Stream | Cbc


@dataclass(frozen=True, slots=True)
class Sealing:
    """How one suite, version and MAC order turn plaintext into a record. All lengths are bytes."""

    before_and_after: int
    """Added whatever the plaintext: nonce or IV, tag or MAC outside the blocks."""
    inside: int
    """Added inside the padded part: MAC before encryption, padding length byte."""
    block: int

    def record_bytes(self, plaintext_bytes: int) -> int:
        """The smallest record that holds this much plaintext."""
        blocks = -(-(plaintext_bytes + self.inside) // self.block)
        return self.before_and_after + blocks * self.block

    def plaintext_bytes(self, record_bytes: int) -> int:
        """The most plaintext this record can hold; 0 when it is too small for any."""
        return min(MAX_PLAINTEXT_BYTES, max(0, record_bytes - self.before_and_after - self.inside))


_SUITES: dict[Suite, str] = {
    # AES-GCM, AES-CCM, Camellia-GCM, ARIA-GCM: explicit nonce 8, tag 16 (RFC 5288, RFC 6655)
    Aead(24): (
        "009c-00ad 00c6 c02b-c032 c050-c063 c06a-c06f c07a-c093 c09c-c09f c0a4-c0a7 c0ac-c0ad c0b0-c0b3 d001-d002 d005"
    ),
    # ChaCha20-Poly1305 (no explicit nonce, RFC 7905), AES-CCM-8 (nonce 8, tag 8)
    Aead(16): ("c0a0-c0a3 c0a8-c0ab c0ae-c0af c0ff cc13-cc15 cca8-ccae d003"),
    # AES, Camellia, SEED
    Cbc(16, 20): (
        "002f-003a 0041-0046 0084-0089 008c-008d 0090-0091 0094-009b c004-c005 c009-c00a c00e-c00f c013-c014 "
        "c018-c019 c01d-c022 c035-c036"
    ),
    # AES, Camellia, ARIA
    Cbc(16, 32): (
        "003c-0040 0067-006d 00ae 00b2 00b6 00ba-00c5 c023 c025 c027 c029 c037 c03c c03e c040 c042 c044 c046 c048 "
        "c04a c04c c04e c064 c066 c068 c070 c072 c074 c076 c078 c094 c096 c098 c09a"
    ),
    # AES, Camellia, ARIA
    Cbc(16, 48): (
        "00af 00b3 00b7 c024 c026 c028 c02a c038 c03d c03f c041 c043 c045 c047 c049 c04b c04d c04f c065 c067 c069 "
        "c071 c073 c075 c077 c079 c095 c097 c099 c09b"
    ),
    # DES, RC2, IDEA
    Cbc(8, 16): ("0006 0022-0023 0025 0029-002a 0061"),
    # 3DES, DES, RC2, IDEA
    Cbc(8, 20): (
        "0007-0016 0019-001b 001e-001f 0021 0026-0027 0062-0063 008b 008f 0093 c003 c008 c00d c012 c017 c01a-c01c "
        "c034 fefe-feff ffe0-ffe1"
    ),
    # RC4, NULL
    Stream(16): ("0001 0003-0004 0017-0018 0024 002b 0060"),
    # RC4, NULL, Salsa20
    Stream(20): (
        "0002 0005 0020 0028 002c-002e 0064-0066 008a 008e 0092 c001-c002 c006-c007 c00b-c00c c010-c011 c015-c016 "
        "c033 c039 e410-e41f"
    ),
    # NULL
    Stream(32): ("003b 00b0 00b4 00b8 c03a"),
    # NULL
    Stream(48): ("00b1 00b5 00b9 c03b"),
}


@cache
def _suites_by_number() -> dict[int, Suite]:
    found = {}
    for suite, ranges in _SUITES.items():
        for item in ranges.split():
            first, _, last = item.partition("-")
            for number in range(int(first, 16), int(last or first, 16) + 1):
                found[number] = suite
    return found


@cache
def sealing_of(cipher_suite: int, tls_version: int, encrypt_then_mac: int) -> Sealing | None:
    """The sealing of what a session negotiated; None for suites not in the table (unknown, TLS 1.3)."""
    suite = _suites_by_number().get(cipher_suite)
    match suite:
        case Aead(fixed):
            return Sealing(fixed, 0, 1)
        case Stream(mac):
            return Sealing(mac, 0, 1)
        case Cbc(block, mac):
            initial_vector = block if tls_version >= TLS_1_1 or tls_version == DTLS_BEFORE_1_0 else 0
            if encrypt_then_mac == Answer.YES:
                return Sealing(initial_vector + mac, 1, block)
            return Sealing(initial_vector, mac + 1, block)
    return None
