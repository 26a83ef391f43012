"""A beat of a topic's changes."""

from __future__ import annotations

import math
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.schedules.beats import Beat, Window

NO_RHYTHM = math.log(1 / 3)  # what a window is worth to whoever expects nothing


def beat(period: float = 60.0, *, width: float = 10.0, manner: tuple[float, float] = (0.03, 0.003)) -> Beat:
    """A beat that has seen eight ticks, the latest at 0."""
    windows = [Window(period * n - width / 2, period * n + width / 2) for n in range(-7, 1)]
    return Beat(manner, windows, list(range(8)))


def test_a_beat_begins_with_a_line_through_windows() -> None:
    """Where the windows are a period apart, that is the period, and the latest is the tick."""
    found = beat()
    assert found.period == pytest.approx(60)
    assert found.tick == pytest.approx(0, abs=1e-9)
    assert found.foretell(2)[0] == pytest.approx(120)


def test_windows_may_be_ticks_apart() -> None:
    """A beat whose ticks do not all bring a change begins with those that did."""
    found = Beat((0.03, 0.003), [Window(40.0 * n - 5, 40.0 * n + 5) for n in (0, 1, 3, 4, 7)], [0, 1, 3, 4, 7])
    assert found.period == pytest.approx(40)


def test_the_future_is_less_known_the_farther_it_is() -> None:
    """The deviation grows with the number of ticks."""
    found = beat(manner=(0.0, 0.06))
    deviations = [found.foretell(ticks)[1] for ticks in (1, 2, 4, 8)]
    assert deviations == sorted(deviations)
    assert deviations[0] < deviations[-1]


@pytest.mark.parametrize("width", [2.0, 20.0, 55.0])
def test_windows_of_any_width_lead_to_the_tick(width: float) -> None:
    """A beat that begins a sixth of a period late is on time after some windows, wide or narrow."""
    found = beat(width=30.0)
    for n in range(1, 40):
        late = n * 0.618 % 1 * width  # where in its window the change is varies
        found.see(Window(60 * n - 10 - width + late, 60 * n - 10 + late), base=NO_RHYTHM)
    assert found.tick + 10 == pytest.approx(60 * 39, abs=3)
    assert found.period == pytest.approx(60, abs=0.5)


def test_foreseen_changes_score_and_others_cost() -> None:
    """The score is the advantage over whoever expects no rhythm."""
    good, bad = beat(), beat()
    for n in range(1, 10):
        good.see(Window(60.0 * n - 5, 60.0 * n + 5), base=NO_RHYTHM)
        bad.see(
            Window(60.0 * n + 20 - 5, 60.0 * n + 20 + 5) if n % 2 else Window(60.0 * n - 5, 60.0 * n), base=NO_RHYTHM
        )
    assert good.score > 5 > 0 > bad.score


def test_a_change_between_two_ticks_is_not_one_of_them() -> None:
    """What comes out of the blue neither counts as the next tick nor moves it."""
    found = beat(width=2.0)
    found.see(Window(20.0, 25.0), base=NO_RHYTHM)
    assert found.is_at_a_loss
    assert found.upcoming(25.0)[0] == pytest.approx(60)


def test_two_changes_out_of_the_blue_shake_the_belief() -> None:
    """After the second, the next tick may be anywhere near."""
    found = beat(width=2.0)
    before = found.foretell(1)[1]
    for n in (1, 2):
        found.see(Window(60.0 * n + 15, 60.0 * n + 18), base=NO_RHYTHM)
    assert found.foretell(1)[1] > 3 * before
    found.see(Window(195.0, 198.0), base=NO_RHYTHM)
    assert found.tick == pytest.approx(196, abs=2)


def test_several_ticks_in_one_window_teach_nothing() -> None:
    """Who did not look for three periods knows no more about the tick than before."""
    found = beat()
    found.see(Window(10.0, 190.0), base=NO_RHYTHM)
    assert found.tick == pytest.approx(180)
    assert found.period == pytest.approx(60)


def polls_until_change(found: Beat, *, polls: float, change: float, spacing: float = 0.1) -> list[float]:
    """The polls from just after a tick until one sees the change."""
    times = [1.0]
    while times[-1] < change:
        times.append(found.next_poll(times[-1], polls=polls, spacing=spacing))
    return times[1:]


def test_polls_lie_around_the_tick() -> None:
    """With two polls per tick, the first comes about when the change is expected, the others soon after it."""
    found = beat(width=2.0)
    mean, deviation = found.foretell(1)
    times = polls_until_change(found, polls=2.0, change=mean + 1.5 * deviation)
    assert 2 <= len(times) <= 5
    assert all(abs(poll - mean) < 3 * deviation for poll in times)


def test_who_may_poll_often_begins_early() -> None:
    """More polls per tick begin before it and lie closer."""
    few, many = (polls_until_change(beat(), polls=polls, change=75.0) for polls in (1.5, 8.0))
    assert many[0] < few[0]
    assert many[1] - many[0] < few[1] - few[0]


def test_the_spacing_is_kept() -> None:
    """A beat that is known to the tenth of a second is not polled ten times a second: one poll comes right after it."""
    found = beat(width=0.01, manner=(0.0, 0.001))
    (first, *others) = polls_until_change(found, polls=16.0, change=60.05, spacing=1.0)
    assert 60.05 <= first <= 61
    assert not others


def test_a_missing_change_is_looked_for_and_then_left() -> None:
    """When a reliable tick brings nothing, polls become rarer, until the next tick is due."""
    found = beat()
    times = polls_until_change(found, polls=2.0, change=119.0)
    late = list(takewhile(lambda poll: poll < 100, times))
    assert len(late) <= 8
    assert max(late) <= 60 + 0.25 * 60 + 1e-6


def test_silence_makes_ticks_cheap() -> None:
    """After an hour without a change, a tick is worth one poll."""
    found = beat()
    now = 3600.0
    times: list[float] = []
    while now < 7200.0:
        now = found.next_poll(now, polls=2.0, spacing=1.0)
        times.append(now)
    assert len(times) <= 1.1 * 60


@given(
    begin=st.floats(-1e3, 1e5),
    width=st.floats(1e-3, 1e4),
    base=st.floats(-1e3, 0),
    manner=st.sampled_from([(0.01, 0.001), (0.12, 0.012), (0.0, 0.25)]),
    polls=st.floats(0.01, 100),
)
def test_no_window_upsets_it(
    begin: float, width: float, base: float, manner: tuple[float, float], polls: float
) -> None:
    """Whatever comes, numbers stay finite, and the next poll is in the future."""
    found = beat(manner=manner)
    for n in range(3):
        found.see(Window(begin + 100 * n, begin + 100 * n + width), base=base)
    now = begin + 200 + width
    when = found.next_poll(now, polls=polls, spacing=1.0)
    assert now < when < math.inf
    assert math.isfinite(found.score)
    assert found.period > 0
