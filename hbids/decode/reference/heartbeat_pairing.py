"""Which request a heartbeat answers, as far as lengths and order tell."""

from __future__ import annotations

from collections import deque

from hbids.decode.reference.heartbeat_message import HEADER_BYTES, NO_REQUEST, PADDING_BYTES, Request
from hbids.decode.reference.run import Run
from hbids.facts import ABSENT

__all__ = ["Pairing"]

REQUEST_BYTES = 64
"""What the native engine needs for a waiting request."""


class Pairing:
    """Requests of both sides that nothing has answered yet, oldest first."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pending: tuple[deque[Request], deque[Request]] = (deque(), deque())

    def held_bytes(self) -> int:
        """What waits."""
        return sum(map(len, self._pending)) * REQUEST_BYTES

    def waiting(self, side: int) -> deque[Request]:
        """This side's requests that a sealed record may still answer."""
        pending = self._pending[side]
        while pending and self._run.time_ns - pending[0].time_ns > self._run.limits.pending_wait_ns:
            pending.popleft()
        return pending

    def remember(self, side: int, request: Request) -> None:
        """A request of this side begins to wait."""
        pending = self._pending[side]
        if len(pending) >= self._run.limits.pending_requests:
            pending.popleft()
            self._run.counters["pending_requests_dropped"] += 1
        pending.append(request)

    def request_answered(self, side: int, claimed: int) -> Request:
        """The request this clear answer echoes: same claim, else one whose claim could not be read, else the oldest."""
        pending = self._pending[1 - side]
        for wanted in (claimed, ABSENT):
            for index, request in enumerate(pending):
                if request.claimed_length == wanted:
                    del pending[index]
                    return request
        return pending.popleft() if pending else NO_REQUEST

    def request_of_lost_answer(self, side: int, length: int, fragment_bytes: int) -> Request:
        """Of a record that is no message: the request to whose answer it belongs, if one that was asked for would be
        cut so."""
        pending = self._pending[1 - side]
        for request in pending:
            whole = HEADER_BYTES + request.claimed_length + PADDING_BYTES
            if whole > fragment_bytes and length in (fragment_bytes, whole % fragment_bytes):
                pending.remove(request)
                return request
        return NO_REQUEST

    def sealed_request_answered(self, side: int, length: int, fragment_bytes: int) -> Request:
        """The waiting request this sealed answer echoes: an honest one is as long. Else the smallest, so that a large
        decoy which nobody answers does not make a leak look like an echo."""
        waiting = self.waiting(1 - side)
        if not waiting:
            return NO_REQUEST
        echoed = (request for request in waiting if request.record_length == length < fragment_bytes)
        request = next(echoed, None) or min(waiting, key=lambda request: request.record_length)
        waiting.remove(request)
        return request
