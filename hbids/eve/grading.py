"""What the surroundings of a finding make of its alert: how grave it is here, and what the text says of it.

Who asks never changes what happened: a leak to a scanner of our own proves that the endpoint leaks, and stays as grave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.assets import AUTHENTICATES
from hbids.facts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hbids.signatures import Signature

__all__ = ["metadata_of", "remarks", "severity_of"]

_LEAKS = 10161
_OF_THE_ENDPOINT = (_LEAKS, 10163, 10164, 10165)
"""Groups of signatures that tell something of the endpoint, and not only of who asked it: leaks, harvests, flows out of
line, exposure."""
_GRAVEST, _LEAST = 1, 4
_WORDS = {1: "Critical", 2: "Major", 3: "Minor", 4: "Informational"}
"""Of ``signature_severity``."""


def severity_of(signature: Signature, verdict: Verdict, context: Mapping[str, Any]) -> int:
    """One graver where people authenticate; the least for what an authorized scanner tries, unless it succeeds."""
    group = signature.sid // 100
    if context.get("authorized_scanner") and verdict < Verdict.LEAKED and group != _LEAKS:
        return _LEAST
    if AUTHENTICATES in context.get("assets", ()) and group in _OF_THE_ENDPOINT:
        return max(_GRAVEST, signature.severity - 1)
    return signature.severity


def metadata_of(signature: Signature, severity: int, context: Mapping[str, Any]) -> dict[str, list[str]]:
    """The signature's, and what is special here."""
    metadata = dict(signature.metadata)
    if severity != signature.severity:
        metadata["signature_severity"] = [_WORDS[severity]]
    if "tool" in context:
        metadata["confidence"] = [context["tool_confidence"]]
    elif context.get("midstream"):  # that it is TLS at all is inferred
        metadata["confidence"] = ["Medium"]
    if words := context.get("assets"):
        metadata["asset"] = list(words)
    if direction := context.get("network_direction"):
        metadata["network_direction"] = [direction]
    tags = {"authorized_scanner": "Authorized_Scanner", "before_disclosure": "Before_Disclosure"}
    if special := [tag for key, tag in tags.items() if context.get(key)]:
        metadata["tag"] = [*metadata.get("tag", ()), *special]
    return metadata


def remarks(context: Mapping[str, Any]) -> str:
    """What the text says behind the numbers; empty if nothing is special."""
    parts = [", ".join(context.get("assets", ()))]
    parts += [key.replace("_", " ") for key in ("authorized_scanner", "before_disclosure") if context.get(key)]
    said = "; ".join(part for part in parts if part)
    return f" [{said}]" if said else ""
