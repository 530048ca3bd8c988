"""``python -m benchmarks.sidecar_socket_soak``: a live Suricata, attacks on its wire, its events in a file and over a
stream socket, and a sidecar at each. Suricata is ended (SIGTERM: killed, it may have written a line to one of the two
alone) and started again while it is attacked, and once, between two attacks, both sidecars are restarted. In the end
both must have told the same alerts, each once, and all that the socket did not bring must have been written while
nobody listened. Needs root, Suricata and tcpreplay."""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from benchmarks.measure import Failed
from benchmarks.sidecar_soak import (
    CAPTURES,
    CONTENT,
    PATIENCE_S,
    Sidecar,
    catch_up,
    compare,
    end,
    prepare,
    send,
    suricata,
)
from benchmarks.wire import Wire, open_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__: list[str] = []

SOCKET = "eve.socket"
UNTIL_FLOWS_ARE_OVER_S = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds; 1 when the alerts differ or something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar_socket_soak", description=__doc__)
    parser.add_argument("--restarts", type=int, default=6, metavar="N", help="of Suricata, in each of two halves")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    args = parser.parse_args(arguments)
    try:
        with open_wire() as wire, tempfile.TemporaryDirectory() as folder:
            return _Soak(wire, Path(folder), random.Random(args.seed)).run(args.restarts)  # noqa: S311  no secret
    except Failed as error:
        print(error, file=sys.stderr)
        return 1


class _Soak:
    def __init__(self, wire: Wire, folder: Path, dice: random.Random) -> None:
        self._wire, self._folder, self._dice = wire, folder, dice
        self._fragment = folder / "both.yaml"
        self._fragment.write_text(_both_outputs((CONTENT / "hbids.yaml").read_text(), folder / SOCKET))
        self._process: subprocess.Popen[bytes] | None = None
        prepare(wire, folder)

    def run(self, restarts: int) -> int:
        file = Sidecar(self._folder, "file")
        at_socket = Sidecar(self._folder, "socket", f"unix_stream:{self._folder / SOCKET}")
        try:
            for sidecar in (file, at_socket):
                sidecar.start()
            time.sleep(3)
            self._process = suricata(self._wire, self._folder, self._fragment)
            self._attack(restarts)
            missed = self._restart(file, at_socket)
            self._attack(restarts)
            end(self._process)
            catch_up(file, at_socket)
            for sidecar in (file, at_socket):
                sidecar.end(signal.SIGTERM)
        finally:
            if self._process is not None:
                end(self._process)
            for sidecar in (file, at_socket):
                sidecar.kill()
        away_s = at_socket.summary()["drops"].get("eve_away_s", 0)
        what = f"{2 * restarts} restarts of Suricata, {missed} lines missed in the {away_s} s that nobody listened"
        return compare(file.alerts(), at_socket.alerts(), what) or int(away_s == 0)

    def _restart(self, *sidecars: Sidecar) -> int:
        """End and start them; how many lines were written before they listened again."""
        for sidecar in sidecars:
            sidecar.end(signal.SIGTERM)
        written_before = self._lines_written()
        time.sleep(3)
        for sidecar in sidecars:
            sidecar.start()
        time.sleep(3)
        return self._lines_written() - written_before

    def _attack(self, restarts: int) -> None:
        """Send captures, and restart Suricata meanwhile; until all flows are over."""
        for number in range(restarts):
            sent = send(self._wire, CAPTURES[number % len(CAPTURES)], 4)
            time.sleep(self._dice.uniform(0, 2))
            assert self._process is not None
            end(self._process)
            self._process = suricata(self._wire, self._folder, self._fragment)
            if sent.wait(PATIENCE_S) != 0:
                raise Failed(f"tcpreplay ended with {sent.returncode}")
            if send(self._wire, CAPTURES[number % len(CAPTURES)], 2).wait(PATIENCE_S) != 0:
                raise Failed("tcpreplay failed")
        time.sleep(UNTIL_FLOWS_ARE_OVER_S)

    def _lines_written(self) -> int:
        return (self._folder / "eve.json").read_bytes().count(b"\n")


def _both_outputs(fragment: str, socket: Path) -> str:
    """What hbids ships, with its output twice: into a file, and over a socket. But for anomalies, which Suricata logs
    only once."""
    settings = yaml.safe_load(fragment)
    [output] = settings["outputs"]
    output["eve-log"]["types"] = [kind for kind in output["eve-log"]["types"] if "anomaly" not in kind]
    to_socket = deepcopy(output)  # not the same objects, for which YAML has a shorthand that Suricata does not know
    to_socket["eve-log"] |= {"filetype": "unix_stream", "filename": str(socket)}
    settings["outputs"].append(to_socket)
    return "%YAML 1.1\n---\n" + yaml.safe_dump(settings)


if __name__ == "__main__":
    sys.exit(main())
