"""
How living objects are shown to Prometheus: nothing is kept for it, everything is read when it asks.

What goes on in a route is in its ledger (``ledger.py``); what stands still is asked of whoever it belongs to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from .budgeting import BreakerState
from .ledger import Ledger, Outcome, Tally
from .values import State

if TYPE_CHECKING:
    from prometheus_client import Metric

# The name of a family without its prefix and, for a counter, without ``_total``; what it says; its labels.
_Description = tuple[str, str, list[str]]

# Its label values, and its value.
Sample = tuple[list[str], float]


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


@dataclass(frozen=True, slots=True)
class Sighting:
    """A topic as it is when it is looked at. ``confirmed_at``: since the epoch; None: never, or it is not wanted."""

    route: str
    state: State
    confirmed_at: float | None


class Gauges(Collector):
    """A gauge whose samples are asked for at each scrape."""

    def __init__(self, description: _Description, samples: Callable[[], Iterable[Sample]]) -> None:
        self._description = description
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        yield _gauge(self._description, self._samples())


class Ledgers(Collector):
    """What the ledgers of all routes hold."""

    def __init__(self, ledgers: Mapping[str, Ledger]) -> None:
        self._ledgers = ledgers

    def collect(self) -> Iterator[Metric]:
        every = [*self._ledgers.values()]
        for description, samples in _COUNTERS:
            yield _counter(description, (sample for ledger in every for sample in samples(ledger)))
        yield _gauge(_SUBSCRIBERS, (([one.route, t], n) for one in every for t, n in one.subscribers.items()))
        changed = (([one.route], one.changed_at) for one in every if one.changed_at is not None)
        yield _gauge(_LAST_CHANGE, changed)
        for description, tally in _HISTOGRAMS:
            yield _histogram(description, (([one.route], tally(one)) for one in every))


class Topics(Collector):
    """How many topics there are in each state, and which was confirmed longest ago; ``sightings`` looks at all."""

    def __init__(self, sightings: Callable[[], Iterable[Sighting]]) -> None:
        self._sightings = sightings

    def collect(self) -> Iterator[Metric]:
        counts: Counter[tuple[str, State]] = Counter()
        oldest: dict[str, float] = {}
        for seen in self._sightings():
            counts[seen.route, seen.state] += 1
            if seen.confirmed_at is not None:
                oldest[seen.route] = min(seen.confirmed_at, oldest.get(seen.route, seen.confirmed_at))
        yield _gauge(("topics", "Topics in memory, by state.", ["route", "state"]),
                     (([*labels], count) for labels, count in counts.items()))  # fmt: skip
        yield _gauge(("last_success_timestamp_seconds",
                      "When the upstream last vouched for a document; of a route's topics, the one longest ago.",
                      ["route"]), (([route], at) for route, at in oldest.items()))  # fmt: skip


class Upstreams(Collector):
    """How the upstreams are doing; ``polled`` names those that anything polls."""

    def __init__(self, upstreams: Collection[WatchedUpstream], polled: Callable[[], Collection[str]]) -> None:
        self._upstreams = upstreams
        self._polled = polled

    def collect(self) -> Iterator[Metric]:
        every, polled = self._upstreams, self._polled()
        yield _gauge(("upstream_up", "Whether the latest poll found it; only while polled.", ["upstream"]),
                     (([one.name], one.is_up) for one in every if one.is_up is not None and one.name in polled),
        )  # fmt: skip
        yield _gauge(("upstream_quota_remaining", "What the upstream says is left of its own limit.", ["upstream"]),
                     (([one.name], one.quota) for one in every if one.quota is not None))  # fmt: skip
        yield _gauge(("breaker_state", "1 for the state that the breaker is in.", ["upstream", "state"]),
                     (([one.name, state], state == one.breaker_state) for one in every
                      for state in get_args(BreakerState) if one.breaker_state is not None))  # fmt: skip


def _gauge(description: _Description, samples: Iterable[Sample]) -> Metric:
    name, text, labels = description
    family = GaugeMetricFamily(f"pushgate_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _counter(description: _Description, samples: Iterable[Sample]) -> Metric:
    name, text, labels = description
    family = CounterMetricFamily(f"pushgate_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(description: _Description, tallies: Iterable[tuple[list[str], Tally]]) -> Metric:
    name, text, labels = description
    family = HistogramMetricFamily(f"pushgate_{name}", text, labels=labels)
    for values, tally in tallies:
        buckets = [(_bound(bound), float(count)) for bound, count in tally.cumulated()]
        family.add_metric(values, buckets, tally.total)
    return family


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)


# Every outcome is there from the start, so that the first failure is a rise.
_COUNTERS: list[tuple[_Description, Callable[[Ledger], Iterable[Sample]]]] = [
    (("polls", "Polls by outcome.", ["route", "outcome"]),
     lambda one: (([one.route, outcome], one.polls[outcome]) for outcome in get_args(Outcome))),
    (("poll_failures", "Failed polls by reason.", ["route", "reason"]),
     lambda one: (([one.route, reason], count) for reason, count in one.failures.items())),
    (("topic_seconds", "Time that topics were wanted and in a state, one second for each topic and second.",
      ["route", "state"]),
     lambda one: (([one.route, state], seconds) for state, seconds in one.seconds.items())),
    (("changes", "Changes published.", ["route"]), lambda one: [([one.route], one.changes)]),
    (("patch_rejected", "Patches that failed their proof; a snapshot went out instead.", ["route"]),
     lambda one: [([one.route], one.rejected)]),
    (("keyless_arrays", "Arrays compared by index although the route names a key.", ["route"]),
     lambda one: [([one.route], one.keyless)]),
    (("deliveries", "Events told to clients.", ["route", "transport", "event"]),
     lambda one: (([one.route, *told], count) for told, count in one.deliveries.items())),
    (("sent_bytes", "Bytes of the events told to clients, as they were sent.", ["route", "transport"]),
     lambda one: (([one.route, transport], size) for transport, size in one.sent_bytes.items())),
    (("conflations", "Times that a slow client was told of several changes at once.", ["route", "transport"]),
     lambda one: (([one.route, transport], count) for transport, count in one.conflations.items())),
    (("upstream_requests_saved", "Requests that clients polling by themselves would have made, and pushgate has not.",
      ["route"]), lambda one: [([one.route], one.requests_saved.saved)]),
    (("bytes_saved", "Bytes of answers that clients polling by themselves would have got, and nobody has sent.",
      ["route"]), lambda one: [([one.route], one.bytes_saved.saved)]),
]  # fmt: skip

_HISTOGRAMS: list[tuple[_Description, Callable[[Ledger], Tally]]] = [
    (("poll_lag_seconds", "How late polls begin.", ["route"]), lambda one: one.lags),
    (("poll_duration_seconds", "Time from request to answer, of polls that reach the upstream.", ["route"]),
     lambda one: one.durations),
    (("diff_seconds", "Time to read an answer and to find what it changes.", ["route"]), lambda one: one.diffs),
    (("delivery_seconds",
      "From the upstream's answer to a client's socket, for each change told to each who was there.", ["route"]),
     lambda one: one.delays),
]  # fmt: skip

_SUBSCRIBERS: _Description = ("subscribers", "Clients that follow a topic.", ["route", "transport"])
_LAST_CHANGE: _Description = (
    "last_change_timestamp_seconds",
    "When the upstream's answer was read that brought the latest change.",
    ["route"],
)
