"""What replay says of a capture, beside what the sidecar says of Suricata's events about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hbids
from tests.support.suricata import FRAGMENT, RULES, SIZES, STOCK_RULES, eve_of, judged

TOOLS_UNKNOWN = {"starttls_vuln_filippo.pcap": "Suricata lets the ClientHello behind its STARTTLS go by"}
"""Captures of which the sidecar cannot name the tool, and why."""


CONTENTS: dict[str, tuple[Path, Path | None]] = {
    "hbids": (RULES, FRAGMENT),
    "sizes": (RULES, SIZES),
    "stock": (STOCK_RULES, None),
}
"""What Suricata is given: rules, and what it logs beside its own suricata.yaml."""


@dataclass(slots=True)
class Comparison:
    """Summaries of one capture."""

    replay: dict[str, Any]
    sidecar: dict[str, Any]
    evidence: set[str]

    def endpoints(self, *names: str) -> tuple[dict[tuple[Any, ...], tuple[Any, ...]], ...]:
        """What both say of each endpoint under these names."""
        return tuple(
            {
                (each["ip"], each["port"], each["role"], each["transport"]): tuple(
                    _unordered(each[name]) for name in names
                )
                for each in summary["endpoints"]
            }
            for summary in (self.replay, self.sidecar)
        )


def _unordered(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


@cache
def compared(capture: Path, engine: str = "auto", content: str = "hbids") -> Comparison:
    """Both ways over one capture."""
    rules, fragment = CONTENTS[content]
    replay = hbids.replay(capture, collect=False, engine=engine).summary()
    sidecar, findings = judged(eve_of(capture, rules=rules, fragment=fragment), engine=engine)
    return Comparison(replay, sidecar, {str(finding.context["evidence"]) for finding in findings})
