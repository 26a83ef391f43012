"""``poll:`` and ``stale:`` of a route: when it is polled, and when its document is too old."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ..quantities import duration_text
from ..schedules.activehours import ActiveHours as Hours
from ..schedules.crontimes import next_cron_time
from ..schedules.localtimes import load_zone
from .expressions import ActiveHours, Cron, JmesPath, Zone
from .scalars import Count, Duration, Flag, Percentage, Period, PeriodOrNever, Text
from .section import Section, given, misplaced, refuse_both

# Where the search for a cron time in the active hours starts, and how many cron times it looks at: two years of days.
_SOME_DAY, _MOST_TIMES = 1_672_531_200.0, 800


class Adaptive(Section):
    """The interval follows how often the document changes."""

    min: Period
    """The shortest interval."""
    max: Period
    """The longest."""
    every: Period | None = None
    """The mean interval that may be spent; by default two polls for each change."""

    @model_validator(mode="after")
    def _ordered(self) -> Adaptive:
        if self.min > self.max:
            raise misplaced("min", f"{duration_text(self.min)} must not be above max, {duration_text(self.max)}")
        if self.every is not None and not self.min <= self.every <= self.max:
            bounds = f"between min, {duration_text(self.min)}, and max, {duration_text(self.max)}"
            raise misplaced("every", f"{duration_text(self.every)} must be {bounds}")
        return self


class Retry(Section):
    """What follows a cron time whose report is not there yet."""

    every: Period
    """Time between two tries."""
    for_: Period
    """When to give up until the next cron time."""

    @model_validator(mode="after")
    def _tries_at_all(self) -> Retry:
        if self.every > self.for_:
            bound = f"must not be above for, {duration_text(self.for_)}, or nothing is tried"
            raise misplaced("every", f"{duration_text(self.every)} {bound}")
        return self


class Poll(Section):
    """When a topic is polled."""

    every: Period = 10.0
    """Time between two polls."""
    cron: Cron | None = None
    """Times of polls instead of an interval."""
    timezone: Zone | None = None
    """Where the cron times are; by default in UTC."""
    adaptive: Adaptive | None = None
    """An interval that follows the changes."""
    retry: Retry | None = None
    """With cron: keep trying until the document has changed."""
    active: ActiveHours | None = None
    """Hours outside which the topic is paused, not stale."""
    jitter: Percentage = 0.1
    """How much an interval varies by chance, so that topics do not poll in step."""
    while_: Literal["subscribed", "always"] = "subscribed"
    """Whether it is polled only while somebody listens."""
    topics: tuple[dict[Text, Text], ...] = ()
    """With `while: always`: the parameter values of the topics that are polled."""
    linger: Duration = 30.0
    """How long it is still polled after the last subscriber left."""
    respect_cache: Flag = True
    """Whether the answer's freshness is a floor for the next poll."""
    ttl: JmesPath | None = None
    """The freshness that the answer's body tells, in seconds."""
    until: JmesPath | None = None
    """When this becomes true of the document, polling ends."""

    @model_validator(mode="after")
    def _one_schedule(self) -> Poll:
        refuse_both(self, "every", "cron", "adaptive")
        for key in given(self, "retry", "timezone"):
            if self.cron is None:
                raise misplaced(key, "only has a meaning beside `cron`; remove it")
        if self.cron is not None and self.active is not None and not self._fires_when_active(self.cron, self.active):
            raise misplaced("active", f"`{self.cron}` never fires in these hours; change one of them")
        if self.topics and self.while_ != "always":
            raise misplaced("topics", "are only polled by themselves with `while: always`; add it")
        return self

    def _fires_when_active(self, cron: str, active: str) -> bool:
        """Whether any cron time lies in the active hours."""
        hours, zone = Hours(active), load_zone(self.timezone or "UTC")
        fires = _SOME_DAY
        for _ in range(_MOST_TIMES):
            fires = next_cron_time(cron, zone, after=fires)
            if hours.is_open(fires):
                return True
            fires = hours.opens_at(fires) - 1
        return False

    @model_serializer(mode="wrap")
    def _only_the_schedule_in_force(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the default interval where another schedule was chosen, so that the output can be read again."""
        written: dict[str, Any] = write(self)
        if self.cron is not None or self.adaptive is not None:
            written.pop("every", None)
        return written


class Stale(Section):
    """When a document is too old."""

    after: Count = 2
    """Failed polls in a row before subscribers are told."""
    expire: PeriodOrNever = None
    """When the old document is no longer served."""
