"""
When one topic is polled next, and why then: its schedule, and all that may delay it.

Failures back off, what was asked for is waited for, what the upstream vouches for is not asked again, and outside the
active hours nothing is. Times are monotonic seconds; ``wall`` is the same moment since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .happenings import Answered, Denied, Failed, Missing, Outcome, Unchanged
from .schedules.activehours import ActiveHours
from .schedules.scheduling import Polled, Schedule, Tick, backoff, cache_floor, clamp_retry_after, later


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks, and the dice."""

    now: float
    wall: float
    chance: float

    def at_wall(self, wall: float) -> float:
        """Return the monotonic time of a time of day."""
        return self.now + (wall - self.wall)


class Timetable:
    """The times at which one topic is polled."""

    __slots__ = ("_active", "_confirm_after", "_floor", "_keeps_times", "_respects_freshness", "_schedule", "why")

    def __init__(
        self,
        schedule: Schedule,
        *,
        active: ActiveHours | None = None,
        confirm_after: float = 2.0,
        respects_freshness: bool = True,
        keeps_times: bool = False,
    ) -> None:
        self._schedule = schedule
        self._active = active
        self._confirm_after = confirm_after
        self._respects_freshness = respects_freshness
        self._keeps_times = keeps_times  # also after failures: the times of cron
        self._floor = Tick(-math.inf, "")  # what the latest ``next`` had to wait for, whatever the schedule
        self.why = ""  # of the latest ``next``, for people

    @property
    def pace(self) -> float:
        """The interval right now, in seconds."""
        return self._schedule.pace

    def is_closed(self, wall: float) -> bool:
        """Whether this is outside the active hours."""
        return self._active is not None and not self._active.is_open(wall)

    def wake(self, now: float) -> None:
        """The topic slept past its time and is polled right now: a grid of its own begins here."""
        self._schedule.wake(now=now)

    def opening(self, at: Moment) -> float:
        """Return when the active hours begin; they are over."""
        assert self._active is not None, "without hours nothing is ever closed"
        self.why = "its active hours begin"
        return at.at_wall(self._active.opens_at(at.wall))

    def before_closing(self, when: float, at: Moment) -> float:
        """Return ``when``, or the end of the active hours if that is sooner."""
        if self._active is None or self.is_closed(at.wall):
            return when
        return min(when, at.at_wall(self._active.closes_at(at.wall)))

    def next(self, outcome: Outcome, at: Moment, *, began_at: float, failures: int, confirming: str | None) -> float:
        """
        Return when to poll after this outcome of the poll that began at ``began_at``.

        ``failures``: polls in a row that the upstream failed, this one included. ``confirming``: what the next poll has
        to confirm.
        """
        self._floor = Tick(-math.inf, "")
        if isinstance(outcome, Failed | Denied):
            tick = self._retry(outcome, at, failures)
        elif confirming is not None:
            tick = Tick(at.now + self._confirming_after(outcome), f"{confirming} needs to be confirmed")
        else:
            tick = self._scheduled(outcome, at, began_at)
        return self._settled(tick, at)

    def take_over(self, before: Timetable, planned: float, at: Moment) -> float:
        """
        Return when to poll a topic that another timetable would have polled at ``planned``.

        Whatever the upstream has asked for is still waited for. Topics that are taken over together are not polled
        together: each is somewhere in its interval.
        """
        self._floor = before._floor
        self._schedule.wake(now=at.now - self._schedule.pace * at.chance)
        tick = self._schedule.next(None, now=at.now, wall=at.wall, chance=at.chance)
        if not self._keeps_times and planned < tick.when:
            tick = Tick(planned, before.why)
        return self._settled(later(tick, self._floor.when, self._floor.why), at)

    def _settled(self, tick: Tick, at: Moment) -> float:
        due = at.wall + (tick.when - at.now)
        if (opens := self._opens_at(due)) > due:
            tick = Tick(at.at_wall(opens), "its active hours begin")
        self.why = tick.why
        return tick.when

    def _opens_at(self, wall: float) -> float:
        return self._active.opens_at(wall) if self._active is not None and self.is_closed(wall) else wall

    def _confirming_after(self, outcome: Outcome) -> float:
        """What is missing is asked for by the schedule if that is sooner; what is hard to believe is given its time."""
        return min(self._confirm_after, self._schedule.pace) if isinstance(outcome, Missing) else self._confirm_after

    def _scheduled(self, outcome: Answered | Unchanged | Missing, at: Moment, began_at: float) -> Tick:
        told = outcome.freshness
        modified_at = None if told.modified_at is None else at.at_wall(told.modified_at)
        has_changed = isinstance(outcome, Answered) and outcome.news is not None
        polled = Polled(began_at, at.now, has_changed, modified_at, told.fresh_for)
        tick = self._schedule.next(polled, now=at.now, wall=at.wall, chance=at.chance)
        if not self._respects_freshness or (told.fresh_for is None and told.ttl is None):
            return tick
        floor = cache_floor(told.fresh_for, told.ttl, pace=self._schedule.pace)
        self._floor = Tick(at.now + floor, f"the upstream vouches for its answer for {floor:.0f}s")
        return later(tick, self._floor.when, self._floor.why)

    def _retry(self, outcome: Failed | Denied, at: Moment, failures: int) -> Tick:
        tick = self._schedule.next(None, now=at.now, wall=at.wall, chance=at.chance)
        was_asked = isinstance(outcome, Denied) or outcome.was_asked
        # Who got no turn is not the upstream's failure, and no reason to come back later than those who got one.
        wait = backoff(failures, every=self._schedule.pace, chance=at.chance) if was_asked else self._schedule.pace
        when = at.now + wait
        if self._keeps_times:
            when = min(when, tick.when)
        asked = clamp_retry_after((outcome.retry_after if isinstance(outcome, Failed) else None) or 0.0)
        why = "the latest poll failed" if failures <= 1 else f"the latest {failures} polls failed"
        why = why if was_asked else "the latest poll got no turn"
        tick = later(Tick(when, why), at.now + asked, "the upstream asked to be left alone so long")
        self._floor = tick if was_asked else Tick(at.now + asked, tick.why)
        return tick
