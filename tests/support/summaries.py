"""What the summary of a run looks like, and one for tests of those who read it."""

from __future__ import annotations

from typing import Any

SUMMARY_KEYS = {
    "engine",
    "sources",
    "packets",
    "bytes",
    "flows",
    "tls_sessions",
    "dtls_sessions",
    "heartbeats",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "endpoints",
    "alerts",
    "drops",
    "seconds",
}
ENDPOINT_KEYS = {
    "ip",
    "port",
    "role",
    "protocol",
    "transport",
    "carrier",
    "verdict",
    "heartbeat_requests",
    "overread_requests",
    "sealed_requests",
    "leaking_answers",
    "leaked_bytes",
    "leaked_bytes_estimated",
    "first_seen",
    "last_seen",
    "sources",
    "authorized_scanners",
    "tools",
    "tool_classes",
    "accepts_heartbeat_extension",
    "assets",
    "exposure",
    "leaked_to",
}


def exposure(**changes: Any) -> dict[str, Any]:
    seen = "2026-11-23T19:10:02.123456Z"
    given = {
        "heartbeat_first_accepted": seen,
        "heartbeat_last_accepted": seen,
        "first_leak": seen,
        "last_leak": seen,
        "first_patched": None,
        "last_patched": None,
        "exposed_from": seen,
        "exposed_until": None,
        "leaking_and_patched": False,
        "leaked_bytes": 32736,
        "leaked_bytes_estimated": 0,
        "leaked_before_disclosure_bytes": None,
        "leaked_before_disclosure_bytes_estimated": None,
    }
    return given | changes


def scanners(*sources: str, answers: int = 0, leaked: int = 0) -> dict[str, Any]:
    counts = {"leaking_answers": answers, "leaked_bytes": leaked, "leaked_bytes_estimated": 0}
    return {"sources": list(sources), **counts}


def endpoint(**changes: Any) -> dict[str, Any]:
    given = {
        "ip": "10.66.0.10",
        "port": 443,
        "role": "server",
        "protocol": "tcp",
        "transport": "tls",
        "carrier": None,
        "verdict": "leaked",
        "heartbeat_requests": 2,
        "overread_requests": 2,
        "sealed_requests": 0,
        "leaking_answers": 2,
        "leaked_bytes": 32736,
        "leaked_bytes_estimated": 0,
        "first_seen": "2026-11-23T19:10:02.123456Z",
        "last_seen": "2026-11-23T19:10:05.500000Z",
        "sources": ["10.66.9.66"],
        "authorized_scanners": scanners(),
        "tools": ["nmap ssl-heartbleed"],
        "tool_classes": {"checker": ["nmap ssl-heartbleed"]},
        "accepts_heartbeat_extension": True,
        "assets": [],
        "exposure": exposure(),
    }
    return given | changes


def summary_of(*endpoints: dict[str, Any], **changes: Any) -> dict[str, Any]:
    totals = {
        name: sum(endpoint[name] for endpoint in endpoints) for name in ("leaked_bytes", "leaked_bytes_estimated")
    }
    return {
        "engine": "native",
        "sources": ["scan.pcap"],
        "packets": 1234,
        "bytes": 345678,
        "flows": 12,
        "tls_sessions": 3,
        "dtls_sessions": 0,
        "heartbeats": {"requests": 2, "responses": 2, "sealed": 0, "overread_requests": 2, "malformed": 0},
        "endpoints": list(endpoints),
        "alerts": {},
        "drops": {},
        **totals,
        **changes,
    }
