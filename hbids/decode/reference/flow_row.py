"""Rows of flows: when one ends, and at checkpoints of long ones."""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack
from typing import Protocol

from hbids.decode.reference.openvpn import OpenVpn, OpenVpnFlow
from hbids.decode.reference.run import Run
from hbids.decode.reference.stream import Stream
from hbids.decode.reference.tcp import Connection
from hbids.facts import ABSENT, Direction, EndReason, Transport

__all__ = ["write_row"]


class RowFlow(OpenVpnFlow, Protocol):
    """What a row needs of its flow."""

    start_ns: int
    end_ns: int
    ttls: list[tuple[int, int] | None]
    """Of each side, the lowest and the highest."""
    streams: list[Stream]
    connection: Connection
    vpn: OpenVpn


def write_row(run: Run, flow: RowFlow, reason: EndReason) -> None:
    """Add a row."""
    first_fin = flow.connection.first_fin
    fields = {
        **flow.endpoint_fields(),
        **flow.so_far_fields(),
        "time_ns": flow.start_ns,
        "end_time_ns": flow.end_ns,
        "transport": transport_of(flow),
        "midstream": flow.midstream,
        "end_reason": reason,
        "first_fin": Direction.UNKNOWN if first_fin is None else flow.direction(first_fin),
    }
    for side in (0, 1):
        way = "to_server" if flow.is_client(side) else "to_client"
        ttls, stream = flow.ttls[side] or (ABSENT, ABSENT), flow.streams[side]
        sessions = [flow.session, *flow.vpn.sessions()]
        last_record = max(session.heartbeats.last_records[side] for session in sessions)
        fields |= {
            f"min_ttl_{way}": ttls[0],
            f"max_ttl_{way}": ttls[1],
            f"records_{way}": pack("<5I", *sums(session.records[side] for session in sessions)),
            f"record_bytes_{way}": pack("<5Q", *sums(session.record_bytes[side] for session in sessions)),
            f"heartbeats_{way}": sum(session.heartbeats.counts[side] for session in sessions),
            f"gaps_{way}": stream.gaps + flow.vpn.gaps(side),
            f"gap_bytes_{way}": stream.gap_bytes,
            f"conflicts_{way}": stream.conflicts,
            f"last_record_ns_{way}": last_record.began_ns,
            f"last_record_type_{way}": last_record.content_type,
        }
    writer = run.rows.flows
    writer.append(writer.pack(fields))


def transport_of(flow: RowFlow) -> int:
    """Of its records; 0 when no TLS was seen."""
    if flow.vpn.is_tls:
        return Transport.TLS
    return flow.session.transport if flow.session.is_tls else 0


def sums(rows: Iterable[list[int]]) -> list[int]:
    """Place by place."""
    return [sum(numbers) for numbers in zip(*rows, strict=True)]
