"""When one topic is polled next, and why then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pushgate.happenings import Answered, Failed, Freshness, Missing, Outcome, Unchanged
from pushgate.schedules.activehours import ActiveHours
from pushgate.schedules.scheduling import Polled, Tick
from pushgate.timetable import Moment, Timetable

# Midnight, on a Monday, when the monotonic clock stood at zero.
MIDNIGHT = 1_704_067_200.0
SAME = Unchanged()


class EveryTen:
    """Ten seconds after each poll; remembers what it was told."""

    pace = 10.0

    def __init__(self) -> None:
        self.told: list[Polled | None] = []
        self.woken: list[float] = []

    def wake(self, *, now: float) -> None:
        self.woken.append(now)

    def next(self, polled: Polled | None, *, now: float, wall: float, chance: float) -> Tick:
        self.told.append(polled)
        return Tick(now + 10, "every 10s")


def at(now: float) -> Moment:
    return Moment(now, MIDNIGHT + now, 0.0)


def following(
    outcome: Outcome, now: float = 100.0, *, failures: int = 0, confirming: str | None = None, **more: Any
) -> tuple[float, str]:
    times = Timetable(EveryTen(), **more)
    when = times.next(outcome, at(now), began_at=now - 1, failures=failures, confirming=confirming)
    return when, times.why


@pytest.mark.parametrize(
    ("outcome", "failures", "when", "why"),
    [
        (SAME, 0, 110, "every 10s"),
        (Failed("timeout"), 1, 110, "the latest poll failed"),
        (Failed("timeout"), 3, 140, "the latest 3 polls failed"),
        (Failed("http_5xx", retry_after=60), 1, 160, "the upstream asked to be left alone so long"),
        (Failed("http_5xx", retry_after=2), 1, 110, "the latest poll failed"),
        (replace(SAME, freshness=Freshness(fresh_for=42)), 0, 142, "the upstream vouches for its answer for 42s"),
        (replace(SAME, freshness=Freshness(1, ttl=20)), 0, 120, "the upstream vouches for its answer for 20s"),
        (replace(SAME, freshness=Freshness(fresh_for=3)), 0, 110, "every 10s"),
        (Missing(1000.0), 0, 110, "every 10s"),
    ],
)  # fmt: skip
def test_the_next_poll_and_why_then(outcome: Outcome, failures: int, when: float, why: str) -> None:
    """The schedule says when; failures, what was asked for, and freshness may put it off."""
    assert following(outcome, failures=failures) == (when, why)


def test_what_has_to_be_confirmed_is_asked_soon() -> None:
    """What is missing sooner if the schedule says so; what is hard to believe is given its time."""
    assert following(SAME, confirming="that it is gone") == (102, "that it is gone needs to be confirmed")
    assert following(SAME, confirming="x", confirm_after=30)[0] == 130
    assert following(Missing(1000.0), confirming="that it is gone", confirm_after=30)[0] == 110


def test_the_times_of_cron_are_kept_after_failures() -> None:
    """Backing off does not let the next report pass."""
    assert following(Failed("timeout"), failures=5)[0] == 200
    assert following(Failed("timeout"), failures=5, keeps_times=True)[0] == 110


def test_freshness_may_be_left_aside() -> None:
    """`respect_cache: false`."""
    assert following(replace(SAME, freshness=Freshness(fresh_for=42)), respects_freshness=False)[0] == 110


def test_the_hours_have_the_last_word() -> None:
    """A poll outside the active hours waits for the next ones; inside, their end is when to look again."""
    hours = ActiveHours("00:00-00:02")
    assert following(SAME, 115, active=hours) == (86_400, "its active hours begin")
    times = Timetable(EveryTen(), active=hours)
    assert (times.is_closed(MIDNIGHT + 119), times.is_closed(MIDNIGHT + 120)) == (False, True)
    assert times.before_closing(500, at(60)) == 120
    assert times.before_closing(90, at(60)) == 90
    assert times.before_closing(86_400, at(130)) == 86_400
    assert (times.opening(at(130)), times.why) == (86_400, "its active hours begin")


def test_what_the_schedule_hears() -> None:
    """How long the poll took, whether it brought news, and what the upstream says about time, on our clock."""
    schedule = EveryTen()
    times = Timetable(schedule)
    told = Freshness(fresh_for=5, modified_at=MIDNIGHT + 80)
    times.next(Answered(None, 1000.0, freshness=told), at(100), began_at=98, failures=0, confirming=None)
    times.next(Failed("timeout"), at(110), began_at=108, failures=1, confirming=None)
    times.wake(120)
    assert schedule.told == [Polled(98, 100, False, 80, 5), None]
    assert schedule.woken == [120]
