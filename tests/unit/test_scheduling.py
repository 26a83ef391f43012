"""When a topic is polled next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.scheduling import MAX_BACKOFF, MAX_RETRY_AFTER, backoff, clamp_retry_after, next_tick, spread

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
