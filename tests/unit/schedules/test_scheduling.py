"""When a topic is polled next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.schedules.scheduling import (
    MAX_BACKOFF,
    MAX_RETRY_AFTER,
    FixedRate,
    Polled,
    Tick,
    backoff,
    cache_floor,
    clamp_retry_after,
    later,
    next_tick,
    spread,
)

intervals = st.floats(min_value=0.01, max_value=86_400)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(
    ("tick", "now", "expected"),
    [
        (100, 100, 110),  # right on time
        (100, 103, 110),  # the poll took three seconds
        (100, 110, 110),  # as long as the interval
        (100, 111, 120),  # longer: what was missed is not made up for
        (100, 1005, 1010),
        (100, 99, 110),  # a clock that was asked too early
    ],
)
def test_a_fixed_rate_does_not_drift(tick: float, now: float, expected: float) -> None:
    """However long a poll took, the next one is on the grid, and missed ones are skipped."""
    assert next_tick(tick, now=now, every=10) == expected


@given(tick=st.floats(0, 1e6), late=st.floats(0, 1e6), every=intervals)
def test_the_next_tick_is_never_past(tick: float, late: float, every: float) -> None:
    """The next tick lies at most one interval ahead, and not behind, within what doubles can tell."""
    now = tick + late
    following = next_tick(tick, now=now, every=every)
    assert now - 1e-6 <= following <= max(now, tick) + every + 1e-6


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 100.0), (0.5, 100.5), (0.999, 100.999)])
def test_jitter_spreads_over_the_first_part_of_the_interval(chance: float, expected: float) -> None:
    """With ``jitter: 10%`` a poll starts within the first tenth of its interval, never before its tick."""
    assert spread(100, every=10, jitter=0.1, chance=chance) == pytest.approx(expected)


def test_the_first_failure_costs_nothing_extra() -> None:
    """After one failed poll the next comes in its usual interval."""
    assert backoff(1, every=10, chance=0.9) == 10


@pytest.mark.parametrize(("failures", "expected"), [(2, 20), (3, 40), (4, 80), (5, 100), (6, 100), (1000, 100)])
def test_the_interval_doubles_up_to_ten_times(failures: int, expected: float) -> None:
    """A failing upstream is asked less and less, down to a tenth of the usual rate."""
    assert backoff(failures, every=10, chance=0) == expected


@pytest.mark.parametrize(("every", "ceiling"), [(10, 100), (60, MAX_BACKOFF), (3600, 3600)])
def test_the_ceiling_is_five_minutes_or_the_interval_itself(every: float, ceiling: float) -> None:
    """Backing off ends at five minutes; an interval that is longer than that stays as it is."""
    assert backoff(50, every=every, chance=0) == ceiling


@given(failures=st.integers(1, 100), every=intervals, chance=chances)
def test_backing_off_is_never_faster_than_three_quarters(failures: int, every: float, chance: float) -> None:
    """The spread takes at most a quarter off, and never makes a failing upstream's polls faster than that."""
    wait = backoff(failures, every=every, chance=chance)
    assert 0.75 * every <= wait <= max(every, MAX_BACKOFF)


@pytest.mark.parametrize(
    ("asked", "expected"), [(5, 5), (-5, 0), (0, 0), (1e9, MAX_RETRY_AFTER), (float("inf"), MAX_RETRY_AFTER)]
)
def test_retry_after_is_honoured_within_reason(asked: float, expected: float) -> None:
    """``Retry-After`` up to an hour is obeyed; a year is a mistake."""
    assert clamp_retry_after(asked) == expected


def polled(began_at: float, ended_at: float) -> Polled:
    return Polled(began_at, ended_at, has_changed=False)


def test_a_fixed_rate_tells_its_reason() -> None:
    """Whoever asks why the next poll is when it is reads the interval as it was written."""
    schedule = FixedRate(90, 0, now=1000)
    assert schedule.pace == 90
    assert schedule.next(polled(1000, 1002), now=1002, wall=0, chance=0.5) == Tick(1090, "every 1m30s")


def test_jitter_never_moves_the_grid() -> None:
    """Each poll is spread anew over the first part of its own interval; what chance added once is not kept."""
    schedule = FixedRate(10, 0.5, now=1000)
    assert schedule.next(polled(1000, 1001), now=1001, wall=0, chance=0.9).when == pytest.approx(1014.5)
    assert schedule.next(polled(1014.5, 1015), now=1015, wall=0, chance=0).when == 1020


def test_a_failure_breaks_the_grid() -> None:
    """A retry may come at any time: with the first good one a new grid begins, so that no poll follows on its heels."""
    schedule = FixedRate(10, 0, now=1000)
    schedule.next(None, now=1001, wall=0, chance=0)
    schedule.next(None, now=1012, wall=0, chance=0)
    assert schedule.next(polled(1029, 1030), now=1030, wall=0, chance=0).when == 1039
    assert schedule.next(polled(1039, 1040), now=1040, wall=0, chance=0).when == 1049


def test_a_topic_that_slept_has_a_grid_of_its_own() -> None:
    """After a pause the interval counts from the poll that ended it."""
    schedule = FixedRate(10, 0, now=1000)
    schedule.next(polled(1000, 1001), now=1001, wall=0, chance=0)
    schedule.wake(now=1033)
    assert schedule.next(polled(1033, 1034), now=1034, wall=0, chance=0).when == 1043


@pytest.mark.parametrize("born", [1000.0, 1003.3, 1009.9])
def test_topics_of_a_batch_fall_together(born: float) -> None:
    """Whenever they were first polled, from then on all are polled at the same moments: one request can serve them."""
    schedule = FixedRate(10, 0.5, now=born, aligned=True)
    assert schedule.next(polled(born, born), now=born, wall=0, chance=0.9).when == 1010
    assert schedule.next(polled(1010, 1012), now=1012, wall=0, chance=0.9).when == 1020
    schedule.next(None, now=1021, wall=0, chance=0.9)
    assert schedule.next(polled(1035, 1036), now=1036, wall=0, chance=0.9).when == 1040
    schedule.wake(now=1077)
    assert schedule.next(polled(1077, 1078), now=1078, wall=0, chance=0.9).when == 1080


def test_the_later_of_two_reasons_is_told() -> None:
    """Whatever delays a poll gives its own reason; what would not have delayed it says nothing."""
    tick = Tick(110, "every 10s")
    assert later(tick, 150, "Retry-After") == Tick(150, "Retry-After")
    assert later(tick, 110, "Retry-After") is tick
    assert later(tick, 90, "Retry-After") is tick


@pytest.mark.parametrize(
    ("fresh_for", "ttl", "pace", "floor"),
    [
        (None, None, 10, 0),
        (42, None, 10, 42),
        (None, 42, 10, 42),
        (20, 42, 10, 42),  # the longer one
        (42, 20, 10, 42),
        (0, 0, 10, 0),
        (-5, -1, 10, 0),  # it was stale when it arrived
        (86_400, None, 1, 300),  # five minutes, for whoever polls often
        (None, 86_400, 1, 300),
        (86_400, None, 60, 600),  # ten intervals, for others
        (float("inf"), float("nan"), 60, 600),
    ],
)
def test_the_upstream_may_vouch_for_an_answer(
    fresh_for: float | None, ttl: float | None, pace: float, floor: float
) -> None:
    """Cache headers and the body's ``ttl`` put off the next poll, up to ten intervals or five minutes."""
    assert cache_floor(fresh_for, ttl, pace=pace) == floor
