"""``../shared/corpus/labels.json``: what is known of each capture, because somebody ran it.

Importing this where the corpus is absent skips the importing module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hbids
from hbids.config import Thresholds
from tests.conftest import shared_path

CORPUS: Path = shared_path("corpus")
LABELS: dict[str, dict[str, Any]] = json.loads((CORPUS / "labels.json").read_text())
"""By file name."""

LOOKALIKE = "benign_rawtcp_lookalike_18_03.pcap"
"""Its labels count messages of a protocol that is not TLS, though they equal heartbeat records byte for byte."""

HEARTBEATS_COUNT = [name for name in LABELS if name != LOOKALIKE]
"""The captures whose labelled heartbeats hbids must find."""

HARVEST_ANSWERS = Thresholds().harvest_answers

PADDING_BYTES = 16
"""Of an honest message (RFC 6520 section 4); an estimate cannot tell it from leaked memory."""


@dataclass(slots=True)
class Attacked:
    """What was done to one endpoint, and what came back."""

    requests: int = 0
    overreads: int = 0
    sealed_attacks: int = 0
    leaked: bool = False
    harvest: bool = False

    def verdicts(self) -> set[str]:
        """The verdicts that are right. Of a sealed request that got nothing, nobody can tell whether it over-read."""
        if self.leaked:
            return {"harvested" if self.harvest else "leaked"}
        if self.overreads:
            return {"attempted"}
        return {"probed", "attempted"} if self.sealed_attacks else {"probed"}


def attacked_endpoints(name: str) -> dict[str, Attacked]:
    """Those of a capture: ``ip:port`` of a server, ``ip`` of a client."""
    label = LABELS[name]
    if label["benign"]:
        return {}
    many_sealed = bool(label["leaked_bytes_sealed"]) and label["hb_requests_enc_malicious"] >= HARVEST_ANSWERS
    harvest = many_sealed or "harvest" in name + label["scenario"]
    connections = label["connections"]
    if any("truncated" in connection for connection in connections):  # the long harvests, each of a single server
        (server,) = label["servers_with_heartbeats"]
        requests, overreads = label["hb_requests_clear"], label["hb_requests_clear_overreading"]
        return {server: Attacked(requests, overreads, leaked=label["leaked_bytes_clear"] > 0, harvest=harvest)}
    found: dict[str, Attacked] = {}
    for connection in connections:
        client_ip = connection["client"].rpartition(":")[0]
        for asker, answerer, victim in (("c", "s", connection["server"]), ("s", "c", client_ip)):
            requests = connection.get(f"clear_requests_{asker}", 0)
            sealed_attacks = connection.get("enc_malicious_requests", 0) if asker == "c" else 0
            if not requests and not sealed_attacks:
                continue
            attacked = found.setdefault(victim, Attacked(harvest=harvest))
            overreads = connection.get(f"clear_overread_requests_{asker}", 0)
            attacked.requests += requests
            attacked.overreads += overreads
            attacked.sealed_attacks += sealed_attacks
            attacked.leaked |= overreads > 0 and connection.get(f"clear_responses_{answerer}", 0) > 0
            attacked.leaked |= _leaked_sealed_bytes(connection) > 0
    return found


def _leaked_sealed_bytes(connection: dict[str, Any]) -> int:
    padding = PADDING_BYTES * int(connection.get("enc_answers_msgs", 0))
    return int(connection.get("enc_plain_resp_bytes", 0) - connection.get("enc_plain_req_bytes", 0) - padding)


def endpoint_name(endpoint: dict[str, Any]) -> str:
    """An endpoint of the summary, named as :func:`attacked_endpoints` does."""
    return f"{endpoint['ip']}:{endpoint['port']}" if endpoint["role"] == "server" else str(endpoint["ip"])


@cache
def replayed(name: str, engine: str) -> hbids.Result:
    """A capture's replay; each is run once and judged by many tests."""
    return hbids.replay(CORPUS / name, engine=engine)
