"""pyshark, made to wait for the end of tshark."""

from __future__ import annotations

import asyncio

import pyshark

__all__ = ["PatientCapture"]

_PATIENCE_S = 10


class PatientCapture(pyshark.FileCapture):  # type: ignore[misc]  # pyshark has no type hints
    """Lets tshark end by itself. pyshark kills it as soon as it has said everything, and where that races with tshark's
    own end, Python before 3.13 loses the exit status, and pyshark reports a crash that was none."""

    async def _cleanup_subprocess(self, process: asyncio.subprocess.Process) -> None:
        try:
            await asyncio.wait_for(process.wait(), timeout=_PATIENCE_S)
        finally:
            await super()._cleanup_subprocess(process)  # says so if tshark failed, kills it if it did not end
