"""How often a topic changes right now."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.schedules.rates import Rates, changes, log_likelihood

GOLDEN = (5**0.5 - 1) / 2


def feed(rates: Rates, script: list[tuple[float, bool]]) -> float:
    """Show the rates some polls, each a gap and whether it saw a change; return how likely all were."""
    return sum(rates.see(gap, has_changed=has_changed, at_most_one=False) for gap, has_changed in script)


def random_polls(rate: float, gap: float, number: int, *, offset: int = 0) -> list[tuple[float, bool]]:
    chance = -math.expm1(-rate * gap)
    return [(gap, (n + offset) * GOLDEN**2 * 7 % 1 < chance) for n in range(number)]


@pytest.mark.parametrize("gap", [10.0, 40.0, 90.0])
def test_the_rate_is_found_however_rarely_one_looks(gap: float) -> None:
    """Several changes that are seen as one are counted as several, on average."""
    rates = Rates(300.0)
    feed(rates, random_polls(1 / 60, gap, 2000))
    assert 1 / rates.mean == pytest.approx(60, rel=0.05)


def test_steady_chance_is_steady() -> None:
    """Noise moves the rate by little, so that polls stay even."""
    rates = Rates(60.0)
    feed(rates, random_polls(1 / 60, 30.0, 500))
    stretches = []
    for n in range(300):
        feed(rates, random_polls(1 / 60, 30.0, 1, offset=500 + n))
        stretches.append(rates.stretch)
    assert 0.8 < min(stretches) <= max(stretches) < 1.25


def test_a_slow_wave_is_followed() -> None:
    """By day the rate is higher than at night, and intervals are shorter by the square root of it."""
    rates = Rates(60.0)
    for _ in range(4):
        feed(rates, random_polls(1 / 240, 30.0, 700))
        night, at_night = rates.rate, rates.stretch
        feed(rates, random_polls(1 / 30, 30.0, 700))
    assert rates.rate / night == pytest.approx(8, rel=0.4)
    assert at_night / rates.stretch == pytest.approx(math.sqrt(rates.rate / night), rel=0.1)


def burst() -> list[tuple[float, bool]]:
    return [(30.0, False)] * 20 + [(30.0, True)] + [(2.0, True)] * 8 + [(2.0, False)] * 5


def test_bursts_are_foreseen() -> None:
    """Where changes come in bursts, the first one of another is a warning, and quiet is believed soon."""
    rates = Rates(60.0)
    feed(rates, burst() * 20)
    feed(rates, burst()[:20])
    quiet = rates.rate
    feed(rates, burst()[20:21])
    warned = rates.rate
    feed(rates, burst()[21:29])
    assert quiet < 0.6 * rates.mean
    assert warned > 5 * quiet
    assert rates.rate > 5 * rates.mean


def test_what_was_foreseen_was_likelier() -> None:
    """Polls of bursts become likelier as they are understood, as logarithms against a steady rate."""
    rates, steady = Rates(60.0), 0.0
    feed(rates, burst() * 20)
    steady = sum(log_likelihood(rates.mean * gap, has_changed) for gap, has_changed in burst())
    assert feed(rates, burst()) > steady + 5


def test_with_a_rhythm_a_change_is_one_change() -> None:
    """Who polls once per period sees all of them, and is not told that there were more."""
    rates = Rates(60.0)
    for _ in range(500):
        rates.see(60.0, has_changed=True, at_most_one=True)
    assert 1 / rates.mean == pytest.approx(60, rel=0.01)


def test_few_expected_changes_are_one() -> None:
    """A change that was hardly expected was one; of many expected ones, all will have come."""
    assert changes(1e-6) == pytest.approx(1)
    assert changes(50.0) == pytest.approx(50)


@given(st.lists(st.tuples(st.floats(1e-3, 1e6), st.booleans()), max_size=60), st.floats(1e-2, 1e5))
def test_no_poll_upsets_it(script: list[tuple[float, bool]], gap: float) -> None:
    """Whatever comes, rates stay positive and finite."""
    rates = Rates(gap)
    total = feed(rates, script)
    assert math.isfinite(total)
    assert 0 < rates.rate < math.inf
    assert 0 < rates.mean < math.inf
    assert 0 < rates.stretch < math.inf
