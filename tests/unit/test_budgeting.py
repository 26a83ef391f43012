"""What an upstream is asked at most, and when it is left alone."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.budgeting import (
    START_GAP,
    TIMER_SLACK,
    UPSTREAM_FAILURES,
    Breaker,
    Limiter,
    most_within,
    start_delays,
)
from pushgate.errors import PollFailureReason
from pushgate.quantities import parse_rate


def limiter(*rates: str, burst: int = 1) -> Limiter:
    return Limiter([parse_rate(rate) for rate in rates], burst=burst)


def departures(limit: Limiter, wishes: list[float]) -> list[float]:
    """When requests leave that wish to leave at these moments, one after the other."""
    now, left = 0.0, []
    for wish in wishes:
        now = max(now, wish)
        now = max(now, limit.ready_at(now))
        assert limit.ready_at(now) <= now, "what was promised holds when the moment comes"
        limit.count(now)
        left.append(now)
    return left


def at_once(limit: Limiter, number: int, *, at: float = 0.0) -> list[float]:
    """When so many requests leave that all wish to leave at the same moment."""
    return departures(limit, [at] * number)


def test_a_rate_is_spread_evenly_over_its_window() -> None:
    """10/s is one every 100 ms, not ten at the beginning of a second."""
    left = at_once(limiter("10/s"), 31)
    gaps = [later - earlier for earlier, later in pairwise(left)]
    assert all(0.1 - 2 * TIMER_SLACK <= gap <= 0.1 + 2 * TIMER_SLACK for gap in gaps)
    assert left[-1] == pytest.approx(3.0, abs=2 * TIMER_SLACK)


def test_after_a_quiet_time_a_burst_may_go_out_at_once() -> None:
    """`burst: 5` lets five leave together; what follows keeps the pace, and a quiet time earns the burst again."""
    limit = limiter("10/s", burst=5)
    assert at_once(limit, 6) == [0, 0, 0, 0, 0, pytest.approx(0.1, abs=2 * TIMER_SLACK)]
    assert departures(limit, [60.0] * 5) == [60.0] * 5


def test_a_burst_does_not_raise_what_a_window_lets_through() -> None:
    """20 at once and 20 in a second are no contradiction: after the burst the second is full."""
    left = at_once(limiter("20/s", burst=20), 61)
    assert left[19] == 0
    assert left[20] == 1
    assert most_within(left, 1.0) == 20
    assert left[60] == pytest.approx(3.0)


def test_the_same_rate_is_kept_in_the_long_run_whatever_the_burst() -> None:
    for burst in (1, 7, 20, 500):
        assert at_once(limiter("20/s", burst=burst), 201)[-1] == pytest.approx(10.0, abs=0.06)


def test_several_rates_hold_together() -> None:
    """The tighter one decides, and which one that is may change with time."""
    left = at_once(limiter("5/s", "10/m", burst=10), 30)
    assert left[4] == 0  # a second takes five at once,
    assert left[9] == pytest.approx(1.0)  # the minute ten,
    assert left[10] == pytest.approx(60.0)
    assert most_within(left, 1.0) <= 5
    assert most_within(left, 60.0) <= 10


def test_a_late_timer_costs_nothing_in_the_long_run() -> None:
    """Requests that leave a few milliseconds late are made up for by those that follow."""
    limit, now, left = limiter("20/s"), 0.0, []
    for _ in range(201):
        now = max(now, limit.ready_at(now)) + 0.002
        limit.count(now)
        left.append(now)
    assert left[-1] - left[0] == pytest.approx(10.0, abs=0.06)
    assert most_within(left, 1.0) <= 20


def test_a_day_is_remembered_in_little_memory() -> None:
    """However many requests a window takes, a thousand entries remember them; a day's rate is never exceeded."""
    limit = limiter("50000/d", burst=5000)
    left = at_once(limit, 110_000)
    window = limit._windows[0]
    assert len(window._slices) <= 1001
    assert most_within(left, 86_400.0) <= 50_000
    at_best = (110_000 - 5_000) * 86_400 / 50_000  # the burst at once, then the pace
    assert at_best <= left[-1] + 1 <= at_best * 1.002


def test_requests_that_count_as_one_moment_count_as_the_latest() -> None:
    """Two requests within a thousandth of a day are remembered together, and free their places together, the later."""
    left = departures(limiter("2/d", burst=2), [0.0, 50.0, 60.0, 60.0])
    assert left[2:] == [86_450.0, 86_450.0]


rates = st.sampled_from(["1/s", "3/s", "20/s", "7/m", "30/m", "100/h", "2000/h", "500/d"])
pauses = st.lists(st.floats(0, 3) | st.just(0.0) | st.sampled_from([60.0, 3600.0]), min_size=1, max_size=120)


