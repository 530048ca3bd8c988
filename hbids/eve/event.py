"""A finding as an EVE ``alert`` event, valid under Suricata's own JSON schema and in Suricata's order of keys.

docs/eve.md describes every field. Root and most objects of the schema are closed, so the numbers of a finding stand in
``alert.context.hbids``, the one open place for structured facts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hbids.eve.community_id import community_id
from hbids.eve.grading import metadata_of, remarks, severity_of
from hbids.facts import PROTOCOL_EAPOL, Direction

if TYPE_CHECKING:
    from hbids.config import Output
    from hbids.facts import Finding, FlowContext
    from hbids.signatures import Signature

__all__ = ["alert", "mac_of", "timestamp"]

_PROTOCOL_NAMES = {6: "TCP", 17: "UDP", PROTOCOL_EAPOL: "EAPOL"}

_ETHERTYPE_EAPOL = 0x888E

_FLOW_ID_MASK = (1 << 51) - 1
"""JavaScript keeps integers exact up to 53 bits; Suricata stays at 51."""


def alert(finding: Finding, signature: Signature, output: Output) -> dict[str, Any]:
    """Build the event. Keys with nothing to say are left out."""
    flow = finding.flow
    client: dict[str, Any] = {"ip": flow.client_ip, "port": flow.client_port}
    server: dict[str, Any] = {"ip": flow.server_ip, "port": flow.server_port}
    sender, receiver = (server, client) if finding.packet_direction == Direction.TO_CLIENT else (client, server)
    source, target = (server, client) if finding.victim == Direction.TO_CLIENT else (client, server)
    name = community_id(
        flow.protocol, flow.client_ip, flow.client_port, flow.server_ip, flow.server_port, seed=output.community_id_seed
    )
    event: dict[str, Any] = {"timestamp": timestamp(finding.time_ns), "flow_id": _flow_id(name, flow.start_ns)}
    if flow.packet_number:
        event["pcap_cnt"] = flow.packet_number
    event["event_type"] = "alert"
    if flow.vlan:
        event["vlan"] = list(flow.vlan)
    event |= {
        "src_ip": sender["ip"],
        "src_port": sender["port"],
        "dest_ip": receiver["ip"],
        "dest_port": receiver["port"],
        "proto": _PROTOCOL_NAMES.get(flow.protocol, str(flow.protocol)),
        "ip_v": 6 if ":" in flow.client_ip else 4,
        "pkt_src": "wire/pcap",
        "community_id": name,
        "alert": _alert(finding, signature, source, target),
        "app_proto": "tls",
    }
    if finding.packet_direction != Direction.UNKNOWN:
        event["direction"] = finding.packet_direction.name.lower()
    event["flow"] = _flow(flow)
    if output.sensor_name:
        event["host"] = output.sensor_name
    return _without_ip(event) if flow.protocol == PROTOCOL_EAPOL else event


def _without_ip(event: dict[str, Any]) -> dict[str, Any]:
    """An event of EAPOL: addresses of the network besides those that stand for them, and no ports."""
    for place in (event, event["flow"], event["alert"]["source"], event["alert"]["target"]):
        for name in ("src_port", "dest_port", "port"):
            place.pop(name, None)
    del event["ip_v"]
    macs = {"src_mac": mac_of(event["src_ip"]), "dest_mac": mac_of(event["dest_ip"])}
    return event | {"ether": {"ether_type": _ETHERTYPE_EAPOL, **macs}}


def mac_of(ip: str) -> str:
    """The MAC address of which a link-local address was made (RFC 4291 appendix A)."""
    eui64 = ip_address(ip).packed[8:]
    return ":".join(f"{byte:02x}" for byte in (eui64[0] ^ 0x02, *eui64[1:3], *eui64[5:]))


def _alert(finding: Finding, signature: Signature, source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    victim = "client" if finding.victim == Direction.TO_CLIENT else "server"
    context = _told(finding.context) | {"verdict": finding.verdict.word, "victim": victim}
    severity = severity_of(signature, finding.verdict, context)
    alert: dict[str, Any] = {
        "action": "allowed",
        "gid": 1,
        "signature_id": signature.sid,
        "rev": signature.rev,
        "signature": signature.text(context) + remarks(context),
        "category": signature.category,
        "severity": severity,
        "source": source,
        "target": target,
    }
    if metadata := metadata_of(signature, severity, context):
        alert["metadata"] = metadata
    if signature.references:
        alert["references"] = signature.references
    alert["context"] = {"hbids": context}
    return alert


def _told(context: dict[str, Any]) -> dict[str, Any]:
    """A finding's context with its times as EVE writes them."""
    times = {"first_ns": "first_seen", "last_ns": "last_seen"}
    return {times.get(key, key): timestamp(value) if key in times else value for key, value in context.items()}


def _flow(flow: FlowContext) -> dict[str, Any]:
    return {
        "pkts_toserver": flow.packets_to_server,
        "pkts_toclient": flow.packets_to_client,
        "bytes_toserver": flow.bytes_to_server,
        "bytes_toclient": flow.bytes_to_client,
        "start": timestamp(flow.start_ns),
        "src_ip": flow.client_ip,
        "dest_ip": flow.server_ip,
        "src_port": flow.client_port,
        "dest_port": flow.server_port,
    }


def _flow_id(name: str, start_ns: int) -> int:
    """The same for the same flow in every run, unlike Suricata's."""
    digest = blake2b(f"{name} {start_ns}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) & _FLOW_ID_MASK


def timestamp(time_ns: int) -> str:
    """EVE's form of a time: UTC, six digits, offset without a colon."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1000:06}+0000"
