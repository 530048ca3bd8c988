"""How TLS begins on a flow that began with plain text.

A ClientHello after words that ask for TLS, and that the server granted, is believed at once. Any other might be a piece
of a file on its way: it is tentative until a ServerHello answers it.
"""

from __future__ import annotations

from typing import Protocol

from hbids.decode.reference.dialogue import DIALOGUE_BYTES, TAIL_BYTES, Dialogue, Turn
from hbids.decode.reference.run import Run
from hbids.decode.reference.upgrade_words import (
    BEGUN_UNANSWERED,
    asked,
    granted,
    granted_unasked,
    may_be_followed_by_tls,
)
from hbids.facts import TlsStart

__all__ = ["Upgrade"]


class UpgradeFlow(Protocol):
    """What it needs of its flow."""

    packets: list[int]
    """Of each side."""

    def is_client(self, side: int) -> bool:
        """Whether this side is the client, as far as is known."""


class Upgrade:
    """The plain text of one flow, while it may still lead to TLS."""

    def __init__(self, run: Run, flow: UpgradeFlow, start: TlsStart) -> None:
        self._run = run
        self._flow = flow
        self._dialogue: Dialogue | None = None
        self._bulk_side: int | None = None
        """Whose last turn became too long for a dialogue."""
        self._first_start = self.start = start
        self.is_tentative = False

    def held_bytes(self) -> int:
        """What the dialogue holds."""
        return DIALOGUE_BYTES if self._dialogue is not None else 0

    def hear(self, side: int, data: bytes) -> None:
        """A side goes on in plain text. In bulk, only what is as short as a command is heard."""
        if not data or self.is_bulk(side, len(data)):
            return
        self._bulk_side = None
        self._dialogue = self._dialogue or Dialogue()
        if self._dialogue.hear(side, data).length > self._run.limits.plain_turn_bytes:
            self._dialogue = None
            self._bulk_side = side

    def is_bulk(self, side: int, length: int) -> bool:
        """Whether so many more bytes of plain text from this side are not worth a look."""
        return self._bulk_side == side and length > TAIL_BYTES

    def may_end_plain_text(self, side: int, *, client_said_hello: bool) -> bool:
        """Whether words of this side may be the last before TLS. The client's always may: it is the one to ask."""
        return self._flow.is_client(side) or self._wish(client_said_hello) is not None

    def ends_plain_text(self, side: int, *, client_said_hello: bool) -> bool:
        """Whether, after what this side said last, nothing but TLS can follow."""
        protocol = self._wish(client_said_hello)
        return protocol is not None and (self._flow.is_client(side) or granted(protocol, self._turns()[1]))

    def _wish(self, client_said_hello: bool) -> TlsStart | None:
        """The protocol in which the client asked for TLS, or began it."""
        return self.start if client_said_hello else asked(*self._turns())

    def may_begin(self, side: int) -> bool:
        """Whether the client may say hello here."""
        return self._flow.is_client(side) and may_be_followed_by_tls(*self._turns())

    def may_be_answered(self) -> bool:
        """Whether the server may say hello here, after a client's."""
        return not self.is_tentative or may_be_followed_by_tls(*self._turns())

    def agreed(self) -> TlsStart | None:
        """The protocol in which both sides spoke for TLS; in a capture of one side, that side."""
        client_side = 0 if self._flow.is_client(0) else 1
        client, server = self._turns()
        if self._flow.packets[client_side] == 0:
            return granted_unasked(server)
        protocol = asked(client, server)
        if protocol is None or self._flow.packets[1 - client_side] == 0:
            return protocol
        is_answered = self._dialogue is not None and self._dialogue.speaker != client_side
        if (is_answered or protocol in BEGUN_UNANSWERED) and granted(protocol, server):
            return protocol
        return None

    def begin(self, side: int) -> None:
        """The first record of TLS begins."""
        agreed = self.agreed()
        self.start = agreed or asked(*self._turns()) or TlsStart.UPGRADED
        self.is_tentative = agreed is None and self._flow.is_client(side)

    def is_granted_now(self) -> bool:
        """Whether the server has let begin what its client had begun before."""
        return self.is_tentative and granted(self.start, self._turns()[1])

    def forget(self) -> None:
        """Neither side speaks plain text any more."""
        self._dialogue = None

    def withdraw(self) -> None:
        """It was not TLS."""
        self.start = self._first_start
        self.is_tentative = False

    def _turns(self) -> tuple[Turn, Turn]:
        """The client's and the server's."""
        if self._dialogue is None:
            return Turn(), Turn()
        first, second = self._dialogue.turns
        return (first, second) if self._flow.is_client(0) else (second, first)
