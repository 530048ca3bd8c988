"""Cut some flows out of a capture into a file of their own, so that a slow dissector need not read the rest."""

from __future__ import annotations

from fractions import Fraction
from ipaddress import ip_address
from typing import IO, TYPE_CHECKING, NamedTuple

import dpkt

from hbids.config import Limits
from hbids.decode.reference.eapol import GROUP_ADDRESS
from hbids.decode.reference.frame import FrameReader
from hbids.decode.reference.layers import Eapol, Fragment, Segment
from hbids.decode.reference.network import V4_MAPPED
from hbids.decode.reference.transport import PROTOCOL_TCP, PROTOCOL_UDP
from hbids.eve.event import mac_of
from hbids.facts import PROTOCOL_EAPOL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hbids.facts import FlowContext, FrameBatch

__all__ = ["FlowKey", "carve", "sixteen_bytes"]

_SNAP_LENGTH = 1 << 18
_ETHERTYPE_EAPOL = b"\x88\x8e"
_MOST_NS = (1 << 32) * 1_000_000_000 - 1
"""The pcap format has 32 bits for seconds."""


class FlowKey(NamedTuple):
    """What names a flow in a capture; flows that follow each other on the same ports share it."""

    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    protocol: int = PROTOCOL_TCP
    """IP protocol number."""

    @classmethod
    def of(cls, flow: FlowContext) -> FlowKey:
        """The key of a finding's flow."""
        return cls(flow.client_ip, flow.client_port, flow.server_ip, flow.server_port, flow.protocol)

    def reversed(self) -> FlowKey:
        """The same flow named from its other end."""
        return FlowKey(self.server_ip, self.server_port, self.client_ip, self.client_port, self.protocol)

    def __str__(self) -> str:
        if self.protocol == PROTOCOL_EAPOL:
            return f"{mac_of(self.client_ip)} -> {mac_of(self.server_ip)}"
        return f"{_endpoint(self.client_ip, self.client_port)} -> {_endpoint(self.server_ip, self.server_port)}"


def carve(
    batches: Iterable[FrameBatch], keys: Collection[FlowKey], target: IO[bytes], limits: Limits | None = None
) -> set[int]:
    """Write the frames of the flows named by ``keys`` as a pcap with nanosecond times; IP fragments between their
    hosts too, whatever they belong to. ``limits`` are those the flows were found with.

    A pcap has one link type: that of the first frame written. Gives the link types that were therefore left out.
    """
    wanted = {
        (sixteen_bytes(way.client_ip), sixteen_bytes(way.server_ip), way.client_port, way.server_port, way.protocol)
        for key in keys
        for way in (key, key.reversed())
    }
    stations = {address for address, *_, protocol in wanted if protocol == PROTOCOL_EAPOL} - {GROUP_ADDRESS}
    # Looking for some bytes is far cheaper than parsing every frame.
    signs = {address.removeprefix(V4_MAPPED) for address, *_ in wanted} | ({_ETHERTYPE_EAPOL} if stations else set())
    hosts = {ends[:2] for ends in wanted}
    reader = FrameReader(limits or Limits())
    writer: dpkt.pcap.Writer | None = None
    link_type = 0
    left_out: set[int] = set()
    for batch in batches:
        for time_ns, offset, captured_bytes, _, frame_link_type, _ in batch.frames.tolist():
            frame = batch.data[offset : offset + captured_bytes]
            if not any(sign in frame for sign in signs):
                continue
            found = reader.read(frame_link_type, frame)
            if isinstance(found, str):
                continue
            if isinstance(found, Eapol):
                belongs = not stations.isdisjoint((found.src_addr, found.dst_addr))
            elif isinstance(found, Fragment):
                belongs = (found.key.src_addr, found.key.dst_addr) in hosts
            else:
                protocol = PROTOCOL_TCP if isinstance(found, Segment) else PROTOCOL_UDP
                belongs = (*found[:4], protocol) in wanted
            if not belongs:
                continue
            if writer is None:
                link_type = frame_link_type
                writer = dpkt.pcap.Writer(target, snaplen=_SNAP_LENGTH, linktype=link_type, nano=True)
            if frame_link_type != link_type:
                left_out.add(frame_link_type)
                continue
            writer.writepkt(frame, Fraction(min(max(time_ns, 0), _MOST_NS), 1_000_000_000))
    target.flush()
    return left_out


def sixteen_bytes(ip: str) -> bytes:
    """An address as the fact tables hold it."""
    packed = ip_address(ip).packed
    return V4_MAPPED + packed if len(packed) == 4 else packed


def _endpoint(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
