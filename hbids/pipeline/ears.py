"""What listeners listen with: the native engine's rings, or whatever else brings frames."""

from __future__ import annotations

import secrets
import sys
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hbids.capture.live import LACKS, CannotListen, Interface, PortableSource, compile_filter, tap_of
from hbids.decode.engine import native_available, open_engine
from hbids.errors import UserInputError
from hbids.facts import FRAME_DTYPE, Facts, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hbids.capture.live import Tap
    from hbids.config import Config, Limits
    from hbids.decode.engine import Engine
    from hbids.decode.native import NativeEngine

__all__ = ["BACKENDS", "Ears", "Listening", "open_ears"]

BACKENDS = ("auto", "ring", "scapy")

_LONGEST_WAIT_MS = 200
"""A quiet interface wakes us so often, to let time go on."""

_MOST_MS = 20
"""On a busy one, facts are handed over so often."""


_SLACK_S = 0.02
"""For the kernel's timers."""


@dataclass(frozen=True, slots=True)
class Listening:
    """How to listen."""

    engine: str = "auto"
    backend: str = "auto"
    """One of :data:`BACKENDS`."""
    workers: int = 1
    filter: str | None = None
    """In the language of tcpdump."""
    promiscuous: bool = True
    hardware_time: bool = False
    keep_recent: bool = False
    """Keep the last frames, for whoever wants to see what an alert is about."""


class Ears(Protocol):
    """Some interfaces and the decoder of what they bring."""

    delay_s: float
    """What reached an interface is here after this time."""

    def start(self) -> None:
        """Hear, from now on."""

    def stop(self) -> None:
        """Hear nothing new; what has come is still to be learnt from."""

    def step(self) -> Facts:
        """What was learnt since the last call; comes back within a fraction of a second. Raises OSError when an
        interface can no longer be heard."""

    def finish(self) -> Iterator[Facts]:
        """End every flow."""

    def recent(self) -> list[FrameBatch]:
        """The last frames, where they are kept."""

    def decoder_counters(self) -> dict[str, int]:
        """Totals of the decoder so far."""

    def interface_counters(self) -> dict[str, dict[str, int]]:
        """Totals of each interface so far."""


def open_ears(interfaces: Sequence[Interface], config: Config, how: Listening) -> tuple[str, Sequence[Ears]]:
    """The name of the engine, and ears for each worker.

    Raises UserInputError for what makes no sense, CannotListen when the system refuses.
    """
    can_ring = sys.platform == "linux" and native_available() and how.engine != "reference"
    if how.backend == "ring" and not can_ring:
        raise UserInputError(["--backend ring needs Linux and the native engine: take --backend scapy"])
    try:
        if can_ring and how.backend != "scapy":
            return "native", _open_rings(interfaces, config, how)
        return _open_portable(interfaces, config, how)
    except PermissionError as error:
        raise _refused(interfaces) from error
    except OSError as error:
        names = ", ".join(interface.name for interface in interfaces)
        raise CannotListen(f"{names}: cannot be listened to: {error.strerror or error}") from error


class RingEars:
    """Frames decoded where the kernel puts them."""

    def __init__(
        self, engine: NativeEngine, taps: dict[str, Tap], shares: dict[str, tuple[int | None, int] | None]
    ) -> None:
        """Open the taps, by interface. Raises OSError."""
        from hbids import _native

        self._engine = engine
        self._taps = _native.Taps()
        self._names = list(taps)
        self._longest_wait_ms = _LONGEST_WAIT_MS
        self.delay_s = _SLACK_S + max(tap.block_timeout_ms for tap in taps.values()) / 1e3
        self.groups = {name: self._taps.open(tap, shares[name]) for name, tap in taps.items()}
        """What other ears must join to share an interface's frames."""

    def start(self) -> None:
        """Hear, from now on."""
        self._taps.start()

    def stop(self) -> None:
        """Hear nothing new."""
        self._taps.stop()
        self._longest_wait_ms = round(self.delay_s * 1e3)  # nothing comes after that

    def step(self) -> Facts:
        """What was heard since the last call."""
        return self._engine.watch(self._taps, self._longest_wait_ms, _MOST_MS)

    def finish(self) -> Iterator[Facts]:
        """End every flow."""
        return self._engine.finish()

    def keep_recent(self, most_bytes: int) -> None:
        """Keep so many bytes of the last frames."""
        self._taps.keep_recent(most_bytes)

    def recent(self) -> list[FrameBatch]:
        """The last frames."""
        return [FrameBatch(data, np.frombuffer(rows, FRAME_DTYPE)) for data, rows in self._taps.recent()]

    def decoder_counters(self) -> dict[str, int]:
        """Totals of the decoder so far."""
        return self._engine.counters()

    def interface_counters(self) -> dict[str, dict[str, int]]:
        """Totals of each interface so far."""
        return dict(zip(self._names, map(dict, self._taps.counters()), strict=True))


