"""TLS as OpenSSL speaks it: Python's ssl module on both sides, what they say written down turn by turn."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation

__all__ = ["Endpoints", "Version"]

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
    from tests.conftest import require_tool  # and pytest with it, which only those need who run this

    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        command = [require_tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-subj", "/CN=hbids", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        server.load_cert_chain(certificate, key)
