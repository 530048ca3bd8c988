"""What tshark sees of heartbeats in a capture: a second opinion from a decoder that shares no code with ours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from itertools import chain
from typing import Any

from hbids.decode.reference.eapol import link_local
from hbids.decode.reference.transport import PROTOCOL_TCP, PROTOCOL_UDP
from hbids.facts import PROTOCOL_EAPOL
from hbids.pipeline.carve import FlowKey

__all__ = ["Heartbeats", "TsharkMissing", "as_heard", "heartbeats_by_sender"]

_HEARTBEAT = "24"
_LAYERS = {PROTOCOL_TCP: ("tls",), PROTOCOL_UDP: ("dtls", "tls", "radius"), PROTOCOL_EAPOL: ("eap",)}
"""Where records may lie: what tshark puts under another protocol, pyshark gives as fields of that."""


class TsharkMissing(RuntimeError):
    """There is no tshark to ask."""


@dataclass(slots=True)
class Heartbeats:
    """The heartbeat records of one sender on one flow."""

    lengths: list[int] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)
    """What tshark's experts remarked."""


def heartbeats_by_sender(path: str, dissectors: dict[tuple[int, int], str]) -> dict[FlowKey, Heartbeats]:
    """Dissect a capture; each key is seen from the sender of the records, be it client or server.

    ``dissectors``: what each port (IP protocol and port) is taken for, whatever tshark thinks. Raises TsharkMissing.
    """
    from pyshark.tshark.tshark import TSharkNotFoundException

    from hbids.cli.patient import PatientCapture

    seen: dict[FlowKey, Heartbeats] = defaultdict(Heartbeats)
    try:
        capture = PatientCapture(
            path,
            display_filter=f"tls.record.content_type == {_HEARTBEAT} or dtls.record.content_type == {_HEARTBEAT}",
            decode_as={_selector(*port): dissector for port, dissector in dissectors.items()},
            keep_packets=False,
        )
        for packet in capture:
            sender = _sender(packet)
            for layer in chain.from_iterable(map(packet.get_multiple_layers, _LAYERS[sender.protocol])):
                types, lengths = _all(layer, "record_content_type"), _all(layer, "record_length")
                seen[sender].lengths += [int(n) for kind, n in zip(types, lengths, strict=False) if kind == _HEARTBEAT]
                seen[sender].notes.update(_all(layer, "_ws_expert_message"))
        capture.close()
    except TSharkNotFoundException as error:
        raise TsharkMissing("tshark is not installed: install Wireshark's tshark for a second opinion") from error
    return seen


def as_heard(sender: FlowKey) -> FlowKey:
    """The key under which a sender's records are found: EAPOL may be sent to everybody, so that nobody is told."""
    return sender._replace(server_ip="") if sender.protocol == PROTOCOL_EAPOL else sender


def _sender(packet: Any) -> FlowKey:
    if "EAPOL" in packet:
        mac = packet.get_multiple_layers("eth")[-1].src if "ETH" in packet else packet.sll.src_eth
        return FlowKey(str(IPv6Address(link_local(bytes.fromhex(mac.replace(":", ""))))), 0, "", 0, PROTOCOL_EAPOL)
    ip = packet.ipv6 if "IPV6" in packet else packet.ip
    protocol, ports = (PROTOCOL_UDP, packet.udp) if "UDP" in packet else (PROTOCOL_TCP, packet.tcp)
    return FlowKey(ip.src, int(ports.srcport), ip.dst, int(ports.dstport), protocol)


def _selector(protocol: int, port: int) -> str:
    return f"{'udp' if protocol == PROTOCOL_UDP else 'tcp'}.port=={port}"


def _all(layer: Any, name: str) -> list[str]:
    """Every value of a field that may occur several times in a packet, under TLS or what carries it."""
    found = layer.get_field(name) or layer.get_field(f"tls_{name}")
    return [] if found is None else [each.show for each in found.all_fields]
