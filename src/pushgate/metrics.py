"""
What Prometheus sees. Methods are domain verbs; label values come from the configuration, never from requests.

What happens on a route is added to its ledger, and what there is now is read from the living objects when Prometheus
asks (``exposition.py``), so that a delivery costs an integer at most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    disable_created_metrics,
    generate_latest,
)

from . import __version__
from .exposition import Gauges, Ledgers, Sample, Sighting, Topics, Upstreams, WatchedUpstream
from .footprint import Footprint
from .ledger import LAGS, Ledger
from .values import Transport

# They double every counter, and nobody reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not typed it

# From what nobody notices to what clients take for an outage.
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """Every series of this process; ``text`` is the scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Footprint())
        for collector in (PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._ledgers: dict[str, Ledger] = {}
        self._sightings: Callable[[], Iterable[Sighting]] = tuple
        # Before the ledgers: who is looked at accounts for the time until then.
        self._registry.register(Topics(self._look))
        self._registry.register(Ledgers(self._ledgers))
        self._show_polls()
        self._show_clients()
        self._show_access()
        self._show_house()
        self._limits = Gauge("pushgate_limit", "What there may be at most; accept_rate is per second.",
                             ["resource"], registry=self._registry)  # fmt: skip
        Gauge("pushgate_build_info", "Always 1.", ["version"], registry=self._registry).labels(__version__).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Callable[..., Counter]:
        # Looking a labelled series up takes the library longer than counting in it.
        return cache(Counter(f"pushgate_{name}", text, labels, registry=self._registry).labels)

    def _look(self) -> Iterable[Sighting]:
        return self._sightings()

    def ledger(self, route: str) -> Ledger:
        """Return where what happens on a route is counted; it is there as long as the process."""
        if route not in self._ledgers:
            self._ledgers[route] = Ledger(route)
        return self._ledgers[route]

    def open_ledgers(self, routes: Iterable[str]) -> None:
        """Show these routes from now on, whether or not anything happens there."""
        for route in routes:
            self.ledger(route)

    def _show_polls(self) -> None:
        self._refreshes = self._counter("credential_refreshes", "Tokens, logins and sessions got anew.",
                                  "upstream", "result")  # fmt: skip
        waits = Histogram("pushgate_budget_wait_seconds", "How long requests wait for their turn.", ["upstream"],
                          buckets=LAGS, registry=self._registry)  # fmt: skip
        self._waits = cache(waits.labels)

    def _show_clients(self) -> None:
        counter = self._counter
        self._connections = counter("connections", "Connections taken over.", "transport")
        self._refused = counter("connections_refused", "Clients that wanted to stay and were not let in.",
                                "transport", "reason")  # fmt: skip
        self._resumes = counter("resumes", "Subscriptions that came with a cursor, by what they got.",
                                "transport", "result")  # fmt: skip
        self._requests = counter("requests", "Requests answered, by their status; close codes of WebSockets refused.",
                                 "route", "transport", "code")  # fmt: skip
        self._disconnects = counter("disconnects", "Connections that ended, by who or what ended them.",
                                    "transport", "reason")  # fmt: skip

    def _show_access(self) -> None:
        counter = self._counter
        self._authenticated = counter("auth", "Credentials that were looked at, by what came of it.", "auth", "result")
        self._key_fetches = counter("auth_key_fetches", "Times that issuers were asked for their keys.",
                                    "auth", "result")  # fmt: skip
        self._passed_on = counter("proxy_requests", "Requests passed on, by the status of their answers.",
                                  "upstream", "code")  # fmt: skip

    def _show_house(self) -> None:
        self._loop_lags = Histogram("pushgate_event_loop_lag_seconds", "How late the event loop came to what was due.",
                                    buckets=_LAG_BUCKETS, registry=self._registry)  # fmt: skip
        self._reload_ok = Gauge("pushgate_config_last_reload_successful",
                                "Whether the configuration that was read last is in force.",
                                registry=self._registry)  # fmt: skip
        self._reloaded_at = Gauge("pushgate_config_last_reload_success_timestamp_seconds",
                                  "When a configuration was last taken over.",
                                  registry=self._registry)  # fmt: skip

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def waited_for_budget(self, upstream: str, *, seconds: float) -> None:
        self._waits(upstream).observe(seconds)

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

    def answered(self, route: str, transport: Transport | str, code: int) -> None:
        """Count a request; ``route``: empty, if it is for several or none; ``code``: its status, or a close code."""
        self._requests(route, transport, str(code)).inc()

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

    def loop_lagged(self, seconds: float) -> None:
        """Count how late the event loop came to something that was due."""
        self._loop_lags.observe(seconds)

    def watch_topics(self, sightings: Callable[[], Iterable[Sighting]]) -> None:
        """Report the states of topics; ``sightings`` looks at all of them at each scrape."""
        self._sightings = sightings

    def watch_connections(self, count: Callable[[], Iterable[Sample]]) -> None:
        """Report ``pushgate_connections``; ``count`` yields the number for each transport at each scrape."""
        self._watch("connections", "Streams and parked long polls.", "transport", count)

    def watch_draining(self, is_draining: Callable[[], bool]) -> None:
        self._watch("draining", "1 while clients are asked to leave.", None, lambda: [([], is_draining())])

    def watch_upstreams(self, upstreams: Collection[WatchedUpstream], polled: Callable[[], Collection[str]]) -> None:
        """Report the state of upstreams; ``polled`` names, at each scrape, those that anything polls."""
        self._registry.register(Upstreams(upstreams, polled))

    def watch_certificates(self, expiries: Callable[[], Mapping[str, float]]) -> None:
        """Report when certificates end; ``expiries`` has the time for each file, at each scrape."""
        self._watch("certificate_expiry_timestamp_seconds", "When the certificate in use ends.", "file",
                    lambda: (([file], at) for file, at in expiries().items()))  # fmt: skip

    def watch_memory(self, usage: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Report ``pushgate_memory_bytes``; ``usage`` yields (what, bytes) at each scrape."""
        self._watch("memory_bytes", "Memory that is accounted for.", "what",
                    lambda: (([what], size) for what, size in usage()))  # fmt: skip

    def _watch(self, name: str, text: str, label: str | None, samples: Callable[[], Iterable[Sample]]) -> None:
        self._registry.register(Gauges((name, text, [] if label is None else [label]), samples))
