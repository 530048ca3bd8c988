"""Real servers and clients talk over a wire, and hbids listens at the server's end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import require_tool
from tests.support.wire import Sniffer, Wire, eventually

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def client(wire: Wire) -> Iterator[Wire]:
    """The wire's near end in a namespace of its own, so that both ends have an address."""
    far = Wire(f"{wire.namespace}-client")
    subprocess.run(["ip", "netns", "add", far.namespace], check=True)
    try:
        wire.link("in0", "netns", far.namespace)
        for end, interface, address in ((wire, "out0", SERVER), (far, "in0", CLIENT)):
            end.run("ip", "address", "add", f"{address}/24", "dev", interface)
            end.link(interface, "up")
        yield far
    finally:
        subprocess.run(["ip", "netns", "del", far.namespace], check=False)


@contextmanager
def tls_server(wire: Wire, folder: Path) -> Iterator[None]:
    openssl = require_tool("openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", "/CN=server.example", "-days", "1", "-nodes", "-newkey", "rsa:2048")
    wire.run(openssl, "req", "-x509", *subject, "-keyout", key, "-out", certificate)
    (folder / "large").write_bytes(bytes(1 << 20))
    command = wire.inside(openssl, "s_server", "-accept", "443", "-key", key, "-cert", certificate, "-tls1_2", "-WWW")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        eventually(lambda: ":443 " in wire.run("ss", "-ltn").stdout)
        yield
    finally:
        process.kill()
        process.wait()


def get(client: Wire, path: str) -> str:
    command = (
        require_tool("openssl"),
        "s_client",
        "-connect",
        f"{SERVER}:443",
        "-quiet",
        "-servername",
        "server.example",
    )
    return client.run(*command, input=f"GET {path} HTTP/1.0\r\n\r\n").stdout


def test_honest_clients_raise_no_alarm(wire: Wire, client: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live") as sniffer, tls_server(wire, tmp_path):
        for _ in range(5):
            assert len(get(client, "/large")) > 1 << 20
    assert sniffer.summary["tls_sessions"] == 5
    assert sniffer.summary["flows"] == 5
    assert sniffer.alerts == []
    assert "stream_gaps" not in sniffer.summary["drops"]


def test_frames_that_the_kernel_has_not_cut_yet_are_told(wire: Wire, client: Wire, tmp_path: Path) -> None:
    with Sniffer(wire, tmp_path / "live") as sniffer, tls_server(wire, tmp_path):
        get(client, "/large")
        eventually(lambda: any("ethtool -K out0 gro off lro off" in line for line in sniffer.said))
    assert sniffer.summary["drops"]["frames_joined"] > 0


def test_a_checker_finds_nothing_at_a_patched_server_and_nothing_is_said_to_have_leaked(
    wire: Wire, client: Wire, tmp_path: Path
) -> None:
    with Sniffer(wire, tmp_path / "live") as sniffer, tls_server(wire, tmp_path):
        command = (require_tool("nmap"), "-Pn", "-n", "-p", "443", "--script", "ssl-heartbleed", SERVER)
        assert "VULNERABLE" not in client.run(*command).stdout
    assert sniffer.summary["tls_sessions"] > 0
    assert sniffer.summary["leaked_bytes"] == 0
    assert {alert["alert"]["severity"] for alert in sniffer.alerts} <= {3, 4}
