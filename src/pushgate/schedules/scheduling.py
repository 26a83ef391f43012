"""
When a topic is polled next, and why: arithmetic on numbers, nothing else.

Rule 1: all times are seconds on one monotonic clock, ``wall`` is the same moment in seconds since the epoch, and
``chance`` is a number from 0 up to 1 that the caller drew.
Rule 2: a schedule belongs to one topic and is told of each of its polls, once it is over.
Rule 3: a schedule knows only its own times; what delays a poll (failures, freshness, Retry-After) is added to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ..quantities import duration_text

# A failing upstream is asked less and less, but never less than this: ten intervals, or five minutes if that is sooner,
# so that its recovery is seen in reasonable time whatever the interval.
MAX_BACKOFF_INTERVALS = 10
MAX_BACKOFF = 300.0

# "Come back in a year" is a mistake, not a wish.
MAX_RETRY_AFTER = 3600.0

# How long an upstream may vouch for an answer: ten intervals, or five minutes if that is later. A max-age of a year is
# meant for browsers, and whoever wrote `every: 1s` wants to see a change before tomorrow.
MAX_FLOOR_INTERVALS = 10
MAX_FLOOR = 300.0


@dataclass(frozen=True, slots=True)
class Polled:
    """What a schedule learns from one good poll; all times in monotonic seconds."""

    began_at: float
    ended_at: float
    has_changed: bool
    modified_at: float | None = None  # when the upstream says that the document last changed, on the same clock
    fresh_for: float | None = None  # seconds for which the upstream vouches for it, from ended_at


@dataclass(frozen=True, slots=True)
class Tick:
    """The next poll: when, in monotonic seconds, and why then, for people."""

    when: float
    why: str


class Schedule(Protocol):
    """The times at which one topic is polled while nothing is in the way."""

    @property
    def pace(self) -> float:
        """The interval right now, in seconds: what backoff starts from."""

    def wake(self, *, now: float) -> None:
        """Begin anew from here: the topic slept past its time, and is polled right now."""

    def next(self, polled: Polled | None, *, now: float, wall: float, chance: float) -> Tick:
        """
        Return when the next poll is due after one that has just ended; ``None``: it failed.

        Whoever delays that poll, or makes one in between, need not say so.
        """


class FixedRate:
    """
    Polls on a grid of equal intervals, each somewhere in the first ``jitter`` part of its interval.

    How long a poll took does not shift the next one, polls that were missed are not made up for, and a grid that a
    failure broke begins anew with the next good poll. ``aligned``: one grid for all topics of that interval, and no
    jitter, so that those of a batch fall together.
    """

    __slots__ = ("_every", "_is_aligned", "_is_broken", "_jitter", "_tick", "_why")

    def __init__(self, every: float, jitter: float, *, now: float, aligned: bool = False) -> None:
        self._every = every
        self._jitter = 0.0 if aligned else jitter
        self._is_aligned = aligned
        self._is_broken = False  # by a failure: the polls since then were no longer on the grid
        self._why = f"every {duration_text(every)}"
        self._tick = self._grid_point(now)  # that the latest poll belongs to

    @property
    def pace(self) -> float:
        return self._every

    def wake(self, *, now: float) -> None:
        self._tick = self._grid_point(now)

    def next(self, polled: Polled | None, *, now: float, wall: float, chance: float) -> Tick:
        if polled is None:
            self._is_broken = True
        elif self._is_broken:
            self._is_broken = False
            self._tick = self._grid_point(polled.began_at)
        if self._tick <= now:  # otherwise this was a poll between two of the grid
            self._tick = next_tick(self._tick, now=now, every=self._every)
        return Tick(spread(self._tick, every=self._every, jitter=self._jitter, chance=chance), self._why)

    def _grid_point(self, now: float) -> float:
        return math.floor(now / self._every) * self._every if self._is_aligned else now


def next_tick(tick: float, *, now: float, every: float) -> float:
    """
    Return the first point of the grid ``tick + k × every`` (k ≥ 1) that is not in the past.

    A fixed rate: how long a poll took does not shift the next one, and polls that were missed are not made up for.
    """
    return tick + every * max(1, math.ceil((now - tick) / every))


def spread(tick: float, *, every: float, jitter: float, chance: float) -> float:
    """Return when the poll of a grid point starts: somewhere in the first ``jitter`` part of its interval."""
    return tick + every * jitter * chance


def later(tick: Tick, when: float, why: str) -> Tick:
    """Return the tick, or the moment ``when`` with its own reason if that comes later."""
    return tick if when <= tick.when else Tick(when, why)


def cache_floor(fresh_for: float | None, ttl: float | None, *, pace: float) -> float:
    """
    Return the seconds from the end of a poll for which the answer need not be asked for again.

    ``fresh_for`` is what is left of ``max-age``, ``s-maxage`` or ``Expires`` (RFC 9111, section 4.2), ``ttl`` what the
    body says, in seconds (those of GBFS; the ``ttl`` of RSS is in minutes). The longer one counts, up to ten intervals
    or five minutes. Cron times are explicit: no floor applies to them.
    """
    return min(max(0.0, fresh_for or 0.0, ttl or 0.0), max(pace * MAX_FLOOR_INTERVALS, MAX_FLOOR))


def backoff(failures: int, *, every: float, chance: float) -> float:
    """
    Return how long to wait after the n-th failure in a row (n ≥ 1).

    The first failure costs nothing extra; from then on the interval doubles up to the ceiling, and a quarter of it is
    spread so that many topics of one upstream do not come back together.
    """
    ceiling = max(every, min(every * MAX_BACKOFF_INTERVALS, MAX_BACKOFF))
    wait = min(every * 2.0 ** min(failures - 1, 30), ceiling)
    return wait * (1 - 0.25 * chance) if failures > 1 else wait


def clamp_retry_after(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
