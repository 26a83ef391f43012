"""
The adaptive schedule: as many polls as an interval would make, spent where they are worth most.

Rule 1: between the begins of two polls lie at least ``minimum`` and at most ``maximum`` seconds, whatever is known; and
up to that four times what an answer takes, so that a slow upstream rests for three quarters of the time.
Rule 2: in the long run there is one poll every ``every`` seconds, or if nobody says, two polls for each change. What a
rhythm leaves over is not spent.
Rule 3: when the changes keep a beat, polls lie around the moment at which the next is expected, as closely as that is
known; when the upstream's word on freshness has proved true, right behind it; otherwise evenly, but closer while
changes come faster than in the long run and wider while they come slower. Whoever sees neither stays with even.
"""

from __future__ import annotations

import math

from ..quantities import duration_text
from .hints import Promises, Stamps
from .rates import WEEK, Rates
from .rhythm import Rhythm
from .scheduling import Polled, Tick

POLLS_PER_CHANGE = 2.0

# A poll rests the upstream for three times as long as it kept it busy.
_REST = 4.0

# Even polls are moved by up to a twentieth to both sides, so that topics do not align, and no rhythm hides behind ours.
_JITTER = 0.05

# Polls farther apart than this many longest intervals were held up by somebody: what lay between is unknown.
_BLIND = 1.5

# A beat needs this many polls for each of its periods, or it cannot be followed.
_LEAST_PER_TICK = 1.1

# What was saved or overspent is made up for within these bounds, so that a quiet night is no reason for a stampede.
_THRIFT, _LEAST_THRIFT, _MOST_THRIFT = 3, 0.75, 1.3
_LEAST_PLAN, _MOST_PLAN, _PLAN_POLLS = 0.3, 1.15, 100.0

_FEW = 5  # changes of which nothing can be said
_MANY = 64  # changes on which a judgement rests
_FASTER, _SLOWER = 1.25, 0.8  # than in the long run
_BURST, _QUIET = 2.5, 0.4


