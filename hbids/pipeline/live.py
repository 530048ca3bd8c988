"""Live interfaces: the way in of ``hbids sniff``."""

from __future__ import annotations

import queue
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hbids.capture.live import Interface, Standing
from hbids.config import Config
from hbids.eve.event import alert
from hbids.eve.statistics import stats_event
from hbids.pipeline.analysis import Analysis
from hbids.pipeline.ears import Listening, open_ears
from hbids.pipeline.keeper import Keeper
from hbids.pipeline.listener import Listener
from hbids.pipeline.losses import LIVE_DROPS, LossWatch
from hbids.pipeline.pcap_ring import PcapRing
from hbids.pipeline.result import Result, together, totals
from hbids.signatures import in_force
from hbids.stats.history import History

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from hbids.facts import Facts, Finding, FrameBatch

__all__ = ["Sensor", "sniff"]

_FINISH_S = 0.8
"""From the signal that ends a sensor until no more open flows are ended: time for half a million of them. Of the two
seconds within which it shall be gone the rest is left for sinks, and for a busy machine."""

_LEAST_WAIT_S = 0.01

_LOOK_INTERVAL_S = 1.0
"""How often is looked whether interfaces are up."""


class Sensor:
    """Listens to interfaces and judges what they bring, until it is closed.

    ``on_event`` gets EVE events as they are made: alerts, and statistics every ``capture.stats_interval_ns``.
    ``on_notice`` gets what the operator should know meanwhile, in a line; ``may_save`` says whether what was told is
    out, so that a state may say so. Building it opens the interfaces, which takes privileges; from then on none are
    needed. Raises UserInputError for what does not exist, CannotListen when the system refuses.
    """

    def __init__(
        self,
        *interfaces: str,
        config: Config | None = None,
        how: Listening | None = None,
        on_event: Callable[[dict[str, Any]], None],
        on_notice: Callable[[str], None] | None = None,
        facts_sink: Callable[[Facts], None] | None = None,
        history: bool = False,
        may_save: Callable[[], bool] | None = None,
    ) -> None:
        self._may_save = may_save
        self._config = config or Config()
        self._on_event, self._facts_sink = on_event, facts_sink
        self._on_notice = on_notice or (lambda _: None)
        self._interfaces = [Interface.named(name) for name in dict.fromkeys(interfaces)]
        self.engine, self._ears = open_ears(self._interfaces, self._config, how or Listening())
        self._steps = Listener.queue()
        self._listeners = [Listener(ears, self._steps, number) for number, ears in enumerate(self._ears)]
        self._ended = 0
        self._history = History(self._config.report) if history else None
        self._analysis = Analysis(self._config, self._tell, self._history)
        self._signatures = in_force(self._config.signatures)
        self._keeper: Keeper | None = None
        self._pcap_ring: PcapRing | None = None
        self._losses = LossWatch(self._config)
        self._lost_before = {interface.name: interface.frames_lost() for interface in self._interfaces}
        self._standings = {interface.name: Standing.UP for interface in self._interfaces}
        self._noticed: set[str] = set()
        self._alerts: Counter[int] = Counter()

    def start(self, state: str | os.PathLike[str] | None = None, pcap_ring: str | None = None) -> None:
        """Hear, from now on. Raises UserInputError when there is no going on from ``state``, or when the folder
        ``pcap_ring``, where the packets of alerts shall go, cannot be written to."""
        if pcap_ring is not None:
            self._pcap_ring = PcapRing(pcap_ring, self._config, self._recent)
            self._pcap_ring.start()
        if state is not None:
            self._keeper = Keeper(state, self._analysis, self._config, self._may_save)
        self._clocks = (time.monotonic(), time.process_time())
        self._counted_s = self._looked_s = self._clocks[0]
        for ears in self._ears:
            ears.start()
        for listener in self._listeners:
            listener.start()

    @property
    def is_listening(self) -> bool:
        """Whether it still hears what it was built to hear. It does not once a worker failed, no interface is left, or
        one has come back that was gone: then it must be built anew."""
        standings = set(self._standings.values())
        return self._ended == 0 and standings != {Standing.GONE} and Standing.REPLACED not in standings

    def step(self, longest_s: float) -> None:
        """Judge what has come; wait for it so long."""
        self._judge(longest_s)
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_INTERVAL_S:
            self._looked_s = now_s
            self._look_at_interfaces()
        if now_s - self._counted_s >= self._config.capture.stats_interval_ns / 1e9:
            self._counted_s = now_s
            self._count()
        if self._keeper:
            self._keeper.save_now_and_then()

    def close(self, asked_s: float | None = None) -> Result:
        """Stop listening, judge what is left, and sum up. The end was asked for at ``asked_s`` of the monotonic clock,
        or now."""
        for listener in self._listeners:
            listener.stop()
        deadline_s = (asked_s or time.monotonic()) + _FINISH_S
        while self._ended < len(self._listeners):
            self._judge(max(_LEAST_WAIT_S, deadline_s - time.monotonic()))
            if time.monotonic() > deadline_s:
                for listener in self._listeners:
                    listener.hurry()
        self._analysis.finish()
        self._count()
        if self._pcap_ring:
            self._pcap_ring.close()
        problems = self._keeper.close() if self._keeper else []
        result = self._so_far()
        result.problems += problems
        return result

    def summary(self) -> dict[str, Any]:
        """The summary so far."""
        return self._so_far().summary()

    def adopt(self, config: Config) -> None:
        """Judge and write by another configuration from now on, one that :meth:`Config.reloaded` gave."""
        self._config = self._losses.config = config
        self._signatures = in_force(config.signatures)
        self._analysis.adopt(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.stop()

    def _so_far(self) -> Result:
        result = Result(self.engine, [interface.name for interface in self._interfaces], history=self._history)
        wall_s = round(time.monotonic() - self._clocks[0], 6)
        seconds = {"capture": wall_s, "wall": wall_s, "cpu": round(time.process_time() - self._clocks[1], 6)}
        result.endpoints = self._analysis.endpoints()
        result.totals = totals(self._analysis, result.endpoints, self._decoder_counters()) | {"seconds": seconds}
        interfaces = self._interface_counters()
        for name in LIVE_DROPS:
            if count := sum(counters.get(name, 0) for counters in interfaces.values()):
                result.totals["drops"][name] = count
        result.totals["interfaces"] = interfaces
        result.totals["alerts"] |= {str(sid): count for sid, count in self._alerts.items()}
        return result

    def _judge(self, longest_s: float) -> None:
        steps = []
        try:
            steps.append(self._steps.get(timeout=longest_s))
            while True:
                steps.append(self._steps.get_nowait())
        except queue.Empty:
            pass
        facts = [step for step in steps if step is not None]
        self._ended += len(steps) - len(facts)
        if facts:
            step = together(facts)
            if len(self._listeners) > 1:  # each has an order of its own
                step.heartbeats = step.heartbeats[np.argsort(step.heartbeats["end_time_ns"], kind="stable")]
            self._analysis.add(step)
            if self._facts_sink:
                self._facts_sink(step)

    def _recent(self) -> list[FrameBatch]:
        return [batch for listener in self._listeners for batch in listener.recent()]

    def _tell(self, finding: Finding) -> None:
        event = alert(finding, self._signatures[finding.sid], self._config.output)
        if self._pcap_ring:
            self._pcap_ring.want(finding)
        event.pop("pcap_cnt", None)  # the number of a packet in no file
        self._on_event(event | {"in_iface": ",".join(interface.name for interface in self._interfaces)})

    def _look_at_interfaces(self) -> None:
        for interface in self._interfaces:
            standing = interface.standing()
            if standing != self._standings[interface.name]:
                self._standings[interface.name] = standing
                self._on_notice(f"{interface.name}: {standing.value}")
        for name, counters in self._interface_counters().items():
            if counters.get("frames_joined") and name not in self._noticed:
                self._noticed.add(name)
                self._on_notice(
                    f"{name}: frames are longer than its MTU: they were joined before hbids saw them, so sizes and "
                    f"times of packets are not those of the wire: `ethtool -K {name} gro off lro off` ends it"
                )
        if self._pcap_ring and self._pcap_ring.failure and "pcap ring" not in self._noticed:
            self._noticed.add("pcap ring")
            self._on_notice(f"packets of alerts can no longer be written: {self._pcap_ring.failure}")
        for listener in self._listeners:
            if listener.failure and listener.name not in self._noticed:
                self._noticed.add(listener.name)
                self._on_notice(f"a worker ended: {listener.failure}")

    def _count(self) -> None:
        time_ns, interfaces = time.time_ns(), self._interface_counters()
        for event in self._losses.alerts(time_ns, interfaces):
            self._alerts[event["alert"]["signature_id"]] += 1
            self._on_event(event)
        told = sum(self._analysis.alerts.values()) + sum(self._alerts.values())
        counted = self._decoder_counters() | self._analysis.drops() | {"alerts": told}
        uptime_s = int(time.monotonic() - self._clocks[0])
        self._on_event(stats_event(time_ns, uptime_s, counted, interfaces, self._config.output))

    def _decoder_counters(self) -> dict[str, int]:
        counted = sum((Counter(listener.decoder_counters) for listener in self._listeners), Counter[str]())
        for name in ("clock_steps", "flows_unfinished"):
            if count := sum(getattr(listener, name) for listener in self._listeners):
                counted[name] = count
        return {"packets": 0, "bytes": 0, "flows": 0} | counted

    def _interface_counters(self) -> dict[str, dict[str, int]]:
        counted = {}
        for interface in self._interfaces:
            counters: Counter[str] = Counter()
            for listener in self._listeners:
                counters.update(listener.interface_counters[interface.name])
            lost = interface.frames_lost() - self._lost_before[interface.name]
            counted[interface.name] = dict(counters) | {"kernel_ifdrops": max(0, lost)}
        return counted


def sniff(
    *interfaces: str,
    config: Config | None = None,
    engine: str = "auto",
    backend: str = "auto",
    workers: int = 1,
    filter: str | None = None,  # noqa: A002  the word that everybody has for it
    promiscuous: bool = True,
    state: str | os.PathLike[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Listen to interfaces and give alerts as EVE-shaped dicts, as they are made, until the caller has enough.

    ``filter`` is in the language of tcpdump; ``state`` names the file in which one run remembers for the next.
    Listening takes CAP_NET_RAW. Raises UserInputError for what does not exist, CannotListen when the system refuses.
    """
    events: list[dict[str, Any]] = []
    how = Listening(engine, backend, workers, filter, promiscuous)
    with Sensor(*interfaces, config=config, how=how, on_event=events.append) as sensor:
        sensor.start(state)
        while sensor.is_listening:
            sensor.step(0.2)
            told, events[:] = events[:], []
            yield from (event for event in told if event["event_type"] == "alert")
