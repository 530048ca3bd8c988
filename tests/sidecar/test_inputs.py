"""Lines that are brought: over sockets that Suricata connects to, and through a pipe; test_redis.py has Redis."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hbids.config import Eve
from hbids.eve.inbox import Inbox, open_inbox
from hbids.eve.silence import silence
from tests.conftest import PCAPS, run_hbids
from tests.support.suricata import CONFIGURATION, CONTENT, eve_of, suricata

TRY_S, MOST_TRIES = 0.02, 1_000


def eventually(read: Callable[[], Any], wanted: Any) -> None:
    for _ in range(MOST_TRIES):
        if read() == wanted:
            return
        time.sleep(TRY_S)
    assert read() == wanted


def opened(name: str, **limits: int) -> Inbox:
    inbox = open_inbox(name, Eve(**limits))
    assert inbox is not None
    return inbox


def test_a_stream_socket_takes_what_several_connections_bring(tmp_path: Path) -> None:
    path, got = tmp_path / "eve.socket", bytearray()
    inbox = opened(f"unix_stream:{path}")
    for number in (1, 2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as suricata_end:
            suricata_end.connect(str(path))
            suricata_end.sendall(b'{"n":%d}\n{"half' % number)
            suricata_end.sendall(b'":%d}' % number)

    def read() -> list[bytes]:
        got.extend(b"".join(inbox.read()))
        return sorted(bytes(got).splitlines())

    eventually(read, sorted([b'{"n":1}', b'{"half":1}', b'{"n":2}', b'{"half":2}']))
    inbox.close()
    assert not path.exists()


def test_each_datagram_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "eve.socket"
    got: list[bytes] = []
    inbox = opened(f"unix_dgram:{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as suricata_end:
        for number in range(3):
            suricata_end.sendto(b'{"n":%d}' % number, str(path))

    def read() -> list[bytes]:
        got.extend(inbox.read())
        return got

    eventually(read, [b'{"n":0}\n', b'{"n":1}\n', b'{"n":2}\n'])
    inbox.close()


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "eve.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    inbox = opened(f"unix_stream:{path}")
    with pytest.raises(OSError, match="in use"):
        open_inbox(f"unix_stream:{path}", Eve())
    inbox.close()


def test_what_there_is_no_room_for_is_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "eve.socket"
    inbox = opened(f"unix_dgram:{path}", inbox_bytes=100)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as suricata_end:
        for _ in range(10):
            suricata_end.sendto(b"x" * 59, str(path))
    eventually(lambda: inbox.dropped, 8)
    assert len(list(inbox.read())) == 2
    inbox.close()


def test_standard_input_is_read_to_its_end() -> None:
    lines = eve_of(PCAPS / "scan_vuln_stafford.pcap").read_bytes()
    for options in ([], ["--once"]):
        done = run_hbids("sidecar", *options, "--fail-on", "leaked", "-", stdin=lines)
        assert (done.returncode, "32,736 bytes" in done.stdout) == (3, True), done.stderr


def test_a_real_suricata_writes_to_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "eve.socket"
    fragment = tmp_path / "socket.yaml"
    text = (CONTENT / "hbids.yaml").read_text()
    fragment.write_text(
        text.replace("filetype: regular", "filetype: unix_stream").replace("filename: eve.json", f"filename: {path}")
    )
    inbox, got = opened(f"unix_stream:{path}"), bytearray()
    assert CONFIGURATION.exists()
    suricata("-r", PCAPS / "scan_vuln_stafford.pcap", "-l", tmp_path, "-k", "none", fragment=fragment)

    def read() -> bool:
        got.extend(b"".join(inbox.read()))
        return b'"event_type":"stats"' in got and b'"event_type":"flow"' in got

    eventually(read, wanted=True)
    inbox.close()
    assert got.count(b"\n") >= eve_of(PCAPS / "scan_vuln_stafford.pcap").read_bytes().count(b"\n")


@pytest.mark.parametrize(
    ("lines", "events", "told"),
    [
        (5_000, {"tls": 9, "flow": 9}, []),
        (5_000, {"flow": 9}, ["no tls event"]),
        (5_000, {}, ["no tls event", "no flow or netflow event"]),
        (10, {}, []),
        (10, {"heartbeat alerts": 3}, ["without packets"]),
        (10, {"heartbeat alerts": 3, "with packet": 3}, []),
    ],
)
def test_silence_is_told(lines: int, events: dict[str, int], told: list[str]) -> None:
    missed = silence(lines, events)
    assert len(missed) == len(told)
    assert all(word in text for word, text in zip(told, missed, strict=True))
