"""Rows of facts as attacks and ordinary traffic would give them, made without packets."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

import numpy as np
import numpy.typing as npt

from hbids.facts import (
    ABSENT,
    FLOW_DTYPE,
    HEARTBEAT_DTYPE,
    NO_VLAN,
    Direction,
    EndReason,
    Kind,
    Phase,
    Protection,
    Rows,
    Transport,
)

__all__ = ["Addresses", "Exchanges", "address_bytes", "flows_of", "numbered_addresses", "rows_of"]

_PROTOCOL_TCP = 6
_AES_GCM, _TLS_1_2 = 0xC02F, 0x0303
_REQUEST_BYTES, _RECORD_BYTES = 3, 16_384
_SEALED_REQUEST_BYTES, _SEALED_OVERHEAD_BYTES = 61, 24
_ANSWER_AFTER_NS = 1_000_000
_SEGMENT_BYTES = 1_448

Addresses = npt.NDArray[np.uint8]
"""Shape (n, 16)."""


@dataclass(slots=True)
class Exchanges:
    """n requests and their answers; arrays have shape (n,)."""

    times_ns: npt.NDArray[np.int64]
    sources: Addresses
    endpoints: Addresses
    claimed: npt.NDArray[np.int64]
    """Payload length that is asked for; nothing is carried."""
    sealed: bool = False
    answered: bool = True


def address_bytes(text: str) -> Addresses:
    """Sixteen bytes, shape (1, 16)."""
    packed = ip_address(text).packed
    mapped = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
    return np.frombuffer(mapped, np.uint8).reshape(1, 16)


def numbered_addresses(numbers: npt.NDArray[np.int64], network: str = "10.0.0.0") -> Addresses:
    """The IPv4 addresses so many above ``network``."""
    addresses = np.repeat(address_bytes(network), len(numbers), axis=0)
    addresses[:, 12:] = (numbers + int(ip_address(network))).astype(">u4").view(np.uint8).reshape(-1, 4)
    return addresses


def rows_of(exchanges: Exchanges, *, first_message: int = 1) -> Rows:
    """Request and answer in turn, shape (2n,); requests alone where nothing is answered. Each is a connection."""
    count = len(exchanges.times_ns)
    rows = np.zeros(count, HEARTBEAT_DTYPE)
    message = first_message + (1 + exchanges.answered) * np.arange(count)
    rows["time_ns"] = rows["end_time_ns"] = rows["flow_start_ns"] = exchanges.times_ns
    rows["message_id"] = rows["flow_id"] = message
    rows["client_addr"], rows["server_addr"] = exchanges.sources, exchanges.endpoints
    rows["client_port"], rows["server_port"] = 1024 + message % 60_000, 443
    rows["vlan"], rows["protocol"] = NO_VLAN, _PROTOCOL_TCP
    rows["transport"], rows["direction"] = Transport.TLS, Direction.TO_SERVER
    rows["protection"] = Protection.SEALED if exchanges.sealed else Protection.CLEAR
    rows["phase"] = Phase.AFTER if exchanges.sealed else Phase.HANDSHAKE
    rows["kind"], rows["is_final"], rows["records"] = Kind.REQUEST, 1, 1
    rows["record_version"] = rows["tls_version"] = _TLS_1_2
    rows["cipher_suite"], rows["heartbeat_accepted"] = _AES_GCM, 1
    rows["record_length"] = rows["bytes_seen"] = _SEALED_REQUEST_BYTES if exchanges.sealed else _REQUEST_BYTES
    rows["message_type"] = rows["claimed_length"] = rows["payload_present"] = rows["padding_present"] = ABSENT
    rows["request_record_length"] = rows["request_claimed_length"] = ABSENT
    if not exchanges.sealed:
        rows["message_type"], rows["claimed_length"], rows["payload_present"] = 1, exchanges.claimed, 0
    return np.column_stack([rows, _answers(rows, exchanges)]).ravel() if exchanges.answered else rows


def _answers(requests: Rows, exchanges: Exchanges) -> Rows:
    rows = requests.copy()
    rows["time_ns"] = rows["end_time_ns"] = exchanges.times_ns + _ANSWER_AFTER_NS
    rows["message_id"] += 1
    rows["direction"], rows["kind"] = Direction.TO_CLIENT, Kind.RESPONSE
    rows["answers_message"] = requests["message_id"]
    rows["request_record_length"] = requests["record_length"]
    rows["request_claimed_length"] = requests["claimed_length"]
    message_bytes = 3 + exchanges.claimed + 16
    records = -(-message_bytes // _RECORD_BYTES)
    overhead = _SEALED_OVERHEAD_BYTES if exchanges.sealed else 0
    rows["records"] = records
    rows["record_length"] = np.minimum(message_bytes, _RECORD_BYTES) + overhead
    rows["bytes_seen"] = message_bytes + records * overhead
    if not exchanges.sealed:
        rows["message_type"], rows["payload_present"], rows["padding_present"] = 2, exchanges.claimed, 16
    return rows


def flows_of(
    times_ns: npt.NDArray[np.int64],
    sources: Addresses,
    endpoint: Addresses,
    bytes_each_way: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> Rows:
    """TLS flows without heartbeats that ended at these times, with so many bytes to the server and to the client."""
    rows = np.zeros(len(times_ns), FLOW_DTYPE)
    rows["time_ns"] = rows["end_time_ns"] = times_ns
    rows["flow_id"] = np.arange(1, len(rows) + 1)
    rows["client_addr"], rows["server_addr"] = sources, endpoint
    rows["client_port"], rows["server_port"] = 1024 + rows["flow_id"] % 60_000, 443
    rows["vlan"], rows["protocol"], rows["transport"] = NO_VLAN, _PROTOCOL_TCP, Transport.TLS
    rows["end_reason"] = EndReason.FIN
    for way, size in zip(("to_server", "to_client"), bytes_each_way, strict=True):
        rows[f"bytes_{way}"], rows[f"packets_{way}"] = size, 4 + size // _SEGMENT_BYTES
    return rows
