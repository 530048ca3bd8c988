"""Numbers for Prometheus (``--metrics``): those of the summary, as they stand, and how the sinks fare.

Each metric is described in docs/operations.md. No label carries an address: who was asked by whom is in the alerts, and
a scan of a network must not become a flood of time series.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from hbids import __version__
from hbids.errors import UserInputError
from hbids.facts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from hbids.eve.sinks.outbox import OutboxCounts

__all__ = ["Metrics", "families"]

_LOOPBACK = "127.0.0.1"


class Metrics(Collector):
    """An HTTP server that answers with the numbers of the latest :meth:`update`, as long as the process runs."""

    def __init__(self, address: str) -> None:
        """Listen at ``HOST:PORT``, ``[V6]:PORT`` or, on loopback, ``PORT``. Raises UserInputError, or OSError with the
        address as its file name."""
        host, port = _split(address)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._latest: list[Metric] = []
        registry.register(self)
        try:
            start_http_server(port, host, registry)
        except OSError as error:
            error.filename = f"--metrics {address}"
            raise

    def update(self, summary: Mapping[str, Any], sinks: Mapping[str, OutboxCounts], reloads: Mapping[str, int]) -> None:
        """Take the numbers as they stand."""
        self._latest = list(families(summary, sinks, reloads))

    def collect(self) -> Iterable[Metric]:
        """For the server's thread."""
        return self._latest


def families(
    summary: Mapping[str, Any], sinks: Mapping[str, OutboxCounts], reloads: Mapping[str, int]
) -> Iterator[Metric]:
    """Every metric there is; ``reloads`` counts those of the configuration by their result."""
    yield InfoMetricFamily("hbids_build", "What runs", {"version": __version__, "engine": summary["engine"]})
    yield CounterMetricFamily("hbids_packets", "Frames read", summary["packets"])
    yield CounterMetricFamily("hbids_bytes", "Their original lengths", summary["bytes"])
    yield CounterMetricFamily("hbids_flows", "Connections told apart", summary["flows"])
    sessions = {"tls": summary["tls_sessions"], "dtls": summary["dtls_sessions"]}
    yield _counters("hbids_sessions", "Sessions", "transport", sessions)
    heartbeats = dict(summary["heartbeats"])
    overreads = heartbeats.pop("overread_requests")
    yield _counters("hbids_heartbeats", "Heartbeat messages, sealed ones of unknown kind", "kind", heartbeats)
    yield CounterMetricFamily("hbids_overread_requests", "Requests for more than they carry", overreads)
    leaked = {"exact": summary["leaked_bytes"], "estimated": summary["leaked_bytes_estimated"]}
    yield _counters("hbids_leaked_bytes", "Memory that got out", "measure", leaked)
    verdicts = Counter(endpoint["verdict"] for endpoint in summary["endpoints"])
    words = [verdict.word for verdict in Verdict if verdict != Verdict.CLEAR]
    endpoints = GaugeMetricFamily("hbids_endpoints", "Endpoints above clear", labels=["verdict"])
    for word in words:
        endpoints.add_metric([word], verdicts[word])
    yield endpoints
    yield _counters("hbids_alerts", "Alerts by signature", "sid", summary["alerts"])
    yield _counters("hbids_drops", "What was left out (docs/counters.md)", "counter", summary["drops"])
    interfaces = CounterMetricFamily("hbids_interface", "What interfaces count", labels=["interface", "counter"])
    for interface, counters in summary.get("interfaces", {}).items():
        for name, count in counters.items():
            interfaces.add_metric([interface, name], count)
    yield interfaces
    if "eve" in summary:
        yield CounterMetricFamily("hbids_eve_lines", "Lines of Suricata's read", summary["eve"]["lines"])
        yield GaugeMetricFamily("hbids_eve_lag_bytes", "What is written and not read", summary["eve"].get("lag_bytes"))
    if "feedback" in summary:
        yield from _of_feedback(summary["feedback"])
    yield _counters("hbids_reloads", "Reloads of the configuration", "result", reloads)
    yield from _of_sinks(sinks)


def _of_feedback(feedback: Mapping[str, Any]) -> Iterator[Metric]:
    offenders = len(feedback["offenders"])
    yield GaugeMetricFamily("hbids_feedback_offenders", "Addresses with a hostbit at Suricata", offenders)
    yield GaugeMetricFamily("hbids_feedback_up", "1 while Suricata can be told", feedback["works"])
    done = {name: feedback[name] for name in ("set", "set_again", "refreshed", "removed", "refused", "failures")}
    yield _counters("hbids_feedback", "What was told, or was not", "result", done)
    yield _counters("hbids_feedback_held_back", "Findings without feedback", "reason", feedback["held_back"])


def _of_sinks(sinks: Mapping[str, OutboxCounts]) -> Iterator[Metric]:
    for name, help_ in (("written", "Events written"), ("lost", "Events lost"), ("reconnects", "Recoveries")):
        values = {sink: getattr(counts, name) for sink, counts in sinks.items()}
        yield _counters(f"hbids_sink_{name}", help_, "sink", values)
    queued = GaugeMetricFamily("hbids_sink_queued", "Events that wait", labels=["sink"])
    works = GaugeMetricFamily("hbids_sink_up", "1 while the sink works", labels=["sink"])
    for sink, counts in sinks.items():
        queued.add_metric([sink], counts.queued)
        works.add_metric([sink], not counts.failure)
    yield from (queued, works)


def _counters(name: str, help_: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UserInputError([f"--metrics {address}: no port: write it like 127.0.0.1:9105, [::1]:9105 or 9105"])
    return host.strip("[]") or _LOOPBACK, int(port)
