"""
What routes ask of their upstreams: the arithmetic behind the budget checks, the warnings and ``pushgate plan``.

Rule 1: everything is counted in requests, and in steady state; a login now and then, redirects, and the second look at
an answer that is hard to believe are not counted.
Rule 2: a range runs from what is asked in any case (an adaptive interval at its longest, one page, no second try) to
what is asked at most. Fresh answers that are not asked for again, and hours without polls, make less of it; they are
not counted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise, product, takewhile
from math import ceil, prod
from typing import Literal

from cronsim import CronSim

from ..budgeting import most_within
from ..naming import PLACEHOLDER, fill_text, placeholders
from ..quantities import Rate, duration_text
from .gateway import Gateway
from .poll import Poll, Retry
from .routes import Route

# Cron times are looked at for a year, or for so many of them: a few days of every minute.
CRON_YEAR = timedelta(days=366)
CRON_TIMES = 5000
_SOME_DAY = datetime(2023, 1, 1)

# How the number of topics is known: their values are listed, or somebody said so, or nothing but the limit is.
Source = Literal["listed", "told", "max_topics"]


@dataclass(frozen=True, slots=True)
class Range:
    """Requests per second: in any case, and at most."""

    least: float
    most: float

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.most + other.most)

    def times(self, factor: float) -> Range:
        return Range(self.least * factor, self.most * factor)


NOTHING = Range(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one route asks of one upstream. ``pace``: when a topic is polled, for people."""

    route: str
    upstream: str
    topics: int
    askers: int  # who waits for turns: the topics, or the batches of them
    source: Source
    pace: str
    interval: float  # seconds between two polls of a topic, where they are furthest apart
    per_topic: Range  # a batch shared out among its topics
    requests: Range


def demands(gateway: Gateway, told: Mapping[str, int] | None = None) -> Iterator[Demand]:
    """Yield what each route asks of each of its upstreams; ``told`` says how many topics a route has."""
    for path, route in gateway.routes.items():
        shares = _shares(route)
        known, source = _count_topics(path, route, gateway.server.limits.topics)
        total = known if told is None or path not in told else told[path]
        for upstream, share in shares.items():
            if upstream in gateway.upstreams:
                topics = ceil(total * share)
                yield _demand(path, route, upstream, topics, "told" if told and path in told else source)


def _demand(path: str, route: Route, upstream: str, topics: int, source: Source) -> Demand:
    polls, interval = _polls_per_second(route.poll)
    pages = 1 if route.pages is None else route.pages.max
    request = Range(polls.least, polls.most * pages)
    batch = 1 if route.batch is None else route.batch.max
    pace = schedule_text(route.poll)
    askers = ceil(topics / batch)
    per_topic, requests = request.times(1 / batch), request.times(askers)
    return Demand(path, upstream, topics, askers, source, pace, interval, per_topic, requests)


def upstream_names(text: str, params: Mapping[str, str | tuple[str, ...]]) -> list[str]:
    """Return all upstreams that a name with listed parameters stands for, once for each combination of their values."""
    names = PLACEHOLDER.findall(text)
    lists = [values for name in names if isinstance(values := params.get(name), tuple)]
    if len(lists) < len(names):
        return []
    return [fill_text(text, dict(zip(names, chosen, strict=True))) for chosen in product(*lists)]


def _shares(route: Route) -> dict[str, float]:
    """Return which part of a route's topics each of its upstreams has."""
    names = upstream_names(route.upstream, route.params)
    return {name: names.count(name) / len(names) for name in names}


def _count_topics(path: str, route: Route, limit: int) -> tuple[int, Source]:
    """Count a route's topics: those that its listed values make, unless clients may make up more of them."""
    lists = [route.params.get(name) for name in placeholders(path)]
    is_open = route.share != "public" or any(rule != "drop" for rule in route.query.values())
    if not is_open and all(isinstance(values, tuple) for values in lists):
        return min(prod(len(values) for values in lists if values is not None), route.max_topics), "listed"
    return min(route.max_topics, limit), "max_topics"


def _polls_per_second(poll: Poll) -> tuple[Range, float]:
    if poll.adaptive is not None:
        return Range(1 / (poll.adaptive.every or poll.adaptive.max), 1 / poll.adaptive.min), poll.adaptive.max
    if poll.cron is None:
        return Range(1 / poll.every, 1 / poll.every), poll.every
    times = _cron_times(poll.cron)
    # A year that has only one of them is a year long.
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 1 / CRON_YEAR.total_seconds()
    tries = 1 if poll.retry is None else len(list(_tries(poll.retry, 1 / rate)))
    return Range(rate, rate * tries), 1 / rate


def schedule_text(poll: Poll) -> str:
    """Say when a topic is polled."""
    if poll.adaptive is not None:
        return f"{duration_text(poll.adaptive.min)} to {duration_text(poll.adaptive.max)}"
    return duration_text(poll.every) if poll.cron is None else f"cron {poll.cron}"


def polls_within(poll: Poll, rate: Rate) -> int:
    """Return how many polls one topic of a cron schedule makes at most in the rate's window, tries included."""
    assert poll.cron is not None, "an interval tells it by itself"
    firings = _cron_times(poll.cron)
    if poll.retry is None:
        return most_within(firings, rate.per)
    tries: list[float] = []
    for this, following in pairwise([*firings, float("inf")]):
        tries += (this + offset for offset in _tries(poll.retry, following - this))
        if len(tries) > CRON_TIMES:
            break
    return most_within(tries, rate.per)


def _tries(retry: Retry, gap: float) -> Iterator[float]:
    """Yield how long after a cron time its polls are: until it is given up, or the next cron time comes."""
    count = int(retry.for_ / retry.every) + 1
    yield from takewhile(lambda offset: offset < gap, (n * retry.every for n in range(min(count, CRON_TIMES))))


def _cron_times(expression: str) -> list[float]:
    """Return times of the expression, in seconds from the first day that is looked at; daylight saving left aside."""
    fired = takewhile(lambda moment: moment < _SOME_DAY + CRON_YEAR, CronSim(expression, _SOME_DAY))
    return [(moment - _SOME_DAY).total_seconds() for moment in islice(fired, CRON_TIMES)]