@given(rates=st.lists(rates, min_size=1, max_size=3), burst=st.integers(1, 50), pauses=pauses)
def test_no_window_is_ever_exceeded(rates: list[str], burst: int, pauses: list[float]) -> None:
    """Whenever requests come, each stretch of time that is as long as a window has at most the rate's number."""
    moment, wishes = 0.0, []
    for pause in pauses:
        moment += pause
        wishes.append(moment)
    left = departures(limiter(*rates, burst=burst), wishes)
    for rate in map(parse_rate, rates):
        assert most_within(left, rate.per - 1e-9) <= rate.count  # sums of doubles round
    assert left == sorted(left)


@given(rate=rates, number=st.integers(2, 60))
def test_whoever_keeps_the_pace_never_waits(rate: str, number: int) -> None:
    """One topic at exactly the interval that a rate allows is never delayed."""
    gap = 1 / parse_rate(rate).per_second
    wishes = [n * gap for n in range(number)]
    assert departures(limiter(rate), wishes) == pytest.approx(wishes)


def test_without_a_rate_nobody_waits() -> None:
    assert at_once(limiter(), 1000) == [0.0] * 1000


# The breaker.


def test_the_breaker_opens_after_so_many_failures_in_a_row() -> None:
    """A good poll in between starts the count anew, whichever topic it was for."""
    breaker = Breaker(failures=3, cooldown=30)
    breaker.failed("timeout", now=0)
    breaker.failed("timeout", now=1)
    breaker.succeeded()
    breaker.failed("timeout", now=2)
    breaker.failed("connect", now=3)
    assert breaker.state(3) == "closed"
    breaker.failed("http_5xx", now=4)
    assert (breaker.state(4), breaker.remaining(4), breaker.reason) == ("open", 30, "http_5xx")


def test_after_the_cooldown_one_trial_decides() -> None:
    """It is half-open then: a good trial closes it, a bad one opens it for another cooldown."""
    breaker = Breaker(failures=1, cooldown=30)
    breaker.failed("timeout", now=0)
    assert (breaker.state(29.9), breaker.state(30)) == ("open", "half_open")
    assert breaker.remaining(30) == 0
    breaker.failed("dns", now=31)
    assert (breaker.state(31), breaker.remaining(31), breaker.reason) == ("open", 30, "dns")
    breaker.succeeded()
    assert breaker.state(32) == "closed"


def test_polls_that_were_under_way_do_not_prolong_the_cooldown() -> None:
    breaker = Breaker(failures=2, cooldown=30)
    for now in (0, 1, 5, 9):
        breaker.failed("timeout", now=now)
    assert breaker.remaining(9) == 22


def test_a_late_success_closes_the_breaker() -> None:
    """Whatever answers well is there, even if it was asked before the breaker opened."""
    breaker = Breaker(failures=1, cooldown=30)
    breaker.failed("timeout", now=0)
    breaker.succeeded()
    assert (breaker.state(1), breaker.failures) == ("closed", 0)


def test_what_is_about_one_topic_does_not_open_the_breaker() -> None:
    """A 404, a wrong password or an answer that cannot be read show that the upstream is there."""
    assert set(get_args(PollFailureReason)) >= UPSTREAM_FAILURES
    about_one = {"http_4xx", "rate_limited", "upstream_auth", "too_large", "decode", "select", "guard", "budget"}
    assert not UPSTREAM_FAILURES & about_one


# The start.


def test_standing_topics_start_one_after_the_other() -> None:
    """Ten topics at 5 s are polled half a second apart, or closer: at most ten in a second are never too many."""
    assert start_delays([5.0] * 10, chance=0) == pytest.approx([START_GAP * n for n in range(10)])


def test_many_topics_are_spread_over_their_interval() -> None:
    """10,000 topics at 5 s start half a millisecond apart, as they are polled ever after."""
    delays = start_delays([5.0] * 10_000, chance=0.5)
    assert delays[0] < 0.0005
    assert delays[-1] == pytest.approx(5.0, rel=0.001)


def test_a_topic_that_is_alone_is_polled_at_once() -> None:
    assert start_delays([3600.0], chance=0.9) == [0.0]
    assert start_delays([], chance=0.9) == []


def test_replicas_that_start_together_are_shifted() -> None:
    assert start_delays([1.0] * 4, chance=0.5) == pytest.approx([0.05, 0.15, 0.25, 0.35])


@given(intervals=st.lists(st.floats(0.001, 86_400), min_size=1, max_size=50), chance=st.floats(0, 0.999))
def test_nobody_starts_later_than_the_longest_interval(intervals: list[float], chance: float) -> None:
    delays = start_delays(intervals, chance=chance)
    assert len(delays) == len(intervals)
    assert delays == sorted(delays)
    assert delays[-1] <= max(intervals) + 1e-9
