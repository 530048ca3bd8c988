"""The exposure of an endpoint in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.cli.naming import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["exposure_text"]


def exposure_text(exposure: Mapping[str, Any]) -> str:
    """Since when and until when it leaked, as far as is known; empty when nothing is."""
    if not exposure["first_leak"]:
        first = exposure["first_patched"]
        return f"refuses what a vulnerable peer answers, first seen {moment(first)} UTC" if first else ""
    since = f"exposed since {moment(exposure['exposed_from'])} UTC or before"
    if exposure["leaking_and_patched"]:
        since += ", though some requests are refused: are there several servers behind it?"
    elif exposure["exposed_until"]:
        since += f", seen patched at {moment(exposure['exposed_until'])} UTC"
    else:
        since += ", not seen patched"
    return "; ".join(part for part in (since, _before_disclosure(exposure)) if part)


def _before_disclosure(exposure: Mapping[str, Any]) -> str:
    if exposure["leaked_before_disclosure_bytes"] is None:
        return ""
    exact, estimated = (exposure[f"leaked_before_disclosure_bytes{kind}"] for kind in ("", "_estimated"))
    return f"{'~' if estimated else ''}{exact + estimated:,} bytes leaked before disclosure"
