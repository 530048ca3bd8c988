"""tshark agrees on TLS in EAP: the same hellos, the same heartbeat records.

It puts TLS under the protocol that carries it, and mixes up conversations that go on at once; so it is asked apart, and
about one conversation at a time.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hbids
from hbids.facts import CONTENT_TYPES
from tests.conftest import PCAPS, require_tool
from tests.support import eap, tls
from tests.support.conversation import write_pcap
from tests.support.eap import Eapol, Radius, attacked, sealing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEARTBEAT_COLUMN = CONTENT_TYPES.index(24)
METHODS = {name: method for name, method in eap.METHODS.items() if name != "TEAP"}
"""tshark of today does not know that TEAP carries TLS."""


def fields(path: Path, *names: str) -> list[list[str]]:
    """What tshark says in each packet with TLS, field by field."""
    command = [require_tool("tshark"), "-r", str(path), "-Y", "tls", "-T", "fields"]
    command += [part for name in names for part in ("-e", name)]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [line.split("\t") for line in said.splitlines()]


def test_fingerprints_and_suites_of_real_conversations(engine_name: str) -> None:
    path = PCAPS / "benign_eap_eapol.pcap"
    sessions = hbids.replay(path, engine=engine_name).sessions
    said = fields(path, "tls.handshake.ja3", "tls.handshake.ja3s", "tls.handshake.type", "tls.handshake.ciphersuite")
    clients = Counter(ja3 for ja3, _, types, _ in said if types == "1")
    servers = Counter((ja3s, int(suite, 16)) for _, ja3s, types, suite in said if types.startswith("2"))
    assert Counter(row["ja3"].decode() for row in sessions) == clients
    assert Counter((row["ja3s"].decode(), int(row["cipher_suite"])) for row in sessions) == servers
    assert clients.total() == servers.total() == 2


@pytest.mark.parametrize("is_sealed", [False, True], ids=["clear", "sealed"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("carrier", [Radius, Eapol])
def test_heartbeat_records_of_made_conversations(
    tmp_path: Path, engine_name: str, carrier: Callable[[], Radius | Eapol], method: int, is_sealed: bool
) -> None:
    dialogue = attacked(carrier(), method)
    if is_sealed:
        dialogue = sealing(carrier(), method)
        dialogue.client(tls.sealed(27))
        dialogue.server(tls.sealed(5_000, 200))
    path = write_pcap(tmp_path / "eap.pcap", dialogue.frames())
    flows = hbids.replay(path, engine=engine_name).flows
    ours = sum(int(flows[f"records_to_{whom}"][0][HEARTBEAT_COLUMN]) for whom in ("server", "client"))
    our_bytes = sum(int(flows[f"record_bytes_to_{whom}"][0][HEARTBEAT_COLUMN]) for whom in ("server", "client"))
    lengths = []
    for types, sizes in fields(path, "tls.record.content_type", "tls.record.length"):
        pairs = zip(types.split(","), sizes.split(","), strict=True)
        lengths += [int(size) for kind, size in pairs if kind == "24"]
    assert (ours, our_bytes) == (len(lengths), int(np.sum(lengths)))
