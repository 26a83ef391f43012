"""At what rate connections are let in, and when the others come back."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.admission import HORIZON, JITTER, MAX_RETRY, MIN_RETRY, Admission, retry_delay
from pushgate.quantities import Rate, parse_rate

TEN_A_SECOND = Rate(10, 1.0)


def crowd(
    admission: Admission, arrivals: list[float], dice: Random, *, wait: Callable[[float], float] = lambda wait: wait
) -> list[float]:
    """Let clients come at these times, and come back when they are told to; return when each was let in."""
    admitted, coming = [], list(arrivals)
    heapq.heapify(coming)
    for _ in range(100 * len(arrivals)):
        if not coming:
            break
        now = heapq.heappop(coming)
        told = admission.admit(now, chance=dice.random())
        if told is None:
            admitted.append(now)
        else:
            heapq.heappush(coming, now + wait(told))
    assert not coming, "they come back for ever"
    return admitted


def most_within(times: list[float], seconds: float) -> int:
    """Return how many of these moments lie at most in any such span."""
    first, most = 0, 0
    for last, time in enumerate(times):
        while times[first] < time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_what_the_rate_counts_may_come_at_once() -> None:
    """``10/s`` lets ten in at once after a quiet while; the eleventh has to wait, and a second later ten may again."""
    admission = Admission(TEN_A_SECOND)
    assert [admission.admit(100.0, chance=0.0) for _ in range(10)] == [None] * 10
    assert admission.admit(100.0, chance=0.0) is not None
    assert [admission.admit(101.0, chance=0.0) for _ in range(10)] == [None] * 10
    assert admission.admit(101.0, chance=0.0) is not None


def test_off_lets_everybody_in() -> None:
    admission = Admission(None)
    assert all(admission.admit(0.0, chance=0.5) is None for _ in range(10_000))


def test_everybody_sent_away_has_a_slot_of_its_own() -> None:
    """Those who come together are told to come back one after the other, as fast as they can be let in."""
    admission = Admission(TEN_A_SECOND)
    for _ in range(10):
        admission.admit(5.0, chance=0.0)
    waits = [admission.admit(5.0, chance=0.0) for _ in range(30)]
    assert waits == pytest.approx([(number + 1) / 10 for number in range(30)])


def test_nobody_is_told_to_come_back_too_early() -> None:
    """Whoever comes back when told, and up to half a second later, is let in the second time."""
    for chance in (0.0, 0.999):
        admission = Admission(TEN_A_SECOND)
        for _ in range(10):
            admission.admit(0.0, chance=chance)
        waits = [admission.admit(0.0, chance=chance) for _ in range(100)]
        assert all(admission.admit(wait or 0.0, chance=chance) is None for wait in waits)


def test_slots_that_are_over_are_no_promise_any_more() -> None:
    """After a quiet hour the next one sent away waits one interval, not until after all who were ever sent away."""
    admission = Admission(TEN_A_SECOND)
    for _ in range(1000):
        admission.admit(0.0, chance=0.0)
    for _ in range(10):
        assert admission.admit(3600.0, chance=0.0) is None
    assert admission.admit(3600.0, chance=0.0) == pytest.approx(0.1)


def test_no_wait_is_longer_than_five_minutes() -> None:
    """Beyond that nobody is promised anything: those too many come back spread over the second half of it."""
    admission = Admission(Rate(1, 1.0))
    waits = [admission.admit(0.0, chance=0.25) or 0.0 for _ in range(10_000)]
    assert max(waits) <= HORIZON + JITTER
    assert set(waits[-100:]) == {HORIZON * 0.625}
    assert Admission(parse_rate("1/d")).admit(0.0, chance=0.0) is None
    slow = Admission(parse_rate("1/d"))
    slow.admit(0.0, chance=0.0)
    assert slow.admit(0.0, chance=0.0) == HORIZON


@given(
    rate=st.sampled_from(["2/s", "7/s", "50/s", "300/m", "2000/s"]),
    count=st.integers(1, 300),
    crowding=st.sampled_from([0.0, 0.1, 3.0]),
    seed=st.integers(0, 2**32),
)
def test_a_crowd_that_obeys_is_in_as_fast_as_the_rate_allows(rate: str, count: int, crowding: float, seed: int) -> None:
    """
    n clients are all in within n / rate and the spread: what they came over, and half a second.

    At no time do more come in than the rate allows, and what it counts at once.
    """
    dice, allowed = Random(seed), parse_rate(rate)
    arrivals = [dice.random() * crowding for _ in range(count)]
    admitted = crowd(Admission(allowed), arrivals, dice)
    within = count / allowed.per_second + crowding + JITTER
    assert max(admitted) <= min(within, HORIZON) + 1e-6
    for seconds in (0.1, 1.0, 10.0):
        assert most_within(admitted, seconds) <= allowed.count + seconds * allowed.per_second + 1


@given(count=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_whole_seconds_do_as_well(count: int, seed: int) -> None:
    """``Retry-After`` is in whole seconds, rounded up, so all who have a slot in one second come at once."""
    dice = Random(seed)
    admitted = crowd(Admission(TEN_A_SECOND), [0.0] * count, dice, wait=lambda wait: float(math.ceil(wait)))
    assert max(admitted) <= count / 10 + 2 * (JITTER + 1)


def test_a_stranger_may_take_a_place_but_nobody_waits_for_ever() -> None:
    """Newcomers cannot be told from those who come back; as long as all are fewer than the rate, everybody gets in."""
    dice = Random(4)
    crowded = [0.0] * 200
    newcomers = [number / 8 for number in range(400)]  # 8 a second, for 50 seconds
    admitted = crowd(Admission(TEN_A_SECOND), crowded + newcomers, dice)
    assert len(admitted) == 600
    assert max(admitted) <= 600 / 10 + 50


def test_clients_come_back_over_as_long_as_it_takes_to_let_them_in() -> None:
    """``retry:`` is between one and four seconds; with many connected, up to as long as the rate needs for them."""
    assert retry_delay(Rate(2000, 1.0), connections=10, chance=0.0) == MIN_RETRY
    assert retry_delay(Rate(2000, 1.0), connections=10, chance=1.0) == MAX_RETRY
    assert retry_delay(Rate(2000, 1.0), connections=20_000, chance=1.0) == MIN_RETRY + 10
    assert retry_delay(Rate(2000, 1.0), connections=20_000, chance=0.5) == MIN_RETRY + 5
    assert retry_delay(None, connections=20_000, chance=1.0) == MAX_RETRY
