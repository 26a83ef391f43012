"""
A beat of a topic's changes: how far apart they come, when the next is due, and how far single ones stray.

Rule 1: what is known of a change is a window: the document was still the old one at its begin, and new at its end.
Rule 2: some upstreams stray from a clock that itself keeps time (a report at :03, give or take), others start counting
anew with each change and so drift. A beat is one assumption about that, and keeps the score of how well it does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

_PERIOD_DRIFT = 2e-4  # of the period, per tick

# Of what is known about how well a beat does, half is forgotten every 17 changes.
_MEMORY = 0.96

# Standard deviations after a tick.
_OVERDUE, _GIVEN_UP = 2.0, 3.5

_SHARP = 0.4  # of the period

_SKIPS_OFTEN = 0.15  # from here on a tick that brings nothing is no surprise

# A change that no beat foretold: how likely that is at any time, and from which mass on a window is a surprise.
_STRANGE = 0.02
_SURPRISE = 1e-4

# How the polls around a tick lie best, for a normally distributed change: with so many polls per tick, the first
# comes so many standard deviations after the tick, and the others follow at such distances. Found by minimising the
# mean delay of ``first + k x distance`` for each number of polls.
_PLANS = (
    (1.02, 2.1, 1.7),
    (1.05, 1.65, 1.55),
    (1.1, 1.3, 1.3),
    (1.2, 0.95, 1.0),
    (1.3, 0.7, 0.92),
    (1.4, 0.5, 0.9),
    (1.5, 0.35, 0.85),
    (1.75, 0.05, 0.77),
    (2.0, -0.15, 0.69),
    (2.5, -0.4, 0.55),
    (3.0, -0.6, 0.47),
    (4.0, -0.9, 0.39),
    (5.0, -1.05, 0.32),
    (6.0, -1.2, 0.28),
    (8.0, -1.4, 0.22),
    (12.0, -1.65, 0.16),
    (16.0, -1.8, 0.12),
)


@dataclass(frozen=True, slots=True)
class Window:
    """Between which two moments a change fell, in monotonic seconds."""

    begin: float
    end: float

    @property
    def middle(self) -> float:
        return (self.begin + self.end) / 2

    @property
    def width(self) -> float:
        return self.end - self.begin


class Beat:
    """
    One manner in which changes may keep time: a Kalman filter for the tick and the period.

    A window is no measurement with a normal error; its information enters as the mean and variance of the normal
    distribution cut off at its ends (assumed density filtering), which is right for wide and narrow windows alike.
    """

    __slots__ = (
        "_cov",
        "_drift",
        "_skips",
        "_stray",
        "_ticks",
        "_var_period",
        "_var_tick",
        "is_at_a_loss",
        "period",
        "score",
        "tick",
    )

    def __init__(self, manner: tuple[float, float], windows: list[Window], ticks: list[int]) -> None:
        """Begin with a line through the windows, of which each is taken for the tick of that number, from 0."""
        self._stray, self._drift = manner
        self.score = 0.0  # logarithm of the odds against whoever expects no rhythm
        steps = ticks[-1]
        middle, centre = fmean(window.middle for window in windows), fmean(ticks)
        slope = sum((n - centre) * (window.middle - middle) for n, window in zip(ticks, windows, strict=True))
        self.period = max(1e-3, slope / sum((n - centre) ** 2 for n in ticks))
        self.tick = middle + self.period * (steps - centre)  # the latest
        variance = max(window.width for window in windows) ** 2 / 12
        self._var_tick, self._cov, self._var_period = variance, variance / steps, 2 * variance / steps**2
        self._skips = self._ticks = 0.0  # lately: without a change, and in all
        self.is_at_a_loss = False  # about the latest change, which no tick explains

    def foretell(self, ticks: int) -> tuple[float, float]:
        """Return the mean and the standard deviation of the change that comes with the n-th tick from the latest."""
        variance = self._variance_after(ticks) + (self._stray * self.period) ** 2
        return self.tick + ticks * self.period, math.sqrt(variance)

    @property
    def is_sharp(self) -> bool:
        """Whether the next change is known well enough to look elsewhere until then."""
        return self.foretell(1)[1] < _SHARP * self.period

    def upcoming(self, now: float) -> tuple[float, float]:
        """Return the mean and the standard deviation of the change that is waited for: the next, or one overdue."""
        return self.foretell(self._awaited(now))

    def next_poll(self, now: float, *, polls: float, spacing: float) -> float:
        """Return when to poll if ``polls`` may be spent per tick, and two must be ``spacing`` seconds apart."""
        ticks = self._awaited(now)
        polls *= 1 - self._skipping(ticks - 1)
        while True:
            mean, deviation = self.foretell(ticks)
            first, distance = _plan(polls, spacing / deviation)
            late = (now - mean) / deviation
            if late < first - distance / 2:
                return mean + first * deviation
            when = now + distance * deviation
            if late >= _OVERDUE:  # not as foretold: less and less often
                when = max(when, mean + 2 * (now - mean))
            patience = self._patience(ticks, deviation)
            if when - mean <= patience:
                return when
            if self._is_reliable(ticks) and now - mean < 0.8 * patience:
                return mean + patience  # a last look
            ticks += 1

    def _awaited(self, now: float) -> int:
        """Return the number of the tick that is waited for, counted from the latest one with a change."""
        ticks = max(1, int((now - self.tick) / self.period - 0.5))
        while True:
            mean, deviation = self.foretell(ticks)
            if now - mean < self._patience(ticks, deviation):
                return ticks
            ticks += 1

    def _patience(self, ticks: int, deviation: float) -> float:
        """Return how long after a tick to look for its change; long if every tick had one until now."""
        return max(_GIVEN_UP * deviation, 0.25 * self.period if self._is_reliable(ticks) else 0.0)

    def _is_reliable(self, ticks: int) -> bool:
        return ticks == 1 and self._skipping(0) < _SKIPS_OFTEN

    def _skipping(self, silent: int) -> float:
        """Return the probability that a tick brings no change, after so many in a row that brought none."""
        return (self._skips + silent + 0.4) / (self._ticks + silent + 10.0)

    def see(self, window: Window, *, base: float) -> None:
        """Learn of a change. ``base``: logarithm of the likelihood of its window for whoever expects no rhythm."""
        silent = max(0, int((window.begin - self.tick) / self.period - 0.2))  # ticks that brought nothing
        if window.width > 2.2 * self.period:  # several ticks: it tells nothing about where they are
            self._judge(silent, 1.0, base)
            self.skip_to(window.end)
            return
        ticks = self._explain(window)
        silent = min(silent, ticks - 1) if window.width > 1.2 * self.period else ticks - 1
        mean, deviation = self.foretell(ticks)
        mass, found, variance = _cut_off(mean, deviation, window)
        self._judge(silent, mass, base)
        is_strange = mass < _SURPRISE
        if not (is_strange and window.end < mean):  # otherwise that tick is still to come
            self._advance(ticks)
        if not is_strange:
            self._correct(found - mean, deviation**2, variance)
        elif self.is_at_a_loss:  # twice: the next one will tell where the ticks are now
            miss = max(window.begin - mean, mean - window.end, 0.0)
            self._var_tick += window.width**2 / 12 + miss**2 / 4
        self.is_at_a_loss = is_strange

    def _explain(self, window: Window) -> int:
        """Return the number of the tick that brought a change: the nearest, or the one before that was late."""
        ticks = max(1, round((window.middle - self.tick) / self.period))
        if ticks > 1 and window.width < 1.2 * self.period:
            mean, deviation = self.foretell(ticks - 1)
            if mean + deviation > window.begin:
                return ticks - 1
        return ticks

    def skip_to(self, now: float) -> None:
        """Go on to the latest tick before ``now`` without having seen those between."""
        self._advance(max(0, int((now - self.tick) / self.period)))

    def _variance_after(self, ticks: int) -> float:
        drift = (self._drift * self.period) ** 2
        return max(self._var_tick + ticks * (2 * self._cov + ticks * self._var_period + drift), 1e-9)

    def _advance(self, ticks: int) -> None:
        self._var_tick = self._variance_after(ticks)
        self._cov += ticks * self._var_period
        self._var_period += ticks * (_PERIOD_DRIFT * self.period) ** 2
        self.tick += ticks * self.period

    def _correct(self, surprise: float, before: float, after: float) -> None:
        """Move by the part of a surprise that the tick and the period are to blame for; variances as of the change."""
        by_tick, by_period = self._var_tick / before, self._cov / before
        learned = before - after
        self.tick += by_tick * surprise
        self.period = max(self.period / 5, self.period + by_period * surprise)
        self._var_tick -= by_tick**2 * learned
        self._cov -= by_tick * by_period * learned
        self._var_period = max(self._var_period - by_period**2 * learned, 1e-12)

    def _judge(self, silent: int, mass: float, base: float) -> None:
        """Score a window that had this probability, after so many ticks that brought nothing."""
        skipping = self._skipping(0)
        likelihood = mass * skipping**silent * (1 - skipping)
        likelihood = (1 - _STRANGE) * likelihood + _STRANGE * math.exp(max(base, -8.0))
        self.score = _MEMORY * self.score + math.log(likelihood) - max(base, -50.0)
        self._skips = 0.97 * self._skips + silent
        self._ticks = 0.97 * self._ticks + silent + 1


def _plan(polls: float, least: float) -> tuple[float, float]:
    """Return the first poll and the distance of the others, at least ``least``, in standard deviations."""
    before = _PLANS[0]
    for plan in _PLANS:
        if polls < plan[0] or plan[2] < least:
            if plan[2] < least or plan is before:
                return before[1], before[2]
            part = (polls - before[0]) / (plan[0] - before[0])
            return before[1] + part * (plan[1] - before[1]), before[2] + part * (plan[2] - before[2])
        before = plan
    return before[1], before[2]


def _cut_off(mean: float, deviation: float, window: Window) -> tuple[float, float, float]:
    """
    Return the mass of a normal distribution inside the window, and mean and variance of what is inside.

    Worthless beyond the mass where that is tiny.
    """
    begin, end = (window.begin - mean) / deviation, (window.end - mean) / deviation
    low, high = (begin, end) if begin > 0 else (-end, -begin)  # the tails differ where 1 minus them does not
    mass = (math.erfc(low * math.sqrt(0.5)) - math.erfc(high * math.sqrt(0.5))) / 2
    if mass < _SURPRISE:
        return max(mass, 0.0), window.middle, window.width**2 / 12
    at_begin, at_end = _density(begin), _density(end)
    shift = (at_begin - at_end) / mass
    variance = 1 + (begin * at_begin - end * at_end) / mass - shift**2
    return mass, mean + deviation * shift, deviation**2 * max(variance, 1e-4)


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) if abs(z) < 30 else 0.0
