"""What OpenSSL says: over TLS by Python's ssl module on both sides, over DTLS by its programs with a relay between."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM

from hbids.facts import Direction
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation

__all__ = ["Endpoints", "Version", "dtls_datagrams"]

Version = ssl.TLSVersion
FLIGHTS = 4
"""Of each side, at most, in any handshake."""


class Endpoints:
    """A client and a server that know each other."""

    def __init__(self, version: Version) -> None:
        self._client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client.check_hostname = False
        self._client.verify_mode = ssl.CERT_NONE
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for context in (self._client, self._server):
            context.minimum_version = context.maximum_version = version
        _certify(self._server)
        self._session: ssl.SSLSession | None = None

    def talk(self, conversation: Conversation, *requests: bytes) -> None:
        """Handshake, which resumes the session of the last talk, then each request is echoed."""
        client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))
        client = self._client.wrap_bio(client_in, client_out, session=self._session)
        server = self._server.wrap_bio(server_in, server_out, server_side=True)

        def carry() -> None:
            for way, source, target in ((TO_SERVER, client_out, server_in), (TO_CLIENT, server_out, client_in)):
                if said := source.read():
                    conversation.segment(way, said)
                    target.write(said)

        for _ in range(FLIGHTS):
            for endpoint in (client, server):
                with suppress(ssl.SSLWantReadError):
                    endpoint.do_handshake()
                carry()
        for request in requests:
            client.write(request)
            carry()
            server.write(server.read(len(request)))
            carry()
            client.read(len(request))
        assert client.session_reused == (self._session is not None)
        self._session = client.session


def _certify(server: ssl.SSLContext) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server.load_cert_chain(*_certificate(Path(folder)))


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [_openssl(), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=hbids", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _openssl() -> str:
    from tests.conftest import require_tool  # and pytest with it, which only those need who run this

    return require_tool("openssl")


# --- DTLS -------------------------------------------------------------------------------------------------------------

LOOPBACK = "127.0.0.1"
SMALL_MTU = "300"
"""So that certificates come in fragments."""
SILENCE_S = 0.3


@cache
def dtls_datagrams() -> list[tuple[Direction, bytes]]:
    """A session of DTLS 1.2 with a cookie, fragments and a line of the client's."""
    ports = socket.socket(AF_INET, SOCK_DGRAM), socket.socket(AF_INET, SOCK_DGRAM)
    with tempfile.TemporaryDirectory() as folder, ports[0] as to_client, ports[1] as to_server:
        certificate, key = _certificate(Path(folder))
        to_client.bind((LOOPBACK, 0))
        to_server.connect((LOOPBACK, _free_port()))
        common = ["-dtls1_2", "-quiet", "-mtu", SMALL_MTU]
        server = [_openssl(), "s_server", *common, "-listen", "-accept", _address(to_server.getpeername())]
        client = [_openssl(), "s_client", *common, "-connect", _address(to_client.getsockname())]
        with _running([*server, "-cert", str(certificate), "-key", str(key)]) as listening:
            while not _is_taken(to_server.getpeername()):
                assert listening.poll() is None
                time.sleep(0.01)
            with _running(client) as talking:
                assert talking.stdin is not None
                talking.stdin.write(b"one line\n")
                talking.stdin.flush()
                return list(_relayed(to_client, to_server))


def _relayed(to_client: socket.socket, to_server: socket.socket) -> Iterator[tuple[Direction, bytes]]:
    """Everything that passes, until nothing does."""
    to_client.settimeout(10)
    client = to_client.recvfrom(0, socket.MSG_PEEK)[1]
    while ready := select.select([to_client, to_server], [], [], SILENCE_S)[0]:
        for port in ready:
            said = port.recv(65_535)
            if port is to_client:
                to_server.send(said)
                yield TO_SERVER, said
            else:
                to_client.sendto(said, client)
                yield TO_CLIENT, said


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            yield it
        finally:
            it.kill()


def _free_port() -> int:
    with socket.socket(AF_INET, SOCK_DGRAM) as one:
        one.bind((LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port


def _is_taken(address: tuple[str, int]) -> bool:
    with socket.socket(AF_INET, SOCK_DGRAM) as one:
        try:
            one.bind(address)
        except OSError:
            return True
        return False


def _address(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
