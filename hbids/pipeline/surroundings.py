"""What the user said of his network, and what of it belongs to a finding or an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.facts import Direction
from hbids.networks import Networks
from hbids.pipeline.inventory import Inventory

if TYPE_CHECKING:
    from hbids.config import Config
    from hbids.facts import Finding, Rows

__all__ = ["Surroundings"]


class Surroundings:
    """Home networks, assets, scanners of our own, and the day the bug became public."""

    def __init__(self, config: Config) -> None:
        self.scanners = Networks(config.authorized_scanners)
        self._home = Networks(config.home_networks)
        self._assets = config.assets
        self._inventory = Inventory(config.assets)
        self.disclosure_ns = config.disclosure_ns

    def adopt(self, config: Config) -> Surroundings:
        """Those of another configuration; what is known of the same assets stays."""
        adopted = Surroundings(config)
        if config.assets == self._assets:
            adopted._inventory = self._inventory
        return adopted

    def learn(self, sessions: Rows) -> None:
        """Note what sessions tell of endpoints."""
        self._inventory.learn(sessions)

    def is_home(self, ip: str) -> bool:
        """Whether endpoints with this address are ours."""
        return not self._home or self._home.has(ip)

    def spares(self, ip: str) -> str:
        """Why nothing may be done against this address: what it is of ours. Empty if nothing speaks for it."""
        if self.scanners.has(ip):
            return "authorized_scanner"
        if self._home.has(ip):
            return "home"
        return "asset" if self._inventory.has(ip) else ""

    def mark(self, finding: Finding) -> None:
        """Put what belongs to the finding into its context."""
        flow, context = finding.flow, finding.context
        is_client = finding.victim == Direction.TO_CLIENT
        victim, port = (flow.client_ip, 0) if is_client else (flow.server_ip, flow.server_port)
        if self._home:
            context["network_direction"] = self._direction(flow.client_ip, flow.server_ip)
        if self._inventory and (words := self._inventory.words(victim, port, finding.time_ns)):
            context["assets"] = words
        # What sums up all sources is nobody's in particular.
        is_of_source = finding.series is None or not finding.series.together
        if self.scanners and is_of_source and self.scanners.has(flow.server_ip if is_client else flow.client_ip):
            context["authorized_scanner"] = True
        if self.disclosure_ns is not None and finding.time_ns < self.disclosure_ns:
            context["before_disclosure"] = True

    def describe(self, endpoint: dict[str, Any]) -> None:
        """Put what belongs to an endpoint into its part of the summary."""
        endpoint["assets"] = self._inventory.words(endpoint["ip"], endpoint["port"])
        if self.scanners:
            endpoint["authorized_scanners"]["sources"] = [ip for ip in endpoint["sources"] if self.scanners.has(ip)]

    def _direction(self, client_ip: str, server_ip: str) -> str:
        """Of the connection, in the words of the Elastic Common Schema."""
        if not self._home.has(client_ip):
            return "inbound"
        return "internal" if self._home.has(server_ip) else "outbound"
