"""The book of offenders: who is to be told of, until when, and what Suricata knows of it."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hbids.config import Feedback

__all__ = ["Due", "Offenders"]

_MINUTE_NS = 60_000_000_000
_SECOND_NS = 1_000_000_000
_REFRESH_SHARE = 4
"""A bit is set anew when a fourth of its time is gone, if its offender went on."""
_REFUSED_WAIT_NS = 60 * _SECOND_NS
"""Until a command that Suricata refused is tried again: rules may have been loaded since."""


@dataclass(slots=True)
class _Offence:
    sid: int
    """Of the finding that made an offender of him."""
    last_ns: int
    """When he was last seen to go on."""
    told_until_ns: int = 0
    """Until when Suricata has the bit; 0 if it does not know of him."""
    had_turn: bool = False
    """He was told of; if Suricata forgot, he need not wait again."""
    was_held_back: bool = False
    not_before_ns: int = 0


class Due(NamedTuple):
    """A bit that is to be set now."""

    ip: str
    sid: int
    seconds: int
    how: str
    """``set``, ``set_again`` after Suricata forgot it, or ``refreshed``: as it is counted."""


class Offenders:
    """One thread enters offenders, another tells Suricata; all times are in nanoseconds since the epoch."""

    def __init__(self, settings: Feedback) -> None:
        self._settings = settings
        self._offences: OrderedDict[str, _Offence] = OrderedDict()
        self._pardoned: list[str] = []
        """Of whom Suricata was told, and should not have been."""
        self._turns = float(settings.offenders_a_minute)
        """How many new ones may be told of now."""
        self._turns_at_ns = 0
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """What was done and what was not, by the names of the summary."""

    def enter(self, ip: str, sid: int, time_ns: int) -> None:
        """He did it, or did it again."""
        with self._lock:
            offence = self._offences.get(ip)
            if offence is None and len(self._offences) >= self._settings.offenders:
                self.counts["too_many"] += 1
            elif offence is None:
                self._offences[ip] = _Offence(sid, time_ns)
            else:
                offence.last_ns = max(offence.last_ns, time_ns)

    def goes_on(self, ip: str, time_ns: int) -> None:
        """Whoever is an offender stays one for longer."""
        with self._lock:
            offence = self._offences.get(ip)
            if offence is not None:
                offence.last_ns = max(offence.last_ns, time_ns)

    def due(self, now_ns: int) -> list[Due]:
        """What Suricata is to be told now. Those whose time is over are forgotten: their bits go by themselves."""
        with self._lock:
            for ip in [ip for ip, offence in self._offences.items() if self._until_ns(offence) <= now_ns]:
                self.counts["too_late"] += not self._offences.pop(ip).had_turn
            turns = self._turns_by(now_ns)
            due: list[Due] = []
            for ip, offence in self._offences.items():
                if now_ns < offence.not_before_ns:
                    continue
                if not offence.had_turn:
                    turns -= 1
                    if turns < 0:
                        self._hold_back(offence)
                        continue
                until_ns = self._until_ns(offence)
                # Of clocks that disagree, none makes a bit stay longer than it shall.
                seconds = -(-min(until_ns - now_ns, self._settings.expire_ns) // _SECOND_NS)
                if not offence.told_until_ns:
                    due.append(Due(ip, offence.sid, seconds, "set_again" if offence.had_turn else "set"))
                elif until_ns - offence.told_until_ns >= self._settings.expire_ns // _REFRESH_SHARE:
                    due.append(Due(ip, offence.sid, seconds, "refreshed"))
            return due

    def told(self, due: Due, now_ns: int) -> None:
        """Suricata has set the bit."""
        with self._lock:
            self.counts[due.how] += 1
            self._turns -= due.how == "set"
            if offence := self._offences.get(due.ip):
                offence.had_turn = True
                offence.told_until_ns = now_ns + due.seconds * _SECOND_NS

    def refused(self, due: Due, now_ns: int) -> None:
        """Suricata has not, and may do so later."""
        with self._lock:
            self.counts["refused"] += 1
            if offence := self._offences.get(due.ip):
                offence.not_before_ns = now_ns + _REFUSED_WAIT_NS

    def forgotten_by_suricata(self) -> None:
        """It was started anew, and all bits are lost."""
        with self._lock:
            for offence in self._offences.values():
                offence.told_until_ns = offence.not_before_ns = 0
            self._pardoned.clear()

    def pardon(self, is_spared: Callable[[str], object]) -> None:
        """Strike out those who are spared by now; of those whom Suricata knows, bits are to be taken."""
        with self._lock:
            for ip in [ip for ip in self._offences if is_spared(ip)]:
                if self._offences.pop(ip).had_turn:
                    self._pardoned.append(ip)

    def pardoned(self) -> list[str]:
        """Whose bits are to be removed."""
        with self._lock:
            return list(self._pardoned)

    def is_removed(self, ip: str) -> None:
        """The bit of one of them is gone."""
        with self._lock:
            self._pardoned.remove(ip)

    def document(self) -> list[list[Any]]:
        """All of them, for a state."""
        with self._lock:
            return [[ip, each.sid, each.last_ns, each.had_turn] for ip, each in self._offences.items()]

    def restore(self, document: Iterable[list[Any]]) -> None:
        """Go on from a :meth:`document`. Suricata is told of all anew, since it may have been started anew, too."""
        with self._lock:
            for ip, sid, last_ns, had_turn in document:
                self._offences[ip] = _Offence(sid, last_ns, had_turn=had_turn)

    def known(self) -> list[dict[str, Any]]:
        """Of whom Suricata knows, for the summary."""
        with self._lock:
            return [{"ip": ip, "sid": each.sid} for ip, each in self._offences.items() if each.told_until_ns]

    def _until_ns(self, offence: _Offence) -> int:
        return offence.last_ns + self._settings.expire_ns

    def _turns_by(self, now_ns: int) -> float:
        most = self._settings.offenders_a_minute
        passed_ns = max(0, now_ns - self._turns_at_ns)
        self._turns = min(float(most), self._turns + passed_ns * most / _MINUTE_NS)
        self._turns_at_ns = now_ns
        return self._turns

    def _hold_back(self, offence: _Offence) -> None:
        self.counts["rate"] += not offence.was_held_back
        offence.was_held_back = True
