"""JA3 and JA3S as tshark computes them, JA4 as its specification does."""

from __future__ import annotations

import random
import subprocess
from functools import cache
from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PCAPS, require_tool
from tests.decode.conftest import Decode
from tests.repository.manifest import CAPTURES
from tests.support import tls
from tests.support.conversation import SECOND_NS, START_NS, Conversation, connected, frames_of, write_pcap
from tests.support.decoding import check, column, decode_file

if TYPE_CHECKING:
    from pathlib import Path

GREASE = 0x0A0A, 0x1A1A, 0xFAFA

# --- JA4 (github.com/FoxIO-LLC/ja4, technical_details/JA4.md at d8f731c) ----------------------------------------------

CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
EXTENSIONS = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"


def numbers(text: str) -> list[int]:
    return [int(number, 16) for number in text.split(",")] if text else []


def hello(
    ciphers: str = CIPHERS,
    extensions: str = EXTENSIONS,
    signatures: str = SIGNATURES,
    *,
    protocol: bytes = b"h2",
    versions: tuple[int, ...] = (tls.TLS_1_3, tls.TLS_1_2),
    grease: tuple[int, ...] = (),
    legacy_version: int = tls.TLS_1_2,
) -> bytes:
    """A ClientHello body with these numbers; ``grease`` is sprinkled over every list."""
    known = {
        0: tls.server_name(b"example.org"),
        13: tls.signature_algorithms(*grease, *numbers(signatures)),
        16: tls.protocols(protocol, b"http/1.1"),
        43: tls.supported_versions(*grease, *versions),
    }
    return tls.client_hello_body(
        version=legacy_version,
        ciphers=[*grease, *numbers(ciphers)],
        extensions=[known.get(number) or tls.extension(number) for number in [*grease, *numbers(extensions)]],
    )


def ja4_of(decode: Decode, body: bytes) -> str:
    (row,) = decode(connected().say_hello(body)).sessions
    return str(row["ja4"].decode())


@pytest.mark.parametrize("grease", [(), GREASE])
def test_ja4_of_the_example_of_the_specification(decode: Decode, grease: tuple[int, ...]) -> None:
    assert ja4_of(decode, hello(grease=grease)) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_ja4_of_a_hello_recorded_by_its_authors(decode: Decode) -> None:
    firefox = hello(
        "1301,1303,1302,c02b,c02f,cca9,cca8,c02c,c030,c00a,c009,c013,c014,009c,009d,002f,0035",
        "0000,0017,ff01,000a,000b,0023,0010,0005,0022,0033,002b,000d,002d,001c,0015",
        "0403,0503,0603,0804,0805,0806,0401,0501,0601,0203,0201",
    )
    assert ja4_of(decode, firefox) == "t13d1715h2_5b57614c22b0_3d5424432f57"


def test_ja4_without_signature_algorithms_ends_without_an_underscore(decode: Decode) -> None:
    assert ja4_of(decode, hello(signatures="")) == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_ja4_of_empty_lists_is_zeros(decode: Decode) -> None:
    assert ja4_of(decode, hello("", "", versions=())) == "t12i000000_000000000000_000000000000"


def test_ja4_counts_at_most_99(decode: Decode) -> None:
    many = ",".join(f"{number:04x}" for number in range(0x100, 0x200))
    assert ja4_of(decode, hello(many, many))[:10] == "t12i999900"


@pytest.mark.parametrize(
    ("protocol", "shown"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"", "00"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
    ],
)
def test_ja4_names_the_first_protocol_by_its_ends(decode: Decode, protocol: bytes, shown: str) -> None:
    assert ja4_of(decode, hello(protocol=protocol))[8:10] == shown


@pytest.mark.parametrize(
    ("versions", "legacy", "shown"),
    [
        ((0x0304, 0x0303), 0x0303, "13"),
        ((), 0x0303, "12"),
        ((), 0x0302, "11"),
        ((), 0x0301, "10"),
        ((), 0x0300, "s3"),
        ((), 0x0002, "s2"),
        ((0xFEFD,), 0x0303, "d2"),
        ((), 0x0399, "00"),
    ],
)
def test_ja4_names_the_highest_version(decode: Decode, versions: tuple[int, ...], legacy: int, shown: str) -> None:
    extensions = EXTENSIONS if versions else "000a"
    assert ja4_of(decode, hello(extensions=extensions, versions=versions, legacy_version=legacy))[1:3] == shown


