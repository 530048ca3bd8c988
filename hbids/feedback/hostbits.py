"""Offenders as hostbits: bits that Suricata keeps of addresses for a time, and that rules ask for."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from hbids.feedback.command_socket import CommandRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from hbids.config import Feedback
    from hbids.feedback.offenders import Due, Offenders

__all__ = ["DryRun", "Hostbits"]

_STEP_S = 0.5
"""How often is looked whether Suricata was started anew, and whether a bit runs out."""
_FIRST_RETRY_S = 0.5
"""Doubled with each attempt."""
_CLOSE_S = 0.5
"""At the end, for what is still to be told. Bits that are set stay until their time is over."""


class Channel(Protocol):
    """Where bits are set: a :class:`~hbids.feedback.command_socket.CommandSocket`, or nowhere."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def is_open(self) -> bool:
        """What was told is still known there."""

    def open(self) -> None:
        """Begin, or begin anew."""

    def set_hostbit(self, ip: str, hostbit: str, expire_s: int) -> None:
        """Set a bit, whether it is there or not."""

    def remove_hostbit(self, ip: str, hostbit: str) -> None:
        """Take it away."""

    def close(self) -> None:
        """End it."""


class DryRun:
    """Does nothing, so that one can see what would be done."""

    name = "dry run"
    is_open = False

    def open(self) -> None:
        """There is nothing to open."""
        self.is_open = True

    def set_hostbit(self, ip: str, hostbit: str, expire_s: int) -> None:
        """Nothing is set."""

    def remove_hostbit(self, ip: str, hostbit: str) -> None:
        """Nothing is removed."""

    def close(self) -> None:
        """There is nothing to close."""
        self.is_open = False


class Hostbits:
    """Tells Suricata of the offenders in a book.

    Started, it does so in a thread of its own, so that whoever enters offenders never waits; whatever goes wrong is
    told once, counted, and tried again. ``tell`` gets a line of text for each offender and each trouble, from that
    thread.
    """

    def __init__(self, book: Offenders, channel: Channel, settings: Feedback, tell: Callable[[str], None]) -> None:
        self.book = book
        self._channel = channel
        self._is_dry = isinstance(channel, DryRun)
        self._hostbit = settings.hostbit
        self._longest_retry_s = settings.retry_ns / 1e9
        self._tell = tell
        self._failure = ""
        self._refusal = ""
        self._changed = threading.Event()
        self._must_end = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Tell from now on, by the clock on the wall."""
        # A Suricata that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._thread.start()

    def book_changed(self, now_ns: int) -> None:
        """Somebody was entered, or pardoned. Without a thread it is told at once, as of that time."""
        if self._thread:
            self._changed.set()
        else:
            self.step(now_ns)

    def step(self, now_ns: int) -> None:
        """Tell what is due. Raises OSError when Suricata cannot be told."""
        if not self._channel.is_open:
            self.book.forgotten_by_suricata()
            self._channel.open()
        for ip in self.book.pardoned():
            self._remove(ip)
        for due in self.book.due(now_ns):
            self._add(due, now_ns)
        self._works()

    def close(self) -> None:
        """Tell what is due by now, as far as there is time, and end."""
        if self._thread:
            self._must_end = True
            self._changed.set()
            self._thread.join(_CLOSE_S)

    def summary(self) -> dict[str, Any]:
        """How it fared so far."""
        counts = self.book.counts
        done = {name: counts[name] for name in ("set", "set_again", "refreshed", "removed", "refused", "failures")}
        summary: dict[str, Any] = {"hostbit": self._hostbit, "dry_run": self._is_dry, "works": not self._failure}
        return summary | done | {"offenders": self.book.known()}

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            is_last = self._must_end
            wait_s = _STEP_S
            try:
                self.step(time.time_ns())
                retry_s = _FIRST_RETRY_S
            except Exception as error:  # noqa: BLE001  a thread that died would tell nobody
                self._fails(error)
                wait_s, retry_s = retry_s, min(2 * retry_s, self._longest_retry_s)
            if is_last:
                break
            if self._failure:  # who is entered meanwhile changes nothing
                self._pause(wait_s)
            else:
                self._changed.wait(wait_s)
                self._changed.clear()
        self._channel.close()

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._must_end and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.05))

    def _add(self, due: Due, now_ns: int) -> None:
        try:
            self._channel.set_hostbit(due.ip, self._hostbit, due.seconds)
        except CommandRefused as refusal:
            self.book.refused(due, now_ns)
            self._is_refused(str(refusal))
            return
        self.book.told(due, now_ns)
        self._refusal = ""
        if due.how == "set":
            done = "dry run: would set" if self._is_dry else "set"
            self._tell(f"feedback: {done} hostbit {self._hostbit} of {due.ip} for {due.seconds:,} s, by {due.sid}")

    def _remove(self, ip: str) -> None:
        try:
            self._channel.remove_hostbit(ip, self._hostbit)
        except CommandRefused as refusal:
            self._is_refused(str(refusal))
        else:
            self.book.counts["removed"] += 1
            done = "dry run: would take" if self._is_dry else "took"
            self._tell(f"feedback: {done} hostbit {self._hostbit} from {ip}, which is spared by now")
        self.book.is_removed(ip)

    def _is_refused(self, reason: str) -> None:
        if reason != self._refusal:
            self._refusal = reason
            remedy = f"; no rule that it has loaded asks for {self._hostbit}" if "not found" in reason else ""
            self._tell(f"feedback: Suricata refuses, {reason}{remedy}: tried again every minute")

    def _fails(self, error: Exception) -> None:
        self._channel.close()
        self.book.counts["failures"] += 1
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if not self._failure:
            self._tell(f"feedback: {self._channel.name}: {reason}: offenders wait, and it is tried again and again")
        self._failure = reason

    def _works(self) -> None:
        if self._failure:
            self._failure = ""
            self._tell(f"feedback: {self._channel.name}: works again; bits that are due are set anew")