class Adaptive:
    """Learns when one topic changes, and polls it then."""

    __slots__ = (
        "_allowed",
        "_base",
        "_changed_at",
        "_every",
        "_maximum",
        "_minimum",
        "_pace",
        "_polls",
        "_promises",
        "_rates",
        "_rhythm",
        "_seen_at",
        "_stamps",
        "_took",
    )

    def __init__(self, *, minimum: float, maximum: float, now: float, every: float | None = None) -> None:
        self._minimum, self._maximum = minimum, maximum
        self._every = None if every is None else min(max(every, minimum), maximum)
        self._pace = self._every or (minimum * maximum) ** 0.5  # what is in force right now
        self._rates = Rates(POLLS_PER_CHANGE * self._pace)
        self._rhythm = Rhythm()
        self._stamps, self._promises = Stamps(), Promises()
        self._base = 0.0  # how likely the polls since the latest change were without a rhythm, as a logarithm
        self._seen_at: float | None = None  # the begin of the latest good poll; None: what it saw no longer counts
        self._changed_at = now
        self._took = 0.0  # seconds, by an answer, lately
        self._polls = self._allowed = 0.0  # in the long run: spent, and what the budget was

    @property
    def pace(self) -> float:
        return self._pace

    def wake(self, *, now: float) -> None:
        self._seen_at = None
        self._promises.wake()

    def next(self, polled: Polled | None, *, now: float, wall: float, chance: float) -> Tick:
        if polled is not None:
            self._learn(polled)
        begun = now if polled is None else polled.began_at
        tick = self._promised(now, begun) or self._foretold(now) or self._evenly(now, begun, chance)
        return self._bounded(tick, now, begun)

    # What a poll teaches.

    def _learn(self, polled: Polled) -> None:
        begin, self._seen_at = self._seen_at, polled.began_at
        self._took += (polled.ended_at - polled.began_at - self._took) / 4
        gap = None if begin is None else polled.began_at - begin
        if begin is None or gap is None or gap > _BLIND * max(self._maximum, _REST * self._took):
            self._rhythm.skip_to(polled.began_at)
            self._promises.wake()
            self._base = 0.0
        elif gap > 0:
            self._spend(gap)
            has_beat = self._rhythm.beat is not None
            self._base += self._rates.see(gap, has_changed=polled.has_changed, at_most_one=has_beat)
            window = self._stamps.see(polled, begin=begin)
            if polled.has_changed:
                part = math.log(window.width / (polled.ended_at - begin))  # anywhere in the whole is as likely
                least = _LEAST_PER_TICK * (self._every or self._minimum)
                self._rhythm.see(window, base=self._base + part, least=least)
                self._base = 0.0
        self._promises.see(polled)
        if polled.has_changed:
            self._changed_at = polled.ended_at

    def _spend(self, gap: float) -> None:
        """Count a poll; what was long ago is forgotten."""
        kept = math.exp(-gap / WEEK)
        self._polls = self._polls * kept + 1
        self._allowed = self._allowed * kept + gap / self._budget

    # When to poll next, by the three things that may be known.

    @property
    def _budget(self) -> float:
        """The mean interval that may be spent."""
        if self._every is not None:
            return self._every
        return min(max(1 / (POLLS_PER_CHANGE * self._rates.mean), self._minimum), self._maximum)

    @property
    def _share(self) -> float:
        """What was spent, as a part of the budget."""
        return self._polls / self._allowed if self._allowed else 1.0

    def _promised(self, now: float, begun: float) -> Tick | None:
        until = self._promises.until
        if until is None or until <= now or until - begun < self._budget:
            return None
        self._pace = self._budget
        when = until + min(self._minimum, 1.0)  # dates in HTTP are whole seconds
        return Tick(when, f"the upstream vouches for {_words(until - now)} more")

    def _foretold(self, now: float) -> Tick | None:
        beat = self._rhythm.beat
        if beat is None:
            return None
        polls = POLLS_PER_CHANGE
        if self._every is not None:
            saved = self._allowed - self._polls
            polls = beat.period / self._every * min(max(1 + saved / _PLAN_POLLS, _LEAST_PLAN), _MOST_PLAN)
        self._pace = self._budget
        due, _ = beat.upcoming(now)
        waiting = f"the next is due in {_words(due - now)}" if due > now else f"this one is {_words(now - due)} late"
        when = self._rhythm.next_poll(now, polls=polls, spacing=self._minimum)
        return Tick(when, f"changes about every {_words(beat.period)}; {waiting}")

    def _evenly(self, now: float, begun: float, chance: float) -> Tick:
        thrift = min(max(self._share**_THRIFT, _LEAST_THRIFT), _MOST_THRIFT)
        interval = min(max(self._budget * self._rates.stretch * thrift, self._minimum), self._maximum)
        self._pace = interval
        when = begun + min(interval * (1 + _JITTER * (2 * chance - 1)), self._maximum)
        return Tick(when, f"{self._reason(now)}: every {_words(interval)}")

    def _bounded(self, tick: Tick, now: float, begun: float) -> Tick:
        when, why = tick.when, tick.why
        rest = _REST * self._took
        if when < begun + rest:
            when, why = begun + rest, f"an answer takes {_words(self._took)}: every {_words(rest)}"
        if when > begun + self._maximum:
            when, why = begun + self._maximum, f"{why}; never longer than {_words(self._maximum)}"
        return Tick(max(when, begun + self._minimum, now), why)

    def _reason(self, now: float) -> str:
        """Say why even polls are as close as they are."""
        count = self._rhythm.count
        pace = self._rates.rate / self._rates.mean
        if count < _FEW:
            return "too few changes yet to know more"
        if pace >= _BURST:
            seen, seconds = self._latest_burst(now)
            return f"a burst: {seen} changes in the last {_words(seconds)}" if seen > 1 else "a burst may have begun"
        if pace <= _QUIET:
            return f"quiet for {_words(now - self._changed_at)}"
        if pace >= _FASTER:
            return "more changes than usual"
        if pace <= _SLOWER:
            return "fewer changes than usual"
        return f"no rhythm in the last {min(count, _MANY)} changes"

    def _latest_burst(self, now: float) -> tuple[int, float]:
        """Return how many of the latest changes came in quick succession, and within how many seconds from now."""
        seen, begin = 0, now
        for window in reversed(self._rhythm.windows):
            if begin - window.end > 1 / self._rates.mean:
                break
            seen, begin = seen + 1, window.begin
        return seen, now - begin


def _words(seconds: float) -> str:
    """Return a duration without the digits that nobody wants to know."""
    return duration_text(round(seconds) if seconds >= 10 else round(seconds, 1))
