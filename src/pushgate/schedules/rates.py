"""
How often a topic changes right now, as opposed to in the long run.

Rule 1: a poll says that nothing has changed since the poll before, or that something has, perhaps several times.
Rule 2: the steady rate of the long run is believed, until something that lets the rate vary has foretold the polls
better: trends of several lengths (the day and the night), and bursts of several kinds. Each counts by how well it did
(Bayesian model averaging), with a head start for the steady rate, since chasing noise costs more than it gains.
"""

from __future__ import annotations

import math

# The long run is a week, since people live by weeks, and longer where changes are rare.
WEEK = 604_800.0
_LONG_RUN = 256  # changes

_TRENDS = (16.0, 64.0, 256.0)  # changes after which a trend has forgotten 63 %
_BURSTS = tuple((time, size) for time in (0.02, 0.08, 0.25) for size in (5.0, 20.0))
_IN_BURSTS = 0.9  # of all changes

_HEAD_START = 3.0  # a logarithm of odds
_MEMORY = 0.998  # per poll
_WORST, _BEST = -8.0, 20.0  # odds that can be turned in reasonable time
_MOST_TOLD = 50.0  # by one poll


class _Trend:
    """A mean rate with exponential forgetting, drawn to the long run where little has been seen."""

    __slots__ = ("_changes", "_length", "_seconds", "score")

    def __init__(self, length: float) -> None:
        self._length = length
        self._changes = self._seconds = self.score = 0.0

    def rate(self, mean: float) -> float:
        return (self._changes + 1.0) / (self._seconds + 1.0 / mean)

    def see(self, gap: float, has_changed: bool, mean: float) -> float:
        """Learn from a poll and return how likely it was beforehand, as a logarithm."""
        expected = self.rate(mean) * gap
        kept = math.exp(-gap * mean / self._length)
        self._seconds = self._seconds * kept + (1 - kept) * self._length / mean
        self._changes *= kept
        if has_changed:
            self._changes += changes(expected)
        return log_likelihood(expected, has_changed)


class _Bursts:
    """Two states, burst and quiet, that take turns by chance, each with its own rate (a Markov-modulated process)."""

    __slots__ = ("_size", "_time", "_within", "score")

    def __init__(self, time: float, size: float) -> None:
        self._time = time  # the part of all time that is within bursts
        self._size = size  # changes in a burst
        self._within = time  # the probability of being in one
        self.score = 0.0

    def _rates(self, mean: float) -> tuple[float, float]:
        return mean * (1 - _IN_BURSTS) / (1 - self._time), mean * _IN_BURSTS / self._time

    def rate(self, mean: float) -> float:
        quiet, burst = self._rates(mean)
        return (1 - self._within) * quiet + self._within * burst

    def see(self, gap: float, has_changed: bool, mean: float) -> float:
        """
        Learn from a poll and return how likely it was beforehand, as a logarithm.

        Exact for any gap: the probabilities of no change and of each state at its end are the exponential of a 2 x 2
        matrix, which has a closed form.
        """
        quiet, burst = self._rates(mean)
        ends = burst / self._size
        begins = ends * self._time / (1 - self._time)
        within = self._time + (self._within - self._time) * math.exp(-(ends + begins) * gap)
        centre, half = -(begins + quiet + ends + burst) / 2, (ends + burst - begins - quiet) / 2
        root = math.sqrt(half * half + begins * ends)
        slow, fast = math.exp((centre + root) * gap), math.exp((centre - root) * gap)
        even, odd = (slow + fast) / 2, (slow - fast) / (2 * root)
        was = self._within
        still_quiet = (1 - was) * (even + odd * half) + was * odd * ends
        still_burst = (1 - was) * odd * begins + was * (even - odd * half)
        unchanged = still_quiet + still_burst
        likelihood = max(1 - unchanged if has_changed else unchanged, 1e-12)
        within = within - still_burst if has_changed else still_burst
        self._within = min(max(within / likelihood, 1e-6), 1 - 1e-6)
        return math.log(likelihood)


class Rates:
    """The rate of changes as far as it can be known, in changes per second."""

    __slots__ = ("_changes", "_polls", "_seconds", "_varying", "_wait", "rate")

    def __init__(self, gap: float) -> None:
        """Begin with a guess of the seconds between two changes."""
        self._changes, self._seconds = 1.0, gap  # of the long run
        self._varying: list[_Trend | _Bursts] = [_Trend(length) for length in _TRENDS]
        self._varying += [_Bursts(time, size) for time, size in _BURSTS]
        self.rate = 1 / gap
        self._polls = 0.0  # of the long run
        self._wait = math.sqrt(gap)  # the mean of 1 / sqrt(rate) over them

    @property
    def mean(self) -> float:
        """The rate in the long run."""
        return self._changes / self._seconds

    @property
    def stretch(self) -> float:
        """
        How much longer than its mean an interval shall be right now.

        Mean delay is least, for a number of polls, if they are as dense as the square root of the rate (Cho and
        Garcia-Molina, "Effective page refresh policies for Web crawlers", 2003).
        """
        return 1 / math.sqrt(self.rate) / self._wait

    def see(self, gap: float, *, has_changed: bool, at_most_one: bool) -> float:
        """
        Learn from a poll that came ``gap`` seconds after the one before, and return how likely it was, as a logarithm.

        ``at_most_one``: that several changes are seen as one is out of the question, since there is a rhythm.
        """
        mean = self.mean
        expected = mean * gap
        steady = log_likelihood(expected, has_changed)
        before, likelihood, after, rate = 1.0, 1.0, 1.0, mean
        for one in self._varying:
            weight = math.exp(one.score - _HEAD_START)
            advantage = min(max(one.see(gap, has_changed, mean) - steady, -_MOST_TOLD), _MOST_TOLD)
            before += weight
            likelihood += weight * math.exp(advantage)
            one.score = min(max(one.score * _MEMORY + advantage, _WORST), _BEST)
            weight = math.exp(one.score - _HEAD_START)
            after += weight
            rate += weight * one.rate(mean)
        self.rate = rate / after
        self._remember(gap, (1.0 if at_most_one else changes(expected)) if has_changed else 0.0)
        return steady + math.log(likelihood / before)

    def _remember(self, gap: float, seen: float) -> None:
        long_run = WEEK + _LONG_RUN / self.mean
        kept = math.exp(-gap / long_run)
        self._changes, self._seconds = self._changes * kept + seen, self._seconds * kept + gap
        self._polls = self._polls * kept + 1
        self._wait += (1 / math.sqrt(self.rate) - self._wait) / self._polls


def changes(expected: float) -> float:
    """Return how many changes a poll has seen as one, if on the average so many would have been (at a steady rate)."""
    return expected / -math.expm1(-expected)


def log_likelihood(expected: float, has_changed: bool) -> float:
    return math.log(max(-math.expm1(-expected), 1e-300)) if has_changed else -expected