# --- JA3 --------------------------------------------------------------------------------------------------------------


def test_ja3_is_the_md5_of_what_the_hello_lists(decode: Decode) -> None:
    body = tls.client_hello_body(
        ciphers=[0x1A1A, 0xC02F, 0x002F],
        extensions=[
            tls.extension(0x2A2A),
            tls.groups(0x3A3A, 29, 23),
            tls.point_formats(0, 1),
            tls.heartbeat_extension(),
        ],
    )
    (row,) = decode(connected().say_hello(body)).sessions
    expected = md5(b"771,49199-47,10-11-15,29-23,0-1", usedforsecurity=False).hexdigest()
    check(row, ja3=expected.encode())


def test_ja3s_is_the_md5_of_what_the_server_chose(decode: Decode) -> None:
    server = tls.server_hello_body(extensions=[tls.extension(0xFF01, b"\x00"), tls.heartbeat_extension()])
    (row,) = decode(connected().say_hello(server=server)).sessions
    check(row, ja3s=md5(b"771,49199,65281-15", usedforsecurity=False).hexdigest().encode())


def test_fingerprints_of_many_clients_do_not_mix(decode: Decode) -> None:
    conversations = [
        Conversation(client_port=port, start_ns=START_NS + port * SECOND_NS).connect().say_hello(body)
        for port, body in enumerate([hello(), hello(signatures=""), hello(), hello(protocol=b"h3")], 10_000)
    ]
    ja4s = column(decode(*conversations).sessions, "ja4")
    assert ja4s[0] == ja4s[2]
    assert len(set(ja4s)) == 3


def random_hellos(count: int) -> list[Conversation]:
    """Connections whose hellos list whatever comes, reserved values among it."""
    dice = random.Random(6520)  # noqa: S311  data, not secrets

    def some(most: int) -> list[int]:
        return [dice.choice([*GREASE, dice.randrange(1 << 16)]) for _ in range(dice.randrange(most))]

    def extensions() -> list[bytes]:
        usual = [
            tls.server_name(b"example.org"),
            tls.groups(*some(9)),
            tls.point_formats(*(number & 0xFF for number in some(4))),
            tls.signature_algorithms(*some(9)),
            tls.protocols(b"h2"),
            tls.heartbeat_extension(),
            *(tls.extension(number) for number in dice.sample([18, 21, 22, 23, 35, 0x4469, *GREASE], 4)),
        ]
        return dice.sample(usual, dice.randrange(len(usual)))

    return [
        Conversation(client_port=10_000 + number, start_ns=START_NS + number * SECOND_NS)
        .connect()
        .say_hello(
            tls.client_hello_body(version=dice.choice([0x0301, 0x0303]), ciphers=some(40), extensions=extensions()),
            tls.server_hello_body(cipher=dice.randrange(0xC100), extensions=extensions()),
        )
        for number in range(count)
    ]


@cache
def witnessed(capture: Path) -> list[tuple[str, str]]:
    """JA3 and JA3S of every session as tshark sees them."""
    command = [
        require_tool("tshark"),
        "-r",
        str(capture),
        "-Y",
        "tls.handshake.ja3 || tls.handshake.ja3s",
        "-T",
        "fields",
    ]
    command += ["-e", "tcp.stream", "-e", "tls.handshake.ja3", "-e", "tls.handshake.ja3s"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    streams: dict[str, tuple[str, str]] = {}
    for stream, ja3, ja3s in (line.split("\t") for line in lines):
        known = streams.get(stream, ("", ""))
        streams[stream] = known[0] or ja3, known[1] or ja3s
    return sorted(streams.values())


def test_tshark_agrees_on_random_hellos(engine_name: str, tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "hellos.pcap", frames_of(*random_hellos(150)))
    rows = decode_file(engine_name, capture).sessions
    assert sorted((row["ja3"].decode(), row["ja3s"].decode()) for row in rows) == witnessed(capture)


# What tshark says of TLS outside TCP has no number of a stream to join hellos by: tests/witness asks it about those.
@pytest.mark.parametrize("name", [name for name in CAPTURES if "openvpn" not in name and "eap" not in name])
def test_tshark_agrees_on_the_shipped_captures(engine_name: str, name: str) -> None:
    rows = decode_file(engine_name, PCAPS / name).sessions
    assert sorted((row["ja3"].decode(), row["ja3s"].decode()) for row in rows) == witnessed(PCAPS / name)
