"""
What Prometheus sees. Methods are domain verbs; label values come from the configuration, never from requests.

Gauges are read from the living objects at scrape time, so that a delivery costs an integer at most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from . import __version__
from .budgeting import BreakerState
from .errors import PollFailureReason

if TYPE_CHECKING:
    from prometheus_client import Metric

Outcome = Literal["changed", "unchanged", "not_modified", "held", "gone", "failed", "skipped"]

# They double every counter, and nobody reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not typed it

# From a lookup in memory to the slowest upstream that anybody waits for.
_POLL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# From the grain of timers to a day's budget that was used up.
_WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600, 3600)


class WatchedUpstream(Protocol):
    """What is shown of an upstream; None: nothing is known, or there is no such thing."""

    @property
    def name(self) -> str: ...

    @property
    def breaker_state(self) -> BreakerState | None: ...

    @property
    def is_up(self) -> bool | None: ...

    @property
    def quota(self) -> int | None: ...


class Metrics:
    """Every series of this process; ``text`` is the scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._show_polls()
        self._show_clients()
        self._show_access()
        self._show_reloads()
        self._limits = Gauge("pushgate_limit", "What there may be at most; accept_rate is per second.",
                             ["resource"], registry=self._registry)  # fmt: skip
        Gauge("pushgate_build_info", "Always 1.", ["version"], registry=self._registry).labels(__version__).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Callable[..., Counter]:
        # Looking a labelled series up takes the library longer than counting in it.
        return cache(Counter(f"pushgate_{name}", text, labels, registry=self._registry).labels)

    def _histogram(self, name: str, text: str, label: str, buckets: tuple[float, ...]) -> Callable[..., Histogram]:
        name = f"pushgate_{name}_seconds"
        return cache(Histogram(name, text, [label], buckets=buckets, registry=self._registry).labels)

    def _show_polls(self) -> None:
        counter, histogram = self._counter, self._histogram
        self._polls = counter("polls", "Polls by outcome.", "route", "outcome")
        self._failures = counter("poll_failures", "Failed polls by reason.", "route", "reason")
        self._changes = counter("changes", "Changes published.", "route")
        self._rejected = counter("patch_rejected", "Patches that failed their proof.", "route")
        self._keyless = counter("keyless_arrays", "Arrays compared by index although the route names a key.", "route")
        self._refreshes = counter("credential_refreshes", "Tokens, logins and sessions got anew.",
                                  "upstream", "result")  # fmt: skip
        self._seconds = histogram("poll_duration", "Time from request to answer.", "route", _POLL_BUCKETS)
        self._lags = histogram("poll_lag", "How late polls begin.", "route", _WAIT_BUCKETS)
        self._waits = histogram("budget_wait", "How long requests wait for their turn.", "upstream", _WAIT_BUCKETS)

    def _show_clients(self) -> None:
        counter = self._counter
        self._connections = counter("connections", "Connections taken over.", "transport")
        self._refused = counter("connections_refused", "Clients that wanted to stay and were not let in.",
                                "transport", "reason")  # fmt: skip
        self._resumes = counter("resumes", "Subscriptions that came with a cursor, by what they got.",
                                "transport", "result")  # fmt: skip
        self._disconnects = counter("disconnects", "Connections that ended, by who or what ended them.",
                                    "transport", "reason")  # fmt: skip
        self._conflations = counter("conflations", "Times that a slow client was told of several changes at once.",
                                    "route", "transport")  # fmt: skip
        self._deliveries = counter("deliveries", "Events handed to transports.", "route", "transport")

    def _show_access(self) -> None:
        counter = self._counter
        self._authenticated = counter("auth", "Credentials that were looked at, by what came of it.", "auth", "result")
        self._key_fetches = counter("auth_key_fetches", "Times that issuers were asked for their keys.",
                                    "auth", "result")  # fmt: skip
        self._passed_on = counter("proxy_requests", "Requests passed on, by the status of their answers.",
                                  "upstream", "code")  # fmt: skip

    def _show_reloads(self) -> None:
        self._reload_ok = Gauge("pushgate_config_last_reload_successful",
                                "Whether the configuration that was read last is in force.",
                                registry=self._registry)  # fmt: skip
        self._reloaded_at = Gauge("pushgate_config_last_reload_success_timestamp_seconds",
                                  "When a configuration was last taken over.",
                                  registry=self._registry)  # fmt: skip

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def polled(self, route: str, outcome: Outcome, *, seconds: float) -> None:
        self._polls(route, outcome).inc()
        self._seconds(route).observe(seconds)

    def poll_lagged(self, route: str, *, seconds: float) -> None:
        """Count how long after its time a poll began."""
        self._lags(route).observe(seconds)

    def waited_for_budget(self, upstream: str, *, seconds: float) -> None:
        self._waits(upstream).observe(seconds)

    def poll_failed(self, route: str, reason: PollFailureReason) -> None:
        self._failures(route, reason).inc()

    def changed(self, route: str, *, keyless: int) -> None:
        self._changes(route).inc()
        if keyless:
            self._keyless(route).inc(keyless)

    def patch_rejected(self, route: str) -> None:
        self._rejected(route).inc()

    def credentials_refreshed(self, upstream: str, is_ok: bool) -> None:
        self._refreshes(upstream, "ok" if is_ok else "failed").inc()

    def passed_on(self, upstream: str, status: int) -> None:
        self._passed_on(upstream, str(status) if 100 <= status < 600 else "other").inc()

    def authenticated(self, auth: str, result: str) -> None:
        self._authenticated(auth, result).inc()

    def keys_fetched(self, auth: str, is_ok: bool) -> None:
        self._key_fetches(auth, "ok" if is_ok else "failed").inc()

    def reloaded(self, *, is_ok: bool, at: float | None = None) -> None:
        """Note how reading the configuration went; ``at``: when it was taken over, since the epoch."""
        self._reload_ok.set(is_ok)
        if at is not None:
            self._reloaded_at.set(at)

    def connected(self, transport: str) -> None:
        self._connections(transport).inc()

    def disconnected(self, transport: str, reason: str) -> None:
        """Count a connection that has ended; ``reason``: who or what ended it."""
        self._disconnects(transport, reason).inc()

    def conflated(self, route: str, transport: str) -> None:
        """Count a client that had fallen behind and was told of more than one change in one event."""
        self._conflations(route, transport).inc()

    def refused(self, transport: str, reason: str) -> None:
        """Count a client that wanted to stay and was not let in; ``reason``: which limit, or the problem's code."""
        self._refused(transport, reason).inc()

    def limit(self, resource: str, most: float | None) -> None:
        """Show what there may be at most of something; None: as much as there is."""
        if most is None:
            self._limits.remove(resource)
        else:
            self._limits.labels(resource).set(most)

    def resumed(self, transport: str, result: str) -> None:
        self._resumes(transport, result).inc()

    def delivered(self, route: str, transport: str, count: int) -> None:
        self._deliveries(route, transport).inc(count)

    def watch_subscribers(self, count: Callable[[], Iterable[tuple[str, str, int]]]) -> None:
        """Report ``pushgate_subscribers``; ``count`` yields (route, transport, number) at each scrape."""
        self._registry.register(_Subscribers(count))

    def watch_connections(self, count: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Report ``pushgate_connections``; ``count`` yields (transport, number) at each scrape."""
        self._registry.register(_Connections(count))

    def watch_draining(self, is_draining: Callable[[], bool]) -> None:
        gauge = Gauge("pushgate_draining", "1 while clients are asked to leave.", registry=self._registry)
        gauge.set_function(lambda: float(is_draining()))

    def watch_upstreams(self, upstreams: Collection[WatchedUpstream], polled: Callable[[], Collection[str]]) -> None:
        """Report the state of upstreams; ``polled`` names, at each scrape, those that anything polls."""
        self._registry.register(_Upstreams(upstreams, polled))

    def watch_certificates(self, expiries: Callable[[], Mapping[str, float]]) -> None:
        """Report when certificates end; ``expiries`` has the time for each file, at each scrape."""
        self._registry.register(_Certificates(expiries))

    def watch_memory(self, usage: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Report ``pushgate_memory_bytes``; ``usage`` yields (what, bytes) at each scrape."""
        self._registry.register(_Memory(usage))


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


class _Connections(Collector):
    def __init__(self, count: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("pushgate_connections", "Streams and parked long polls.", labels=["transport"])
        for transport, number in self._count():
            family.add_metric([transport], number)
        yield family


class _Upstreams(Collector):
    def __init__(self, upstreams: Collection[WatchedUpstream], polled: Callable[[], Collection[str]]) -> None:
        self._upstreams = upstreams
        self._polled = polled

    def collect(self) -> Iterator[Metric]:
        polled = self._polled()
        up = GaugeMetricFamily(
            "pushgate_upstream_up", "Whether the latest poll found it; only while polled.", labels=["upstream"]
        )
        quota = GaugeMetricFamily(
            "pushgate_upstream_quota_remaining", "What the upstream says is left of its own limit.", labels=["upstream"]
        )
        breaker = GaugeMetricFamily(
            "pushgate_breaker_state", "1 for the state that the breaker is in.", labels=["upstream", "state"]
        )
        for upstream in self._upstreams:
            if upstream.is_up is not None and upstream.name in polled:
                up.add_metric([upstream.name], upstream.is_up)
            if upstream.quota is not None:
                quota.add_metric([upstream.name], upstream.quota)
            if (current := upstream.breaker_state) is not None:
                for state in get_args(BreakerState):
                    breaker.add_metric([upstream.name, state], state == current)
        yield from (up, quota, breaker)


class _Certificates(Collector):
    def __init__(self, expiries: Callable[[], Mapping[str, float]]) -> None:
        self._expiries = expiries

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "pushgate_certificate_expiry_timestamp_seconds", "When the certificate in use ends.", labels=["file"]
        )
        for file, at in self._expiries().items():
            family.add_metric([file], at)
        yield family


class _Memory(Collector):
    def __init__(self, usage: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("pushgate_memory_bytes", "Memory that is accounted for.", labels=["what"])
        for what, size in self._usage():
            family.add_metric([what], size)
        yield family