def _open_rings(interfaces: Sequence[Interface], config: Config, how: Listening) -> list[RingEars]:
    """Ears for each worker; they share the frames of each interface by one rule, so that all of a flow goes to one of
    them, from whatever interface. Raises OSError."""
    from hbids.decode.native import NativeEngine

    taps = {}
    for interface in interfaces:
        program = compile_filter(how.filter, interface.name, config.capture.snap_bytes) if how.filter else None
        if how.hardware_time:
            interface.stamp_in_hardware()
        taps[interface.name] = tap_of(
            interface,
            config.capture,
            program=program,
            promiscuous=how.promiscuous,
            hardware_time=how.hardware_time,
        )
    multiplier = secrets.randbits(32) | 1
    limits = _share(config.limits, how.workers)
    ears: list[RingEars] = []
    for number in range(how.workers):
        groups = ears[0].groups if ears else dict.fromkeys(taps)
        shares = {name: (group, multiplier) if how.workers > 1 else None for name, group in groups.items()}
        ears.append(RingEars(NativeEngine(limits, number), taps, shares))
        if how.keep_recent:
            ears[-1].keep_recent(config.capture.pcap_ring_bytes // how.workers)
    return ears


def _share(limits: Limits, workers: int) -> Limits:
    """What each of several decoders may hold, so that all together keep within ``limits``."""
    names = ("flows", "out_of_order_bytes_total", "state_bytes_total", "fragments", "fragment_bytes", "eap_clues")
    return replace(limits, **{name: max(1, getattr(limits, name) // workers) for name in names})


class PortableEars:
    """Frames that scapy brings, and any engine."""

    delay_s = 0.0

    def __init__(self, engine: Engine, source: PortableSource) -> None:
        self._engine = engine
        self._source = source
        self._stopped = False

    def start(self) -> None:
        """Drop what was heard before its time."""
        while len(self._source.next_batch(0).frames):
            pass

    def stop(self) -> None:
        """Hear nothing at all: what waits cannot be told from what is new."""
        self._stopped = True

    def step(self) -> Facts:
        """What was heard since the last call."""
        if self._stopped:
            return Facts.empty()
        batch = self._source.next_batch(_LONGEST_WAIT_MS / 1e3)
        return self._engine.feed(batch) if len(batch.frames) else self._engine.tick(time.time_ns())

    def finish(self) -> Iterator[Facts]:
        """End every flow."""
        return self._engine.finish()

    def recent(self) -> list[FrameBatch]:
        """None are kept."""
        return []

    def decoder_counters(self) -> dict[str, int]:
        """Totals of the decoder so far."""
        return self._engine.counters()

    def interface_counters(self) -> dict[str, dict[str, int]]:
        """Totals of each interface so far."""
        return {name: dict(counters) for name, counters in self._source.counters.items()}


def _open_portable(interfaces: Sequence[Interface], config: Config, how: Listening) -> tuple[str, list[PortableEars]]:
    if how.workers > 1 or how.hardware_time or how.keep_recent:
        raise UserInputError(["--workers, --hardware-timestamps and --pcap-ring need --backend ring: leave them out"])
    engine = open_engine(how.engine, config.limits)
    warnings.warn(LACKS, RuntimeWarning, stacklevel=2)
    source = PortableSource(
        [interface.name for interface in interfaces],
        filter_text=how.filter,
        promiscuous=how.promiscuous,
        snap_bytes=config.capture.snap_bytes,
    )
    return engine.name, [PortableEars(engine, source)]


def _refused(interfaces: Sequence[Interface]) -> CannotListen:
    names = ", ".join(interface.name for interface in interfaces)
    return CannotListen(
        f"{names}: listening takes the capability CAP_NET_RAW: run hbids as root (it gives up all privileges once it "
        "listens), or give the capability to a Python of its own, `setcap cap_net_raw+ep .venv/bin/python3` (a copy, "
        "not a link), or let systemd give it, with AmbientCapabilities=CAP_NET_RAW in the unit"
    )
