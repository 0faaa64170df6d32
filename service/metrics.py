"""Metrics in Prometheus' text format: what the store knows as gauges, what this process does as counters.

Several processes share one store, so what is derived from it is read there, at most once in a few seconds, and is the
same at each of them. Labels hold states, routes, verbs and live workers: never names of studies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from search_spaces.problems import Problem
from store.gauges import Gauges

from .shared import Shared

TEXT = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 5.0
"""What was read from the store is shown for so long, however many scrape."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends, in seconds."""
Values = Mapping[str, float]

BY_STATE: tuple[tuple[str, str, Callable[[Gauges], Values]], ...] = (
    ("etude_studies", "Studies in the store by state", lambda read: read.studies),
    ("etude_trials", "Trials of Étude's own in the store by state", lambda read: read.trials),
    ("etude_nights", "Nights of recurrences that are not over, by state", lambda read: read.nights),
    ("etude_webhook_messages", "Messages of webhooks not delivered, by state", lambda read: read.messages),
)
SINGLE: tuple[tuple[str, str, Callable[[Gauges], float]], ...] = (
    ("etude_queue_trials", "Proposals that a worker may claim now", lambda read: read.queue),
    ("etude_queue_oldest_seconds", "Age of the oldest of them", lambda read: read.queue_oldest_seconds),
    ("etude_leases", "Trials that workers hold", lambda read: read.trials["leased"]),
    ("etude_leases_expired", "Leases that ran out and are not yet returned", lambda read: read.leases_expired),
    ("etude_lease_expiries", "Leases of the store's trials that ever expired", lambda read: read.expiries),
    ("etude_trial_lost_seconds", "Time of the store's trials lost to retries", lambda read: read.lost_seconds),
    ("etude_workers", "Workers that live", lambda read: read.fleet.workers),
    ("etude_worker_slots", "Trials that they can train at once", lambda read: read.fleet.slots),
    ("etude_coordinators", "Coordinators that live", lambda read: read.coordinators),
    ("etude_coordinator_lag_seconds", "Longest time a live study was left alone", lambda read: read.lag_seconds),
    ("etude_coordinator_failing_studies", "Studies whose latest step failed", lambda read: read.failing),
    ("etude_clock_lag_seconds", "Time since the recurrence due for longest was due", lambda read: read.overdue_seconds),
)


class HttpMetrics:
    """What every process shows that answers requests; it counts by `observe_request`, from any thread."""

    def __init__(self) -> None:
        # The time of each series' first sample would be a series of its own.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "etude_http_requests", "Requests answered, by route and status",
            ["method", "route", "status"], registry=self._registry,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "etude_http_request_duration_seconds", "From a request to the end of its answer",
            ["method", "route"], buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        ProcessCollector(registry=self._registry)

    def observe_request(self, method: str, route: str, status: int, seconds: float, *, is_stream: bool) -> None:
        """Count an answered request; `route` is a path with its parameters' names. A stream's length is no latency."""
        self._requests.labels(method, route, str(status)).inc()
        if not is_stream:
            self._request_seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)


class Metrics(HttpMetrics):
    """What an API shows: its requests, its verbs by `observe_verb`, and what the store knows unless it is away."""

    def __init__(self, read: Callable[[], Gauges], streams: Callable[[], float]) -> None:
        """Show what `read` finds in the store, and how many `streams` of events are open."""
        super().__init__()
        self._verb_seconds = Histogram(
            "etude_verb_duration_seconds", "Claims, reports and the other verbs in the store, with waiting for it",
            ["verb"], buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        Gauge("etude_event_streams", "Streams of events that are open", registry=self._registry).set_function(streams)
        self._registry.register(_StoreCollector(Shared(read, FRESH_SECONDS)))

    def observe_verb(self, verb: str, seconds: float) -> None:
        """Count a verb."""
        self._verb_seconds.labels(verb).observe(seconds)


class _StoreCollector(Collector):
    def __init__(self, gauges: Shared[Gauges]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _family("etude_build_info", "The version that runs", {(version("etude"),): 1.0}, "version")
        try:
            read = self._gauges.get()
        except Problem:
            read = None
        yield _family("etude_store_up", "Whether the store was read", {(): float(read is not None)})
        for name, words, of_state in BY_STATE:
            values = {} if read is None else of_state(read)
            yield _family(name, words, {(state,): value for state, value in values.items()}, "state")
        for name, words, of in SINGLE:
            yield _family(name, words, {} if read is None else {(): of(read)})
        yield from _devices(read)


def _devices(read: Gauges | None) -> Iterator[GaugeMetricFamily]:
    """What live workers say of their GPUs; nothing where they have none."""
    told = [] if read is None else [
        ((worker, usage.device), usage) for worker, usages in read.fleet.devices.items() for usage in usages
    ]  # fmt: skip
    labels = ("worker", "device")
    used = {key: float(usage.memory_used_bytes) for key, usage in told}
    yield _family("etude_gpu_memory_used_bytes", "Memory of a GPU in use, by whoever", used, *labels)
    total = {key: float(usage.memory_total_bytes) for key, usage in told}
    yield _family("etude_gpu_memory_total_bytes", "Memory of a GPU", total, *labels)
    busy = {key: usage.utilization for key, usage in told if usage.utilization is not None}
    yield _family("etude_gpu_utilization_ratio", "Share of time in which a GPU computed", busy, *labels)


def _family(name: str, words: str, values: Mapping[tuple[Any, ...], float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric([str(part) for part in key], value)
    return family
