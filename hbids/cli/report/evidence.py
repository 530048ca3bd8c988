"""Alerts as the evidence of a report: which were raised about an endpoint, and by what they can be found elsewhere."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from hbids.cli.report.html import tag
from hbids.eve.event import mac_of
from hbids.facts import Verdict
from hbids.stats.endpoints import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from hbids.cli.report.html import Child

__all__ = ["FLOWS_OUT_OF_LINE", "HEADS", "Event", "Evidence", "rests_on", "row"]

HEADS = ("Time (UTC)", "Alert", "Flow, client → server", "Rests on")

_OF_A_KIND = 3
"""Alerts kept of one kind about one endpoint: the first ones, and the last."""

FLOWS_OUT_OF_LINE = 10164
"""Signatures that rest on flows alone, by their hundreds."""

Event = dict[str, Any]


class Evidence:
    """EVE alerts, a few of each kind about each endpoint."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._by_verdict: dict[Verdict, dict[tuple[Place, int], list[Event]]] = defaultdict(dict)

    def add(self, event: Event) -> None:
        """Take an alert, in the order in which they are raised."""
        verdict = Verdict[event["alert"]["context"]["hbids"]["verdict"].upper()]
        kind = _place_of(event), event["alert"]["signature_id"]
        alike = self._by_verdict[verdict].get(kind, [])
        if len(alike) == _OF_A_KIND:
            alike[-1] = event
        elif self._held < self._most or self._give_up_below(verdict):
            self._by_verdict[verdict][kind] = [*alike, event]
            self._held += 1

    def of(self, place: Place) -> list[Event]:
        """The alerts about an endpoint, gravest first, then in order of time."""
        found = [
            (-verdict, event["timestamp"], sid, event)
            for verdict, held in self._by_verdict.items()
            for (about, sid), events in held.items()
            if about == place
            for event in events
        ]
        return [event for *_, event in sorted(found, key=lambda each: each[:3])]

    def suspicions(self) -> list[tuple[Place, Event]]:
        """Flows out of line, which make no verdict, and whose endpoint it is."""
        return [
            (place, event)
            for (place, sid), events in self._by_verdict[Verdict.CLEAR].items()
            if sid // 100 == FLOWS_OUT_OF_LINE
            for event in events
        ]

    def _give_up_below(self, verdict: Verdict) -> bool:
        """Make room for something graver."""
        milder = min((each for each, held in self._by_verdict.items() if held and each < verdict), default=None)
        if milder is None:
            return False
        _, gone = self._by_verdict[milder].popitem()
        self._held -= len(gone)
        return True


def row(event: Mapping[str, Any]) -> list[Child]:
    """A row of a table under :data:`HEADS`."""
    flow, alert = event["flow"], event["alert"]
    ends = f"{_end(flow, 'src')} → {_end(flow, 'dest')} {event['proto']}"
    where = [event["community_id"], f"packet {event['pcap_cnt']:,}" if "pcap_cnt" in event else ""]
    if event.get("vlan"):
        where.append(f"VLAN {', '.join(map(str, event['vlan']))}")
    text = alert["signature"].removeprefix("HBIDS ")
    return [
        _time(event["timestamp"]),
        tag("span", tag("code", str(alert["signature_id"])), f" {text}"),
        tag("span", ends, tag("br"), _small(" · ".join(part for part in where if part))),
        rests_on(event),
    ]


def rests_on(event: Mapping[str, Any]) -> str:
    """What an alert could be told by."""
    context = event["alert"]["context"]["hbids"]
    if event["alert"]["signature_id"] // 100 == FLOWS_OUT_OF_LINE:
        return "sizes of flows alone"
    told = context.get("evidence", "wire")
    how = "sealed: estimated from sizes" if context.get("sealed") else "read on the wire"
    if told != "wire":
        how = f"told by Suricata ({told})" + (", sealed" if context.get("sealed") else "")
    return f"{how}; joined late, that it is TLS is inferred" if context.get("midstream") else how


def _small(text: str) -> Element:
    return tag("small", text)


def _time(timestamp: str) -> Element:
    return tag("time", timestamp[:19].replace("T", " "), datetime=timestamp)


def _end(flow: Mapping[str, Any], side: str) -> str:
    ip, port = flow[f"{side}_ip"], flow.get(f"{side}_port")
    if port is None:  # EAPOL, whose addresses are made of MAC addresses
        return mac_of(ip)
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _place_of(event: Mapping[str, Any]) -> Place:
    """Whose memory an alert speaks of, as the summary calls it."""
    context, target = event["alert"]["context"]["hbids"], event["alert"]["target"]
    is_client = context["victim"] == "client"
    port = 0 if is_client else target.get("port", 0)
    return Place(target["ip"], port, context["victim"], event["proto"].lower(), context["transport"])
