"""Counters for Prometheus: plain numbers on the hot path, made into samples only when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from http import HTTPMethod

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from heliograph.delivery.counters import LATENCY_BUCKETS, Counters
from heliograph.eventlog.follower import IndexFollower
from heliograph.storage.store import Store

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds in seconds."""

_METHODS = frozenset(HTTPMethod)


class HttpMetrics:
    """How many requests there were, how they ended and how long they took."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self.buckets: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one request; `path` is the route's pattern, never what the client wrote.

        A method that HTTP does not define counts as "other", so that no client can make series without end.
        """
        name = (method if method in _METHODS else "other", path, status)
        self.requests[name] = self.requests.get(name, 0) + 1
        buckets = self.buckets.get(path)
        if buckets is None:
            buckets = self.buckets[path] = [0] * (len(BUCKETS) + 1)
            self.seconds[path] = 0.0
        buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds[path] += seconds


class _Collector(Collector):
    def __init__(self, http: HttpMetrics, store: Store, follower: IndexFollower) -> None:
        self._http = http
        self._store = store
        self._follower = follower

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "heliograph_http_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for (method, path, status), count in self._http.requests.items():
            requests.add_metric((method, path, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "heliograph_http_request_seconds", "Time from the head of a request to its answer.", labels=("route",)
        )
        for path, counts in self._http.buckets.items():
            durations.add_metric((path,), _cumulative(counts), self._http.seconds[path])
        yield durations
        yield from self._of_the_store()

    def _of_the_store(self) -> Iterator[Metric]:
        store, follower = self._store, self._follower
        yield CounterMetricFamily("heliograph_store_groups", "Groups of writes committed.", store.groups_committed)
        yield GaugeMetricFamily("heliograph_store_waiting", "Writes that wait for a commit.", store.waiting)
        yield GaugeMetricFamily("heliograph_index_lag_events", "Events not yet in the filter index.", follower.lag)
        yield GaugeMetricFamily(
            "heliograph_clock_ignored_jump_seconds",
            "Jump forward of the clock that is not followed until confirmed.",
            store.clock.ignored_jump / 1_000_000,
        )


class _Deliveries(Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        attempts = CounterMetricFamily(
            "heliograph_delivery_attempts", "Requests to endpoints that ended.", labels=("outcome",)
        )
        for outcome, count in counters.attempts.items():
            attempts.add_metric((outcome,), count)
        yield attempts
        latency = HistogramMetricFamily(
            "heliograph_delivery_claim_seconds", "Time from publishing an event to its first claim by a worker."
        )
        latency.add_metric((), _cumulative(counters.latency, LATENCY_BUCKETS), counters.latency_seconds)
        yield latency
        for name, help, value in (
            ("in_flight", "Requests to endpoints that are under way.", counters.in_flight),
            ("waiting", "Deliveries that are claimed and wait for their turn.", counters.waiting),
            ("tenants", "Tenants that the worker of this process sees to.", counters.tenants),
            ("oldest_due_seconds", "For how long the delivery has been due that is due first.",
             counters.oldest_due_seconds),
        ):  # fmt: skip
            yield GaugeMetricFamily(f"heliograph_delivery_{name}", help, value)


def _cumulative(counts: list[int], bounds: Sequence[float] = BUCKETS) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


def exposition(http: HttpMetrics, store: Store, follower: IndexFollower, deliveries: Counters) -> bytes:
    """Write all metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Collector(http, store, follower))
    registry.register(_Deliveries(deliveries))
    return generate_latest(registry)
