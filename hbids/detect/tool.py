"""Which tool it was.

What it sees
    Findings about heartbeats whose request and session match an entry of ``signatures/tools/tools.yaml``: sizes nobody
    else sends, constant randoms, JA3. The name goes into the finding's ``tools``, and once for each source, endpoint
    and tool a finding of its own says so (1016600).
Why it matters
    A survey that asks once and a harvester look alike at the first request; the tool is a hint which it is, and what
    the other side could know.
Evidence
    Constants of the tools' sources, measured on the wire of the real ones.
Limits
    Attribution is context: it never lowers the harm. Who copies a tool's constants is taken for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbids import fingerprints
from hbids.detect.common import Remembered, address_text
from hbids.facts import Direction, Facts, Finding, FlowContext

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ToolRecogniser"]

RECOGNISED = 1016600
RANDOM_PREFIX_BYTES = 4

FlowKey = tuple[str, int, str, int]


class ToolRecogniser:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._sessions: Remembered[FlowKey, dict[str, str]] = Remembered()
        """Of the sessions, only those that show a constant of some tool."""
        self._told: Remembered[tuple[str, str, int, str], None] = Remembered()
        self._ja3s, self._random_prefixes = _constants()

    def attribute(self, facts: Facts, findings: Iterable[Finding]) -> list[Finding]:
        """Name the tools of ``findings`` (in their context); what is newly known comes back as findings."""
        self._remember(facts)
        news = []
        for finding in findings:
            tool = self._tool_of(finding)
            if tool is None:
                continue
            finding.context["tools"] = [tool.name]
            key = (*_source_and_endpoint(finding), tool.name)
            if key not in self._told:
                self._told.put(key, None)
                news.append(_recognised(finding, tool))
        return news

    def _remember(self, facts: Facts) -> None:
        sessions = facts.sessions
        shows = np.zeros(len(sessions), bool)
        for name in ("client_random", "server_random"):
            prefixes = np.ascontiguousarray(sessions[name][:, :RANDOM_PREFIX_BYTES]).view("<u4").reshape(-1)
            shows |= np.isin(prefixes, self._random_prefixes)
        shows |= np.fromiter((ja3 in self._ja3s for ja3 in sessions["ja3"].tolist()), bool, len(sessions))
        for row in sessions[shows]:
            key = (
                address_text(row["client_addr"]),
                int(row["client_port"]),
                address_text(row["server_addr"]),
                int(row["server_port"]),
            )
            self._sessions.put(
                key,
                {
                    "client_random": row["client_random"].tobytes().hex(),
                    "server_random": row["server_random"].tobytes().hex(),
                    "ja3": row["ja3"].decode(),
                },
            )

    def _tool_of(self, finding: Finding) -> fingerprints.Tool | None:
        if "request_bytes" not in finding.context:
            return None
        request = finding.context | {"victim": "client" if finding.victim == Direction.TO_CLIENT else "server"}
        session = self._sessions.get(_flow_key(finding.flow)) or {}
        return next((tool for tool in fingerprints.shipped() if tool.matches(request, session)), None)


def _constants() -> tuple[frozenset[bytes], np.ndarray[tuple[int], np.dtype[np.uint32]]]:
    """The JA3s and the beginnings of randoms that any tool is known by."""
    tools = fingerprints.shipped()
    ja3s = frozenset(tool.session["ja3"].encode() for tool in tools if "ja3" in tool.session)
    beginnings = {
        bytes.fromhex(tool.session[name])[:RANDOM_PREFIX_BYTES]
        for tool in tools
        for name in ("client_random", "server_random")
        if name in tool.session
    }
    return ja3s, np.frombuffer(b"".join(sorted(beginnings)), "<u4")


def _flow_key(flow: FlowContext) -> FlowKey:
    return flow.client_ip, flow.client_port, flow.server_ip, flow.server_port


def _source_and_endpoint(finding: Finding) -> tuple[str, str, int]:
    flow = finding.flow
    if finding.victim == Direction.TO_CLIENT:
        return flow.server_ip, flow.client_ip, 0
    return flow.client_ip, flow.server_ip, flow.server_port


def _recognised(finding: Finding, tool: fingerprints.Tool) -> Finding:
    context = {"transport": finding.context["transport"], "evidence": "wire", "tool": tool.name, "tools": [tool.name]}
    return Finding(
        RECOGNISED,
        finding.time_ns,
        finding.flow,
        finding.packet_direction,
        finding.victim,
        finding.verdict,
        context,
    )
