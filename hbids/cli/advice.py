"""What an operator should do about a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.cli.naming import culprits, victim
from hbids.facts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["advice"]

_NAMED = 4
"""Addresses named in a line of advice; the rest are in the summary."""

_PATCH = "update OpenSSL to 1.0.1g or newer (or build it with -DOPENSSL_NO_HEARTBEATS) and restart all that uses it"


def advice(summary: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps that fit the worst verdict, most urgent first; ``endpoints`` gravest first. Empty when all is clear."""
    if not endpoints:
        return []
    worst = Verdict[endpoints[0]["verdict"].upper()]
    if worst >= Verdict.LEAKED:
        return _after_leak(endpoints)
    if worst >= Verdict.PROBED:
        return _after_attempt(worst, summary["alerts"], endpoints)
    return [
        "Confirm that OpenSSL there is 1.0.1g or newer: the extension alone does not show whether the server leaks.",
        "Nothing needs heartbeats over TCP: where you can, switch them off.",
    ]


def _after_leak(endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    leaking = [endpoint for endpoint in endpoints if Verdict[endpoint["verdict"].upper()] >= Verdict.LEAKED]
    patched = [endpoint for endpoint in leaking if endpoint["exposure"]["exposed_until"]]
    open_ones = [endpoint for endpoint in leaking if endpoint not in patched]
    steps = []
    if open_ones:
        steps.append(f"Patch {_names(_addresses(open_ones))} now: {_PATCH}. Until then take it off the network.")
    if patched:
        steps.append(f"Confirm that {_names(_addresses(patched))}, which refused later, is patched for good.")
    others = [endpoint for endpoint in leaking if not _went_to_scanners_only(endpoint)]
    if not others:
        return [
            *steps,
            "Only scanners of yours took memory here; who else could reach it before may have done so, too.",
        ]
    leaking = others
    if any(endpoint["role"] == "server" for endpoint in leaking):
        since = min(endpoint["exposure"]["exposed_from"] or endpoint["first_seen"] for endpoint in leaking)[:10]
        steps += [
            "Then treat its memory as read: make new private keys, have certificates reissued, revoke the old ones.",
            f"After that reset sessions, API tokens and passwords that passed through it since {since} at least.",
        ]
    if any(endpoint["carrier"] == "openvpn" for endpoint in leaking):
        steps.append("Of the VPN also replace the shared tls-auth key, end all sessions, change its users' passwords.")
    if any(endpoint["carrier"] == "eap" and endpoint["role"] == "server" for endpoint in leaking):
        steps.append("An EAP server also knows the secrets of its access servers and users: renew them.")
    if any(endpoint["role"] == "client" for endpoint in leaking):
        steps.append(
            "A client leaked: change the passwords, tokens and client keys it held, and ask who sent it there."
        )
    if sources := _sources(leaking):
        steps.append(f"Block and look into {_names(sources)}: what else did they reach?")
    return steps


def _after_attempt(worst: Verdict, alerts: Mapping[str, int], endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    names = _names(_addresses(endpoints))
    if alerts.get("1016110"):
        steps = [f"A peer answered what a patched one discards. Patch it ({names}): {_PATCH}."]
    elif worst == Verdict.ATTEMPTED:
        steps = [f"Confirm that {names} is patched (OpenSSL 1.0.1g or newer): silence is what a patched server shows."]
    else:
        steps = [f"Confirm that {names} is patched (OpenSSL 1.0.1g or newer): somebody wanted to know."]
    if sources := _sources(endpoints):
        steps.append(f"Find out whether {_names(sources)} is a scanner of yours; if not, block it and watch.")
    return steps


def _went_to_scanners_only(endpoint: Mapping[str, Any]) -> bool:
    return bool(0 < endpoint["leaking_answers"] == endpoint["authorized_scanners"]["leaking_answers"])


def _addresses(endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(victim(endpoint) for endpoint in endpoints))


def _sources(endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(source for endpoint in endpoints for source in culprits(endpoint)))


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED:,} more" if len(names) > _NAMED else shown
