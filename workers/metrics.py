"""A worker's own metrics, served where `--metrics-port` says; the service tells of all workers what the store knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from search_spaces.problems import InvalidSpec
from search_spaces.work import DeviceUsage

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends, in seconds; those of the service."""


@dataclass(frozen=True)
class Standing:
    """How a worker stands at one moment."""

    in_training: int
    claimed: int
    ended: Mapping[str, int]
    """Trials that it has put down, by the event that ended them."""
    store_is_away: bool
    usage: list[DeviceUsage]


class WorkerMetrics(Collector):
    """Counts verbs by `observe_verb`; the rest it reads from the worker when it is asked."""

    def __init__(self) -> None:
        # The time of each series' first sample would be a series of its own.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._verb_seconds = Histogram(
            "etude_worker_verb_duration_seconds", "Claims, reports and the other verbs, as the worker waits for them",
            ["verb"], buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._standing: Callable[[], Standing] | None = None

    def observe_verb(self, verb: str, seconds: float) -> None:
        """Count a verb."""
        self._verb_seconds.labels(verb).observe(seconds)

    @contextmanager
    def served(self, standing: Callable[[], Standing], host: str, port: int) -> Iterator[int]:
        """Serve the page at `/metrics` while the block runs, and give the port; 0 takes a free one.

        Raises:
            InvalidSpec: the address cannot be listened on.
        """
        self._standing = standing
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        try:
            server, thread = start_http_server(port, host, self._registry)
        except OSError as error:
            raise InvalidSpec(f"cannot listen on {host}:{port} ({error.strerror})", field="--metrics-port") from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Read the worker."""
        assert self._standing is not None
        found = self._standing()
        yield GaugeMetricFamily("etude_worker_trials", "Trials in training", value=found.in_training)
        yield CounterMetricFamily("etude_worker_trials_claimed", "Trials claimed", value=found.claimed)
        ended = CounterMetricFamily("etude_worker_trials_ended", "Trials put down, by what ended them", labels=["end"])
        for end, count in found.ended.items():
            ended.add_metric([end], count)
        yield ended
        yield GaugeMetricFamily(
            "etude_worker_store_up", "Whether the last verb was answered", value=float(not found.store_is_away)
        )
        yield from _devices(found.usage)


def _devices(usages: list[DeviceUsage]) -> Iterator[GaugeMetricFamily]:
    used = GaugeMetricFamily("etude_worker_gpu_memory_used_bytes", "Memory of the GPU in use, by whoever",
                             labels=["device"])  # fmt: skip
    total = GaugeMetricFamily("etude_worker_gpu_memory_total_bytes", "Memory of the GPU", labels=["device"])
    busy = GaugeMetricFamily("etude_worker_gpu_utilization_ratio", "Share of time in which the GPU computed",
                             labels=["device"])  # fmt: skip
    for usage in usages:
        used.add_metric([usage.device], usage.memory_used_bytes)
        total.add_metric([usage.device], usage.memory_total_bytes)
        if usage.utilization is not None:
            busy.add_metric([usage.device], usage.utilization)
    yield from (used, total, busy)
