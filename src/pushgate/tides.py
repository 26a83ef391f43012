"""
How much happens on each route, minute by minute: short series for the eye, of counts that only rise.

Rule 1: a sample is what has happened since the one before; what is there just now (subscribers) is a sample as it is.
What had happened before anybody looked is in no sample; a count that falls is one that has begun anew.
Rule 2: series are as long for all routes, and shorter where there are many routes, so that they never take much memory.
Rule 3: samples are numbered, so that whoever has the past appends what comes, and sees if there is a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

# Seconds between two samples, and how many there are of each series: ten minutes.
EVERY: Final = 5.0
MOST_SAMPLES: Final = 120

# Of all routes together, so that 200 of them have a full past; and what is left of it with however many.
ROOM: Final = 200 * MOST_SAMPLES
FEWEST_SAMPLES: Final = 12

# What is called a minute's.
A_MINUTE: Final = 60.0
_IN_A_MINUTE: Final = int(A_MINUTE / EVERY)

# Upper bounds in seconds, infinity last, each with the number of deliveries that took no longer.
Delays: TypeAlias = "tuple[tuple[float, int], ...]"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted of a route since the process began, and how many subscribers it has now."""

    polls: int = 0
    changes: int = 0
    failures: int = 0
    requests_saved: float = 0.0
    bytes_saved: float = 0.0
    subscribers: int = 0
    delays: Delays = ()


NOTHING: Final = Figures()

# A series of each: what happened in the time of a sample; the delay that 95 % of its deliveries did not exceed, in
# milliseconds, None if there were none; and who was there at its end.
SERIES: Final = ("polls", "changes", "failures", "saved", "bytes", "delay", "subscribers")


class Tide:
    """What happens on one route."""

    __slots__ = ("_figures", "series")

    def __init__(self, length: int, since: Figures = NOTHING) -> None:
        self._figures: deque[Figures] = deque([since], maxlen=_IN_A_MINUTE + 1)
        self.series: dict[str, deque[float | None]] = {name: deque(maxlen=length) for name in SERIES}

    def take(self, now: Figures) -> None:
        """Add a sample."""
        if now.polls < self._figures[-1].polls:  # another one has its name now
            self._figures.clear()
            self._figures.append(NOTHING)
        before = self._figures[-1]
        self._figures.append(now)
        delay = quantile(_between(before.delays, now.delays), 0.95)
        sample: dict[str, float | None] = {
            "polls": now.polls - before.polls,
            "changes": now.changes - before.changes,
            "failures": now.failures - before.failures,
            "saved": round(now.requests_saved - before.requests_saved),
            "bytes": round(now.bytes_saved - before.bytes_saved),
            "delay": None if delay is None else in_milliseconds(delay),
            "subscribers": now.subscribers,
        }
        for name, value in sample.items():
            self.series[name].append(value)

    def resize(self, length: int) -> None:
        """Remember so many samples from now on."""
        self.series = {name: deque(samples, maxlen=length) for name, samples in self.series.items()}

    @property
    def sample(self) -> dict[str, float | None]:
        """The latest sample, by series."""
        return {name: samples[-1] for name, samples in self.series.items() if samples}

    def per_minute(self, name: str) -> float:
        """Return how often something happens in a minute, by the latest one, or by what there is of it."""
        figures = self._figures
        if len(figures) == 1:
            return 0.0
        elapsed = EVERY * (len(figures) - 1)
        return float(getattr(figures[-1], name) - getattr(figures[0], name)) * A_MINUTE / elapsed

    def delay(self, fraction: float) -> float | None:
        """Return what this part of the latest minute's deliveries took at most, in seconds; None if there were none."""
        return quantile(_between(self._figures[0].delays, self._figures[-1].delays), fraction)


class Tides:
    """What happens on all routes."""

    def __init__(self) -> None:
        self.number = 0  # of the latest sample
        self._length = MOST_SAMPLES
        self._tides: dict[str, Tide] = {}

    def take(self, figures: Mapping[str, Figures]) -> None:
        """Add a sample of all the routes there are; the others are forgotten."""
        self.number += 1
        length = max(FEWEST_SAMPLES, min(MOST_SAMPLES, ROOM // max(1, len(figures))))
        if length != self._length:
            self._length = length
            for tide in self._tides.values():
                tide.resize(length)
        is_first = self.number == 1
        self._tides = {
            name: self._tides.get(name) or Tide(length, NOTHING if is_first else now) for name, now in figures.items()
        }
        for name, now in figures.items():
            self._tides[name].take(now)

    def of(self, route: str) -> Tide:
        """Return what happens on a route; nothing, if no sample was taken of it yet."""
        return self._tides.get(route) or Tide(self._length)

    def past(self) -> dict[str, object]:
        """Return all samples there are, for somebody who has none yet."""
        routes = {route: {name: [*one] for name, one in tide.series.items()} for route, tide in self._tides.items()}
        return {"every": EVERY, "length": self._length, "number": self.number, "routes": routes}


def quantile(delays: Delays, fraction: float) -> float | None:
    """
    Return what this part of all did not exceed, as near as the bounds tell; None if there is none.

    Within its bucket it is where an even spread would have it, as Prometheus does it; beyond the last bound it is that.
    """
    if not delays or delays[-1][1] <= 0:
        return None
    rank = fraction * delays[-1][1]
    for (lower, below), (upper, reached) in pairwise([(0.0, 0), *delays]):
        if reached >= rank and reached > below:
            return lower if upper == float("inf") else lower + (upper - lower) * (rank - below) / (reached - below)
    raise AssertionError("the last bound is infinite, and everything is below it")


def in_milliseconds(seconds: float) -> float:
    """Return a duration as it is worth being told: three digits."""
    return float(f"{seconds * 1000:.3g}")


def _between(before: Sequence[tuple[float, int]], now: Delays) -> Delays:
    """Return the deliveries of the time between two counts."""
    known = dict(before)
    return tuple((bound, count - known.get(bound, 0)) for bound, count in now)
