"""The top of the page: what happened, in words for those who hear of it for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.cli.naming import culprits
from hbids.cli.report.endpoint import second, verdict_of
from hbids.cli.report.html import dated, tag
from hbids.cli.verdict import count, leaked, tools_of
from hbids.facts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

__all__ = ["opening"]

_INPUTS_NAMED = 12
_SOURCES_NAMED = 3

_SUSPICION = (
    "Some connections are out of line with what their service usually has, though no heartbeat could be read on them. "
    "Look at them: see Suspicion."
)


def opening(
    headline: str, summary: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]], *, is_suspicious: bool
) -> Element:
    """The headline, what it means, and the sums; ``endpoints`` gravest first."""
    if endpoints:
        grade = verdict_of(endpoints[0]).word
    elif is_suspicious:
        grade = "suspicious"
    else:
        grade = "clear" if summary["tls_sessions"] + summary["dtls_sessions"] else "unknown"
    return tag(
        "header",
        tag("p", "Heartbleed report", class_="kicker"),
        tag("h1", headline),
        tag("p", dated(_meaning(endpoints[0])), class_="lead") if endpoints else None,
        tag("p", _SUSPICION, class_="lead") if is_suspicious else None,
        _sums(summary, endpoints),
        tag("p", _looked_at(summary), class_="muted"),
        class_=f"hero {grade}",
    )


def _meaning(worst: Mapping[str, Any]) -> str:
    """When, by whom, scan or harvest, and what to make of it."""
    first, last = second(worst["first_seen"]), second(worst["last_seen"])
    when = f"From {first} to {last} UTC at least" if first != last else f"At {first} UTC"
    who = culprits(worst)
    more = len(who) - _SOURCES_NAMED
    by = f", by {', '.join(who[:_SOURCES_NAMED])}" if who else ""
    others = f" and {more:,} more" if more > 0 else ""
    tools = f", with {tools_of(worst)}" if worst["tool_classes"] else ""
    since = f"{when}{by}{others}{tools}."
    match verdict_of(worst):
        case Verdict.HARVESTED:
            return (
                f"{since} This was a harvest and no scan: a scan asks once or twice, here memory was taken "
                f"{worst['leaking_answers']:,} times. Take all that was in the memory of this program as known to "
                "strangers: private keys, passwords, session cookies, what people sent and received."
            )
        case Verdict.LEAKED:
            return (
                f"{since} So few answers look like a scan and not like a harvest. But the software is vulnerable, and "
                "what stood in these answers is known to strangers: it may have been a password or a key."
            )
        case Verdict.ATTEMPTED:
            return (
                f"{since} Somebody meant to read memory and was not seen to succeed. Silence is what patched software "
                "shows; what could not be seen stands at the end of this page."
            )
        case Verdict.PROBED:
            return f"{since} Somebody was curious. What was asked cannot leak."
    return "This is an inventory: whether the software is patched does not show in traffic that nobody abused."


def _sums(summary: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]]) -> Element | None:
    leaking = [endpoint for endpoint in endpoints if verdict_of(endpoint) >= Verdict.LEAKED]
    if not leaking:
        return None
    sources = {source for endpoint in leaking for source in endpoint["sources"]}
    answers = sum(endpoint["leaking_answers"] for endpoint in leaking)
    sums = [
        (leaked(summary), _bytes_words(summary)),
        (f"{len(leaking):,}", "endpoint leaked" if len(leaking) == 1 else "endpoints leaked"),
        (f"{len(sources):,}", "source asked there" if len(sources) == 1 else "sources asked there"),
        (f"{answers:,}", "answer with memory in it" if answers == 1 else "answers with memory in them"),
    ]
    return tag("ul", [tag("li", tag("b", number), " ", words) for number, words in sums], class_="sums")


def _bytes_words(summary: Mapping[str, Any]) -> str:
    if not summary["leaked_bytes_estimated"]:
        return "bytes leaked"
    return "bytes leaked, in part estimated" if summary["leaked_bytes"] else "bytes leaked, estimated"


def _looked_at(summary: Mapping[str, Any]) -> str:
    names = ["standard input" if source == "-" else source for source in summary["sources"]]
    more = len(names) - _INPUTS_NAMED
    inputs = ", ".join(names[:_INPUTS_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    parts = [
        count(summary["packets"], "packet"),
        count(summary["flows"], "flow"),
        count(summary["tls_sessions"], "TLS session"),
        count(summary["dtls_sessions"], "DTLS session") if summary["dtls_sessions"] else "",
    ]
    return f"Rests on {', '.join(part for part in parts if part)}" + (f", from {inputs}." if inputs else ".")
