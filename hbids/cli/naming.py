"""Endpoints and sources by the names under which an operator looks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.eve.event import mac_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["address", "culprits", "moment", "sources", "victim"]


def address(endpoint: Mapping[str, Any]) -> str:
    """The endpoint's own: of EAPOL the MAC address, since its IP address only stands for that."""
    return _known_as(endpoint, endpoint["ip"])


def sources(endpoint: Mapping[str, Any]) -> list[str]:
    """Those who asked it, likewise."""
    return [_known_as(endpoint, source) for source in endpoint["sources"]]


def victim(endpoint: Mapping[str, Any]) -> str:
    """Who leaks, or may."""
    return _behind(endpoint, address(endpoint), is_client=endpoint["role"] == "client")


def culprits(endpoint: Mapping[str, Any]) -> list[str]:
    """Who asks, but for scanners of our own."""
    known = {_known_as(endpoint, source) for source in endpoint["authorized_scanners"]["sources"]}
    asking = [source for source in sources(endpoint) if source not in known]
    return [_behind(endpoint, source, is_client=endpoint["role"] == "server") for source in asking]


def moment(text: str) -> str:
    """A time of the summary, to the second."""
    return text.replace("T", " ")[:19]


def _known_as(endpoint: Mapping[str, Any], ip: str) -> str:
    return mac_of(ip) if endpoint["protocol"] == "eapol" else ip


def _behind(endpoint: Mapping[str, Any], name: str, *, is_client: bool) -> str:
    """Access servers and authenticators only pass on what others say."""
    match endpoint["carrier"], endpoint["protocol"], is_client:
        case "eap", "udp", True:
            return f"the supplicant behind {name} (its log says Calling-Station-Id)"
        case "eap", "eapol", False:
            return f"the EAP server behind {name}"
    return name
