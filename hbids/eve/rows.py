"""Rows of facts that EVE's own events give, and what they know better about rows that were decoded."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from hbids.eve.sieve import SIFTED_DTYPE
from hbids.facts import (
    ABSENT,
    FLOW_DTYPE,
    NEVER_NS,
    NO_VLAN,
    NOT_SEEN,
    SESSION_DTYPE,
    Answer,
    EndReason,
    TlsStart,
    Transport,
)

if TYPE_CHECKING:
    from hbids.eve.flows import FlowCounts, FlowKey
    from hbids.eve.hello import TlsSession
    from hbids.facts import Rows

__all__ = ["flow_row", "flow_rows", "place", "session_row"]

_TCP = 6


def _packed(address: str) -> bytes:
    """Sixteen bytes."""
    data = ip_address(address).packed
    return data if len(data) == 16 else bytes(10) + b"\xff\xff" + data


def session_row(key: FlowKey, vlan: tuple[int, ...], flow_id: int, session: TlsSession) -> Rows:
    """A ``tls`` event as a row of :data:`~hbids.facts.SESSION_DTYPE`, shape (1,)."""
    row = np.zeros(1, SESSION_DTYPE)
    place(row, key, vlan, flow_id)
    row["time_ns"] = session.time_ns
    row["transport"], row["start"] = Transport.TLS, TlsStart.UNKNOWN
    for name in ("client_version", "server_version", "tls_version", "cipher_suite"):
        row[name] = getattr(session, name)
    row["client_hello_length"] = NOT_SEEN
    row["heartbeat_offered"], row["heartbeat_accepted"] = session.heartbeat_offered, session.heartbeat_accepted
    row["resumed"], row["encrypt_then_mac"] = _answer(session.resumed), _answer(session.encrypt_then_mac)
    row["sni"] = session.sni.encode("utf-8", "replace")[:255]
    for name in ("ja3", "ja3s", "ja4"):
        row[name] = getattr(session, name).encode()
    return row


def flow_rows(sifted: Rows, first_flow_id: int) -> Rows:
    """Rows of :data:`~hbids.eve.sieve.SIFTED_DTYPE`, shape (n,), as rows of :data:`~hbids.facts.FLOW_DTYPE`, numbered
    from there. They know no records."""
    rows = np.zeros(len(sifted), FLOW_DTYPE)
    rows["flow_id"] = np.arange(first_flow_id, first_flow_id + len(sifted))
    for name in SIFTED_DTYPE.names or ():
        rows[name] = sifted[name]
    rows["protocol"], rows["transport"] = _TCP, Transport.TLS
    for way in ("to_server", "to_client"):
        rows[f"min_ttl_{way}"] = rows[f"max_ttl_{way}"] = ABSENT
        rows[f"last_record_ns_{way}"] = NEVER_NS
    return rows


def flow_row(
    key: FlowKey, vlan: tuple[int, ...], flow_id: int, counts: FlowCounts, end_ns: int, reason: EndReason
) -> Rows:
    """A ``flow`` event of TLS as a row of :data:`~hbids.facts.FLOW_DTYPE`, shape (1,). It knows no records."""
    row = np.zeros(1, FLOW_DTYPE)
    place(row, key, vlan, flow_id)
    row["time_ns"], row["end_time_ns"], row["end_reason"] = counts.start_ns, end_ns, reason
    row["transport"] = Transport.TLS
    for way in ("to_server", "to_client"):
        row[f"min_ttl_{way}"] = row[f"max_ttl_{way}"] = ABSENT
        row[f"last_record_ns_{way}"] = NEVER_NS
        row[f"packets_{way}"], row[f"bytes_{way}"] = getattr(counts, f"packets_{way}"), getattr(counts, f"bytes_{way}")
    return row


def place(row: Rows, key: FlowKey, vlan: tuple[int, ...], flow_id: int) -> None:
    """Write the columns that all tables have."""
    row["flow_id"] = flow_id
    row["client_addr"] = np.frombuffer(_packed(key.client[0]), np.uint8)
    row["server_addr"] = np.frombuffer(_packed(key.server[0]), np.uint8)
    row["client_port"], row["server_port"], row["protocol"] = key.client[1], key.server[1], key.protocol
    row["vlan"] = NO_VLAN
    row["vlan"][0, : len(vlan)] = vlan


def _answer(value: bool | None) -> Answer:
    return Answer.UNKNOWN if value is None else Answer.YES if value else Answer.NO
