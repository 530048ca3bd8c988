"""How soon an alert is out: attacks sent one after another, and the time at which each leak can be read."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

from benchmarks.attack import attack
from benchmarks.measure import REPOSITORY, Failed
from benchmarks.wire import FAR, NEAR

if TYPE_CHECKING:
    from benchmarks.wire import Wire

__all__ = ["LEAK", "inject", "latencies_ms"]

LEAK = 1016100
_PAUSE_S = 0.05
_FIRST_PORT = 10_000
_RECORD_HEADER_BYTES = 16

_SEND = """
import json, socket, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1], 0))
for frames in json.load(sys.stdin):
    for frame in frames:
        wire.send(bytes.fromhex(frame))
    time.sleep(float(sys.argv[2]))
"""


def inject(wire: Wire, numbers: range, pause_s: float = 0.0) -> int:
    """Send the attacks of these numbers, each on an endpoint of its own: what is told once of one is not told again.
    How many packets it took."""
    attacks = [attack(number, _FIRST_PORT + number) for number in numbers]
    conversations = [[frame[0, _RECORD_HEADER_BYTES:].tobytes().hex() for frame in frames] for frames in attacks]
    command = wire.inside(sys.executable, "-c", _SEND, NEAR, str(pause_s))
    subprocess.run(command, check=True, input=json.dumps(conversations), text=True)
    return sum(map(len, conversations))


def latencies_ms(wire: Wire, count: int) -> list[float]:
    """Milliseconds from the packet of each leak until the line of its alert was read. Raises Failed."""
    sniff = (sys.executable, "-m", "hbids", "sniff", FAR, "--user", "root", "--eve", "-")
    taken: list[float] = []
    with subprocess.Popen(
        wire.inside(*sniff), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stderr.readline().strip() != "ready":
            raise Failed("hbids sniff does not listen")
        sender = threading.Thread(target=inject, args=(wire, range(count), _PAUSE_S))
        sender.start()
        while len(taken) < count:
            event = json.loads(process.stdout.readline())
            if event["event_type"] == "alert" and event["alert"]["signature_id"] == LEAK:
                taken.append((time.time() - datetime.fromisoformat(event["timestamp"]).timestamp()) * 1e3)
        sender.join()
        process.terminate()
        process.communicate()
    return taken
