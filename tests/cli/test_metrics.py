"""The address of `--metrics`; tests/cli/test_service.py has the numbers."""

from __future__ import annotations

import socket

import pytest

from hbids.cli.metrics import Metrics
from hbids.errors import UserInputError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize(("form", "host"), [("{}", "127.0.0.1"), (":{}", "127.0.0.1"), ("localhost:{}", "127.0.0.1")])
def test_listens_on_loopback_unless_told_otherwise(form: str, host: str) -> None:
    port = free_port()
    Metrics(form.format(port))
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)


def test_a_port_in_use_is_told_with_its_option() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="in use") as error:
            Metrics(address)
    assert error.value.filename == f"--metrics {address}"


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:", "127.0.0.1:x", "70000", "1:2:3:x"])
def test_no_port_is_a_mistake(address: str) -> None:
    with pytest.raises(UserInputError, match="no port: write it like"):
        Metrics(address)
