"""hbids: who asked our TLS servers for memory, who got it, how many bytes, and with what tool.

>>> import hbids
>>> result = hbids.replay("capture.pcap")  # doctest: +SKIP
>>> result.summary()["leaked_bytes"]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hbids.config import Config
    from hbids.facts import Finding, Verdict
    from hbids.pipeline import Result, replay
    from hbids.pipeline.live import sniff

__all__ = ["Config", "Finding", "Result", "Verdict", "__version__", "replay", "sniff"]

__version__ = "0.1.0"

_HOMES = {
    "Config": "hbids.config",
    "Finding": "hbids.facts",
    "Result": "hbids.pipeline",
    "Verdict": "hbids.facts",
    "replay": "hbids.pipeline",
    "sniff": "hbids.pipeline.live",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``import hbids`` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
