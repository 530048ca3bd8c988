"""``--top``: a sensor on a terminal, redrawn every second. Without a terminal, a line a minute.

Drawing has a thread of its own: a terminal at the end of a slow line must not stop the sensor.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hbids.cli.naming import sources
from hbids.cli.verdict import STYLES, name_of
from hbids.cli.view import View, sentence
from hbids.facts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

__all__ = ["Top", "picture"]

_LINE_S = 60.0
_ALERTS_KEPT = 100
"""More than screens show of them."""
_MESSAGES_KEPT = 3
_CLOSE_S = 0.5
"""What a terminal gets to take the last picture."""
_SEVERITY_STYLES = {1: "bold red", 2: "yellow", 3: "cyan"}
_NAME_WIDTH = 28


class Top:
    """While entered, draws the latest view on ``stream``."""

    def __init__(self, stream: IO[str]) -> None:
        # a stream of its own: whoever else writes to this one must not wait for our thread
        self._stream = os.fdopen(os.dup(stream.fileno()), "w")
        self._console = Console(file=self._stream, highlight=False)
        self.covers_terminal = self._stream.isatty() and not self._console.is_dumb_terminal
        """Whether text written to the terminal meanwhile would spoil the picture: then give it to :meth:`tell`."""
        self._alerts: deque[Mapping[str, Any]] = deque(maxlen=_ALERTS_KEPT)
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._view: View | None = None
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="top", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(_CLOSE_S)

    def tell(self, message: str) -> None:
        """Show a line of text."""
        with self._changed:
            self._messages.append(message)

    def add_alert(self, event: Mapping[str, Any]) -> None:
        """Show an EVE event."""
        with self._changed:
            self._alerts.appendleft(event)

    def update(self, view: View) -> None:
        """Show a moment."""
        with self._changed:
            self._view = view
            self._changed.notify()

    def _run(self) -> None:
        with self._stream:
            if self.covers_terminal:
                self._draw()
            else:
                self._write_lines()

    def _draw(self) -> None:
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            while view := self._next():
                with self._changed:
                    alerts, messages = list(self._alerts), list(self._messages)
                size = self._console.size
                live.update(picture(view, alerts, messages, size.width, size.height), refresh=True)

    def _write_lines(self) -> None:
        before = self._next()
        while before and (view := self._next()):
            if view.running_s - before.running_s >= _LINE_S:
                self._stream.write(f"hbids: {sentence(replace(view, before=before))}\n")
                self._stream.flush()
                before = view

    def _next(self) -> View | None:
        """The next view, or None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._view)
            view, self._view = self._view, None
            return None if self._ended else view


def picture(
    view: View, alerts: Sequence[Mapping[str, Any]], messages: Sequence[str], width: int, height: int
) -> RenderableType:
    """The screen of a moment; made for 80 by 24, takes what there is. ``alerts`` are EVE events, the newest first."""
    lines = [*_head(view, width), *_numbers(view)]
    tail = [*_sinks(view), *(Text(message, style="yellow") for message in messages)]
    room = height - len(lines) - len(tail) - 5  # two titles, three empty lines
    endpoints = [_endpoint(each) for each in view.summary["endpoints"][: max(3, room // 2)]]
    told = [_alert(event) for event in alerts[: max(3, room - len(endpoints))]]
    lines += _section("Worst endpoints", endpoints, "none above clear")
    lines += _section("Newest alerts", told, "none")
    lines += [Text(), *tail]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def _head(view: View, width: int) -> list[Text]:
    title = f" hbids  {' '.join(view.summary['sources'])}  {view.summary['engine']} engine"
    running = f"up {_duration(view.running_s)} "
    return [Text(f"{title:<{width - len(running) - 1}.{width - len(running) - 1}} {running}", style="reverse"), Text()]


def _numbers(view: View) -> list[Text]:
    summary, heartbeats = view.summary, view.summary["heartbeats"]
    kinds = ("requests", "responses", "sealed", "malformed")
    unseen = [f"{name} {rate:,.0f}/s" for name, rate in view.unseen()]
    verdicts = [
        Text(f"{count:,} {word}   ", style=STYLES[Verdict[word.upper()]] if count else "dim")
        for word, count in view.verdicts().items()
    ]
    leaked, estimated = summary["leaked_bytes"], summary["leaked_bytes_estimated"]
    speed = f"{view.rate('packets'):,.0f} packets/s   {view.rate('bytes') * 8 / 1e6:,.1f} Mbit/s"
    return [
        _line("Traffic", f"{speed}   {summary['packets']:,} packets so far"),
        _line("Not seen", Text(", ".join(unseen), style="bold red") if unseen else "nothing"),
        _line(
            "TLS",
            f"{view.rate('tls_sessions') + view.rate('dtls_sessions'):,.0f} sessions/s   "
            f"{summary['tls_sessions']:,} TLS   {summary['dtls_sessions']:,} DTLS",
        ),
        _line(
            "Heartbeats",
            "   ".join(f"{heartbeats[kind]:,} {kind}" for kind in kinds)
            + f"   {heartbeats['overread_requests']:,} over-reads",
        ),
        _line("Leaked", f"{leaked:,} bytes" + (f"   ~{estimated:,} more, estimated" if estimated else "")),
        _line("Endpoints", Text.assemble(*verdicts)),
    ]


def _sinks(view: View) -> list[Text]:
    lines = []
    for name, counts in view.sinks.items():
        parts = [f"{counts.written:,} written"]
        parts += [f"{counts.queued:,} wait"] if counts.queued else []
        parts += [f"{counts.lost:,} LOST"] if counts.lost else []
        parts += [counts.failure]
        style = "bold red" if counts.failure or counts.lost else ""
        lines.append(_line("Sink", Text("   ".join([name, *filter(None, parts)]), style=style)))
    return lines


def _section(title: str, rows: list[Text], nothing: str) -> list[Text]:
    return [Text(), Text(title, style="bold"), *(rows or [Text(f" {nothing}", style="dim")])]


def _endpoint(endpoint: Mapping[str, Any]) -> Text:
    verdict = Verdict[endpoint["verdict"].upper()]
    leaked = endpoint["leaked_bytes"] + endpoint["leaked_bytes_estimated"]
    askers = sources(endpoint)
    by = f"by {askers[0]}" + (f" and {len(askers) - 1:,} more" if len(askers) > 1 else "") if askers else ""
    return Text.assemble(
        f" {name_of(endpoint):<{_NAME_WIDTH}} ",
        (f"{verdict.word:<10}", STYLES[verdict]),
        f"{leaked:>11,} B  " if leaked else " " * 15,
        "; ".join(filter(None, [by, ", ".join(endpoint["tools"])])),
    )


def _alert(event: Mapping[str, Any]) -> Text:
    alert = event["alert"]
    parties = f"{alert['source']['ip']} > {alert['target']['ip']}" if "target" in alert else event.get("src_ip", "")
    told = alert["signature"].removeprefix("HBIDS ").removeprefix("Heartbleed ")
    return Text.assemble(
        f" {event['timestamp'][11:19]} ",
        (str(alert["severity"]), _SEVERITY_STYLES.get(alert["severity"], "")),
        f" {parties}  {''.join(filter(str.isprintable, told))}",
    )


def _line(label: str, text: str | Text) -> Text:
    return Text.assemble((f" {label:<11}", "bold"), text)


def _duration(seconds: float) -> str:
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02}:{minutes:02}:{rest_s:02}" if days else f"{hours:02}:{minutes:02}:{rest_s:02}"
