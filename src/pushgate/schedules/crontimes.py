"""
A schedule of cron times: five fields, and where the clocks are that show them.

Rule 1: what a change of the clocks does is what Debian's cron does. Where minute or hour begin with ``*``, the job
follows the clocks: nothing happens in the gap, and what is repeated happens twice. Elsewhere the times are meant: each
happens once, the first time that the clocks show it, or right after the gap.
Rule 2: a cron time is polled once. A wall clock that is set back by less than a minute, or a timer that is early by
less, brings none of them back; beyond that, the new time is believed.
Rule 3: a cron time that passes while a poll is under way is polled right after it; of several, only the last one.
"""

from __future__ import annotations

import math
from datetime import timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from .localtimes import first_moment, load_zone, moments, shown_at
from .scheduling import Polled, Tick, next_tick

# Times of cron are whole minutes: what jitter is a part of, and how far a wall clock may be wrong.
MINUTE = 60.0

# A poll that failed is tried again after a tenth of the time between two cron times, or after this.
MAX_PACE = 60.0
_PACES_PER_GAP = 10


class CronTimes:
    """
    Polls at the times of a cron expression, each in the first ``jitter`` part of its minute.

    With ``retry_every`` and ``retry_for`` (seconds), a document that did not change at its cron time is polled again
    until it has changed, or until so long after that time. Of a topic that was not polled before, or slept, nobody
    knows which report a change was: there it goes on until the second one.
    """

    __slots__ = (
        "_expression",
        "_following",
        "_has_come",
        "_is_attentive",
        "_jitter",
        "_polled_until",
        "_promised_at",
        "_report",
        "_retry_every",
        "_retry_for",
        "_zone",
    )

    def __init__(
        self,
        expression: str,
        zone: str = "UTC",
        *,
        jitter: float = 0.0,
        retry_every: float | None = None,
        retry_for: float | None = None,
    ) -> None:
        self._expression = expression
        self._zone = load_zone(zone)
        self._jitter = jitter
        self._retry_every = retry_every
        self._retry_for = retry_for or 0.0
        self._following: float | None = None  # the next cron time by the wall clock
        self._promised_at = math.inf  # the same, monotonic, as it was when it was reckoned
        self._polled_until = -math.inf  # by the wall clock: cron times up to here have been polled
        self._is_attentive = False  # it was polled at the cron time before
        self._report: float | None = None  # the cron time that may still be tried again
        self._has_come = False  # the report of that time

    @property
    def pace(self) -> float:
        if self._retry_every is not None and self._report is not None and not self._has_come:
            return self._retry_every
        if self._following is None:
            return MAX_PACE
        gap = next_cron_time(self._expression, self._zone, after=self._following) - self._following
        return min(gap / _PACES_PER_GAP, MAX_PACE)

    def wake(self, *, now: float) -> None:
        self._is_attentive = False

    def next(self, polled: Polled | None, *, now: float, wall: float, chance: float) -> Tick:
        began_at = now if polled is None else polled.began_at
        began = self._began(began_at, wall - (now - began_at))
        self._following = next_cron_time(self._expression, self._zone, after=began)
        self._promised_at = now + self._following - wall
        self._note_report(polled, began)
        return self._retry(began_at, now=now, wall=wall) or Tick(
            max(self._promised_at, now) + MINUTE * self._jitter * chance, f"cron {self._expression} {self._zone.key}"
        )

    def _began(self, began_at: float, began: float) -> float:
        """Return when the poll began by a wall clock that does not go back a little."""
        if self._following is not None and began_at >= self._promised_at:
            self._polled_until = max(self._polled_until, self._following)
        if began < self._polled_until < began + MINUTE:
            began = self._polled_until
        self._polled_until = began
        return began

    def _note_report(self, polled: Polled | None, began: float) -> None:
        """Find the cron time that is waited for, and whether its report has come with this poll."""
        report = self._latest(began) if self._retry_every is not None else None
        if report != self._report:
            self._report, self._has_come = report, False
        if polled is not None:
            self._has_come |= polled.has_changed and self._is_attentive
            self._is_attentive = True

    def _latest(self, began: float) -> float | None:
        """Return the latest cron time that is not longer ago than ``retry_for``."""
        since = began - self._retry_for
        latest = self._report if self._report is not None and since <= self._report <= began else None
        # Cron times are whole seconds, and `after` is exclusive.
        after = math.ceil(since) - 1 if latest is None else latest
        following = next_cron_time(self._expression, self._zone, after=after)
        while following <= began:
            latest = following
            following = next_cron_time(self._expression, self._zone, after=latest)
        return latest

    def _retry(self, began_at: float, *, now: float, wall: float) -> Tick | None:
        if self._retry_every is None or self._report is None or self._has_come:
            return None
        when = next_tick(began_at, now=now, every=self._retry_every)
        if when >= self._promised_at or wall + (when - now) > self._report + self._retry_for:
            return None
        return Tick(when, f"the report of {shown_at(self._report, self._zone):%H:%M} has not come yet")


def next_cron_time(expression: str, zone: ZoneInfo, *, after: float) -> float:
    """
    Return the first time after that moment at which the expression fires; both in seconds since the epoch.

    The expression must have five fields. Raises ValueError if there is no day for it in fifty years.
    """
    # CronSim would do zones too, but loses minutes where the clocks change by other than an hour, or at midnight.
    minute, hour, *_ = expression.split()
    follows_clocks = minute.startswith("*") or hour.startswith("*")
    start = shown_at(after, zone)
    again = math.inf  # the first time after the moment that is shown for the second time
    for shown in CronSim(expression, start.replace(fold=0) - _repeated(after, zone)):
        fires = moments(shown, zone) if follows_clocks else (first_moment(shown, zone),)
        if fires and fires[0] > after:
            return min(fires[0], again)
        again = min([again, *(moment for moment in fires if moment > after)])
    raise ValueError(f"`{expression}` never fires; change its day or month")


def _repeated(moment: float, zone: ZoneInfo) -> timedelta:
    """Return how far the clocks will be set back if they show for the first time what they will show once more."""
    shown = shown_at(moment, zone)
    times = moments(shown.replace(fold=0), zone)
    return timedelta(seconds=times[-1] - times[0]) if shown.fold == 0 else timedelta()
