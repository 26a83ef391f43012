"""
What an upstream is asked at most, and when it is left alone: arithmetic on numbers, nothing else.

Rule 1: in any stretch of time that is as long as a rate's window, no more requests leave than the rate says; several
rates hold together.
Rule 2: within its window a rate is spread evenly: ``50000/d`` is one request every 1.7 s, not 50,000 in the morning.
``burst`` is how far ahead of that pace requests may get after a quiet time.
Rule 3: a breaker opens after so many failed polls in a row, whichever topics they were for; after its cooldown one poll
is let through as a trial, and that one's outcome decides.

All times are seconds on one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

from .errors import PollFailureReason
from .quantities import Rate

BreakerState = Literal["closed", "open", "half_open"]

# What a window remembers of its requests: those of one thousandth of it count as one moment, the latest of them. So a
# window never holds more than a thousand entries, and may let a request out a thousandth of itself too late.
SLICES = 1000

# The failures that say something about the upstream as a whole. A refusal, or an answer that cannot be used, is about
# one topic, and shows that the upstream is there.
UPSTREAM_FAILURES: frozenset[PollFailureReason] = frozenset(
    {"timeout", "connect", "dns", "tls", "protocol", "truncated", "http_5xx"}
)

# Timers are late by about so much. A request may be ahead of the pace by that, so that what they lose is made up for.
TIMER_SLACK = 0.005

# Topics that are polled from the start follow each other at least this closely, however long their intervals are.
START_GAP = 0.1


class Limiter:
    """When the next request may leave, by all rates of a budget. Without rates: at any time."""

    __slots__ = ("_windows",)

    def __init__(self, rates: Iterable[Rate], *, burst: int) -> None:
        self._windows = [_Window(rate, burst) for rate in rates]

    def ready_at(self, now: float) -> float:
        """Return the first moment at which the next request may leave; one that is not after ``now`` means now."""
        return max((window.ready_at(now) for window in self._windows), default=now)

    def count(self, now: float) -> None:
        """Take note of a request that leaves now."""
        for window in self._windows:
            window.count(now)


class _Window:
    """
    One rate: an even pace with a burst (the generic cell rate algorithm, ITU-T I.371), below a strict sliding count.

    The pace alone would let ``burst - 1`` more out than the rate says when a burst falls into a busy window.
    """

    __slots__ = ("_due", "_gap", "_limit", "_per", "_slack", "_slices", "_used")

    def __init__(self, rate: Rate, burst: int) -> None:
        self._limit, self._per = rate.count, rate.per
        self._gap = rate.per / rate.count
        self._slack = (min(burst, rate.count) - 1) * self._gap + TIMER_SLACK
        self._due = float("-inf")  # when the next request would leave if all had kept the pace
        self._slices: deque[_Slice] = deque()
        self._used = 0

    def ready_at(self, now: float) -> float:
        slices = self._slices
        while slices and slices[0].latest + self._per <= now:
            self._used -= slices.popleft().requests
        by_pace = self._due - self._slack
        return max(by_pace, slices[0].latest + self._per) if self._used >= self._limit else by_pace

    def count(self, now: float) -> None:
        self._due = max(self._due, now) + self._gap
        self._used += 1
        if self._slices and now - self._slices[-1].first < self._per / SLICES:
            self._slices[-1].add(now)
        else:
            self._slices.append(_Slice(now))


class _Slice:
    """Requests that left so close together that they count as one moment."""

    __slots__ = ("first", "latest", "requests")

    def __init__(self, first: float) -> None:
        self.first = self.latest = first
        self.requests = 1

    def add(self, now: float) -> None:
        self.latest = now
        self.requests += 1


class Breaker:
    """Whether an upstream that keeps failing is asked at all."""

    __slots__ = ("_cooldown", "_failures", "_limit", "_opened_at", "reason")

    def __init__(self, *, failures: int, cooldown: float) -> None:
        self._limit = failures
        self._cooldown = cooldown
        self._failures = 0  # in a row
        self._opened_at: float | None = None
        self.reason: PollFailureReason = "connect"  # of the failure that opened it last

    def __repr__(self) -> str:
        return f"<Breaker {'closed' if self._opened_at is None else 'open'}, {self._failures} failures in a row>"

    @property
    def failures(self) -> int:
        """Failed polls in a row."""
        return self._failures

    def state(self, now: float) -> BreakerState:
        if self._opened_at is None:
            return "closed"
        return "open" if now < self._opened_at + self._cooldown else "half_open"

    def remaining(self, now: float) -> float:
        """Return for how long the upstream is still left alone; 0 if it may be asked."""
        return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self._cooldown - now)

    def failed(self, reason: PollFailureReason, *, now: float) -> None:
        """Take note of a failed poll; one that was under way when the breaker opened does not prolong that."""
        self._failures += 1
        if self.state(now) == "open" or (self._opened_at is None and self._failures < self._limit):
            return
        self._opened_at = now
        self.reason = reason

    def succeeded(self) -> None:
        """Take note of a good poll, whenever it began: the upstream is there."""
        self._failures = 0
        self._opened_at = None


def start_delays(intervals: Sequence[float], *, chance: float) -> list[float]:
    """
    Return how long after the start each of an upstream's standing topics is polled first, in the order given.

    They follow each other no faster than they would anyway (a topic's share of its own interval), and need not be
    further apart than ``START_GAP``, so that what is polled hourly need not wait for an hour. ``chance`` shifts all of
    them, so that replicas that start together do not poll together.
    """
    gaps = [min(every / len(intervals), START_GAP) for every in intervals]
    first = min(gaps, default=0.0) * chance if len(intervals) > 1 else 0.0
    return [first + delay for delay in accumulate(gaps[:-1], initial=0.0)] if intervals else []


def most_within(times: Sequence[float], window: float) -> int:
    """Return how many of these moments, in rising order, lie at most in a stretch of time that is so long."""
    most, first = 0, 0
    for last, moment in enumerate(times):
        while moment - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most
