"""When a state may be saved: when the sinks that work have all that was told."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from hbids.cli.outboxes import Outboxes
from hbids.config import Sinks
from hbids.eve.sinks import Beginning
from tests.support.outboxes import line
from tests.support.wire import eventually

if TYPE_CHECKING:
    from pathlib import Path


def test_a_slow_sink_holds_the_state_back_and_a_dead_one_does_not(tmp_path: Path) -> None:
    told = list[str]()
    destinations = [str(tmp_path / "eve.json"), f"unix:{tmp_path}/slow", f"unix:{tmp_path}/nobody"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "slow"))
        listener.listen()
        outboxes = Outboxes(destinations, Sinks(), Beginning.APPENDED, told.append)
        outboxes.start()
        eventually(lambda: told, "one is dead")
        outboxes.put(line(1))
        eventually(outboxes.settled, "the others have it")
        outboxes.put(line(2, 1 << 20))  # more than the socket holds
        assert not outboxes.settled()
        with listener.accept()[0] as reader:
            while not outboxes.settled():
                reader.recv(1 << 20)
        outboxes.close(began_s=0)
