"""A Suricata that listens at the far end of a wire."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.conftest import require_tool
from tests.support.suricata import CONFIGURATION, FRAGMENT
from tests.support.wire import eventually

if TYPE_CHECKING:
    from tests.support.wire import Wire

__all__ = ["LiveSuricata"]

_SOON_OVER = "flow-timeouts.tcp.closed: 2\nflow-timeouts.tcp.established: 4\nflow-timeouts.tcp.new: 4\n"
_END_S = 60.0


@dataclass
class LiveSuricata:
    """Entered, it runs; it may be ended and started anew. What it writes lies in the folder."""

    wire: Wire
    folder: Path
    rules: Path
    fragment: Path = FRAGMENT
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def command_socket(self) -> Path:
        """Where it takes commands."""
        return self.folder / "command.socket"

    @property
    def eve(self) -> Path:
        """What it logs."""
        return self.folder / "eve.json"

    def start(self) -> None:
        """Until it listens."""
        (self.folder / "soon.yaml").write_text(f"%YAML 1.1\n---\n{_SOON_OVER}")
        command = self.wire.inside(
            require_tool("suricata"),
            *("-c", CONFIGURATION, f"--include={self.fragment}", f"--include={self.folder / 'soon.yaml'}"),
            *("-S", self.rules, "-k", "none", "--af-packet=out0", "-l", self.folder),
            *(f"--pidfile={self.folder / 'suricata.pid'}", "--set", f"unix-command.filename={self.command_socket}"),
        )
        (self.folder / "suricata.pid").unlink(missing_ok=True)
        said = self.folder / "suricata.out"
        with said.open("wb") as stream:
            self.process = process = subprocess.Popen(command, stdout=stream, stderr=stream)
        eventually(lambda: b"Engine started" in said.read_bytes() or process.poll() is not None, "Suricata")
        assert process.poll() is None, said.read_text()

    def end(self, *, kill: bool = False) -> None:
        """In good order, or not."""
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(_END_S)
            self.process = None

    def alerts(self, sid: int) -> list[dict[str, Any]]:
        """Of one signature, so far."""
        whole = self.eve.read_text().rpartition("\n")[0] if self.eve.exists() else ""
        events = [json.loads(line) for line in whole.splitlines() if f'"signature_id":{sid},' in line]
        return [event for event in events if event["event_type"] == "alert"]

    def hostbits(self, ip: str) -> dict[str, int]:
        """Bits of an address, and for how many seconds they stay."""
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rw") as stream:
            client.connect(str(self.command_socket))
            for request in ({"version": "0.2"}, {"command": "list-hostbit", "arguments": {"ipaddress": ip}}):
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
        message = answer["message"]  # text, if it knows nothing of that host
        bits = message["hostbits"] if isinstance(message, dict) else []
        # One that is over stands there until somebody asks for the host.
        return {bit["name"]: bit["expire"] for bit in bits if bit["expire"] > 0}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
