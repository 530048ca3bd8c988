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

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hbids import fingerprints
from hbids.detect.common import Remembered, address_text
from hbids.facts import Direction, Facts, Finding, FlowContext

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ToolRecogniser"]

RECOGNISED = 1016600
BEGINNING_BYTES = 4
"""Enough to leave out nearly all sessions at once; what is left is compared in full."""

FlowKey = tuple[str, int, str, int]


class ToolRecogniser:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._sessions: Remembered[FlowKey, dict[str, str]] = Remembered()
        """Of the sessions, only those that show a constant of some tool."""
        self._told: Remembered[tuple[str, str, int, str], None] = Remembered()
        self._random_beginnings, self._ja3_beginnings = _beginnings()

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
            shows |= _begin_with(sessions[name], self._random_beginnings)
        shows |= _begin_with(sessions["ja3"], self._ja3_beginnings)
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


def _beginnings() -> tuple[list[int], list[int]]:
    """How the randoms and the JA3s begin that any tool is known by."""
    randoms, ja3s = set(), set()
    for tool in fingerprints.shipped():
        for name, constant in tool.session.items():
            if name == "ja3":
                ja3s.add(_beginning(constant.encode()))
            else:
                randoms.add(_beginning(bytes.fromhex(constant)))
    return sorted(randoms), sorted(ja3s)


def _beginning(constant: bytes) -> int:
    return int.from_bytes(constant[:BEGINNING_BYTES], "little")


def _begin_with(column: np.ndarray[Any, Any], beginnings: list[int]) -> npt.NDArray[np.bool_]:
    """Which fields of a column of 32 bytes begin with one of these."""
    first = np.ascontiguousarray(column).view("<u4").reshape(-1, 32 // BEGINNING_BYTES)[:, 0]
    shows = np.zeros(len(column), bool)
    for beginning in beginnings:
        shows |= first == beginning
    return shows


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
