"""Which tool it was.

What it sees
    Findings about heartbeats whose request and session match entries of ``signatures/tools/tools.yaml``: constant
    randoms, sizes nobody else sends, JA3, in this order of weight. The name goes into the finding's ``tools``, with the
    class (checker, research scanner, exploit) and how sure it is, and once for each source, endpoint and tool a finding
    of its own says so (1016600). Where nothing fits, or tools of different names do, the class is ``unknown``.
Why it matters
    A survey that asks once and a harvester look alike at the first request; the tool is a hint which it is, and what
    the other side could know.
Evidence
    Constants of the tools' sources, measured on the wire of the real ones.
Limits
    Attribution is context: it never lowers the harm. Who copies a tool's constants is taken for it; copies that are
    known as such are told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hbids import fingerprints
from hbids.detect.common import Remembered
from hbids.facts import Direction, Finding, Series
from hbids.parties import address_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hbids.facts import FlowContext, Rows
    from hbids.state import Part

__all__ = ["ToolRecogniser"]

RECOGNISED = 1016600
BEGINNING_BYTES = 4
"""Enough to leave out nearly all sessions at once; what is left is compared in full."""
SESSION_KNOWN = ("handshake", "after")
"""Phases in which the ServerHello has come, and with it what is known of the session."""

FlowKey = tuple[str, int, str, int]


class Session(NamedTuple):
    """A session that shows a constant of some tool."""

    time_ns: int
    constants: dict[str, str]


class ToolRecogniser:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._sessions: Remembered[FlowKey, list[Session]] = Remembered()
        """Those of the same addresses and ports, one after the other."""
        self._told: Remembered[tuple[str, str, str, int, str], None] = Remembered()
        self._random_beginnings, self._ja3_beginnings = _beginnings()

    def parts(self) -> dict[str, Part]:
        """Who was told of already, for the state."""
        return {"tools": {"told": [list(key) for key, _ in self._told.items()]}}

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on where an earlier run ended."""
        document = parts.get("tools")
        for key in document["told"] if isinstance(document, dict) else ():
            self._told.put(tuple(key), None)

    def remember(self, sessions: Rows) -> None:
        """Keep the sessions that show a constant of some tool."""
        shows = np.zeros(len(sessions), bool)
        for name in ("client_random", "server_random"):
            shows |= _begin_with(sessions[name], self._random_beginnings)
        shows |= _begin_with(sessions["ja3"], self._ja3_beginnings)
        for row in sessions[shows]:
            key = (
                address_text(row["client_addr"].tobytes()),
                int(row["client_port"]),
                address_text(row["server_addr"].tobytes()),
                int(row["server_port"]),
            )
            constants = {
                "client_random": row["client_random"].tobytes().hex(),
                "server_random": row["server_random"].tobytes().hex(),
                "ja3": row["ja3"].decode(),
            }
            self._sessions.put(key, [*(self._sessions.get(key) or []), Session(int(row["time_ns"]), constants)])

    def attribute(self, table: str, findings: Iterable[Finding]) -> list[Finding]:
        """The findings of a table with the tools named in their context, and new ones that tell what is newly known."""
        told = []
        for finding in findings:
            told.append(finding)
            if "request_bytes" not in finding.context:
                continue
            request, session = _request_of(finding), self._session_of(finding)
            tool = fingerprints.most_telling(each for each in fingerprints.shipped() if each.matches(request, session))
            if tool is None:
                if not any(each.may_yet_match(request, session) for each in fingerprints.shipped()):
                    finding.context["tool_class"] = fingerprints.UNKNOWN
                continue
            finding.context |= _context_of(tool)
            source, ip, port = _source_and_endpoint(finding)
            key = (table, source, ip, port, tool.name)
            if key not in self._told and (finding.series is None or finding.series.tells_tool):
                self._told.put(key, None)
                told.append(_recognised(finding, tool, source))
        return told

    def _session_of(self, finding: Finding) -> dict[str, str]:
        """The session under way; before its ServerHello it is not known yet."""
        if finding.context.get("phase") not in SESSION_KNOWN:
            return {}
        sessions = self._sessions.get(_flow_key(finding.flow)) or []
        began = [session for session in sessions if session.time_ns <= finding.time_ns]
        return began[-1].constants if began else {}


def _request_of(finding: Finding) -> dict[str, Any]:
    """What tools may be known by in a request, as ``signatures/tools/tools.yaml`` names it."""
    context = finding.context
    leaked = context.get("leaked_bytes", 0) + context.get("leaked_bytes_estimated", 0)
    return context | {
        "victim": "client" if finding.victim == Direction.TO_CLIENT else "server",
        "server_port": finding.flow.server_port,
        "outcome": "leak" if leaked else "silence" if context.get("answers") == 0 else "",
    }


def _context_of(tool: fingerprints.Tool) -> dict[str, Any]:
    return {"tools": [tool.name], "tool_class": tool.tool_class, "tool_confidence": tool.confidence}


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


def _recognised(finding: Finding, tool: fingerprints.Tool, source: str) -> Finding:
    context = {"transport": finding.context["transport"], "evidence": "wire", "tool": tool.name} | _context_of(tool)
    return Finding(
        RECOGNISED,
        finding.time_ns,
        finding.flow,
        finding.packet_direction,
        finding.victim,
        finding.verdict,
        context,
        Series(key=(source, tool.name), once=True),
    )
