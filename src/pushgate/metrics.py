"""
What Prometheus sees. Methods are domain verbs; label values come from the configuration, never from requests.

Gauges are read from the living objects at scrape time, so that a delivery costs an integer at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from . import __version__
from .errors import PollFailureReason

if TYPE_CHECKING:
    from prometheus_client import Metric

Outcome = Literal["changed", "unchanged", "not_modified", "gone", "failed"]

# They double every counter, and nobody reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not typed it

# From a lookup in memory to the slowest upstream that anybody waits for.
_POLL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Every series of this process; ``text`` is the scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        route, transport = ["route"], ["transport"]

        def counter(name: str, text: str, labels: list[str]) -> Callable[..., Counter]:
            # Looking a labelled series up takes the library longer than counting in it.
            return cache(Counter(f"pushgate_{name}", text, labels, registry=self._registry).labels)

        self._polls = counter("polls", "Polls by outcome.", [*route, "outcome"])
        self._failures = counter("poll_failures", "Failed polls by reason.", [*route, "reason"])
        self._changes = counter("changes", "Changes published.", route)
        self._rejected = counter("patch_rejected", "Patches that failed their proof.", route)
        self._keyless = counter("keyless_arrays", "Arrays compared by index although the route names a key.", route)
        self._connections = counter("connections", "Connections taken over.", transport)
        self._resumes = counter("resumes", "Subscriptions that came with a cursor, by what they got.",
                                [*transport, "result"])  # fmt: skip
        self._deliveries = counter("deliveries", "Events handed to transports.", [*route, *transport])
        durations = Histogram(
            "pushgate_poll_duration_seconds",
            "Time from request to answer.",
            route,
            buckets=_POLL_BUCKETS,
            registry=self._registry,
        )
        self._seconds = cache(durations.labels)
        Gauge("pushgate_build_info", "Always 1.", ["version"], registry=self._registry).labels(__version__).set(1)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def polled(self, route: str, outcome: Outcome, *, seconds: float) -> None:
        self._polls(route, outcome).inc()
        self._seconds(route).observe(seconds)

    def poll_failed(self, route: str, reason: PollFailureReason) -> None:
        self._failures(route, reason).inc()

    def changed(self, route: str, *, keyless: int) -> None:
        self._changes(route).inc()
        if keyless:
            self._keyless(route).inc(keyless)

    def patch_rejected(self, route: str) -> None:
        self._rejected(route).inc()

    def connected(self, transport: str) -> None:
        self._connections(transport).inc()

    def resumed(self, transport: str, result: str) -> None:
        self._resumes(transport, result).inc()

    def delivered(self, route: str, transport: str, count: int) -> None:
        self._deliveries(route, transport).inc(count)

    def watch_subscribers(self, count: Callable[[], Iterable[tuple[str, str, int]]]) -> None:
        """Report ``pushgate_subscribers``; ``count`` yields (route, transport, number) at each scrape."""
        self._registry.register(_Subscribers(count))


class _Subscribers(Collector):
    def __init__(self, count: Callable[[], Iterable[tuple[str, str, int]]]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "pushgate_subscribers", "Clients that follow a topic.", labels=["route", "transport"]
        )
        for route, transport, number in self._count():
            family.add_metric([route, transport], number)
        yield family
