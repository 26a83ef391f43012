"""Whether a topic's changes have a rhythm."""

from __future__ import annotations

import math

import pytest

from pushgate.schedules.beats import Window
from pushgate.schedules.rhythm import Rhythm, number_ticks

GOLDEN = (5**0.5 - 1) / 2


def windows(updates: list[float], every: float) -> list[Window]:
    """What polls at equal intervals see of the updates."""
    ends = sorted({math.ceil(update / every) * every for update in updates})
    return [Window(end - every, end) for end in ends]


def watch(rhythm: Rhythm, updates: list[float], every: float, *, gap: float = 60.0) -> Rhythm:
    """Show a rhythm all changes, beside whoever expects one about every ``gap`` seconds."""
    last = 0.0
    for window in windows(updates, every):
        base = -(window.begin - last) / gap + math.log(-math.expm1(-every / gap))
        rhythm.see(window, base=base, least=5.0)
        last = window.end
    return rhythm


def test_nothing_is_believed_too_early() -> None:
    """A few even changes may be chance; a dozen are not."""
    updates = [60.0 * n + 3 for n in range(40)]
    assert watch(Rhythm(), updates[:6], 25.0).beat is None
    beat = watch(Rhythm(), updates, 25.0).beat
    assert beat is not None
    assert beat.period == pytest.approx(60, rel=0.01)


def test_chance_is_no_rhythm() -> None:
    """Changes with exponential gaps convince no beat."""
    now = 0.0
    updates = [now := now - 60 * math.log(1 - n * GOLDEN**2 * 7 % 1) for n in range(1, 400)]
    assert watch(Rhythm(), updates, 25.0).beat is None


def test_a_rhythm_may_drift() -> None:
    """Changes that count from one another are followed even when no clock keeps time."""
    now = 0.0
    updates = [now := now + 60 + 6 * math.sin(n * 1.7) + 4 * math.sin(n / 9) for n in range(100)]
    beat = watch(Rhythm(), updates, 20.0).beat
    assert beat is not None
    assert beat.period == pytest.approx(60, abs=6)


def test_a_period_that_could_not_be_followed_is_none() -> None:
    """What comes faster than may be polled is not believed, however regular."""
    rhythm = Rhythm()
    for n in range(1, 50):
        rhythm.see(Window(10.0 * n - 5, 10.0 * n), base=-1.0, least=11.0)
    assert rhythm.beat is None


def test_ticks_without_a_change_are_counted() -> None:
    """The windows themselves show their common measure."""
    ticks = [0, 1, 3, 4, 7, 8, 10, 13]
    assert number_ticks([Window(40.0 * n - 4, 40.0 * n + 6) for n in ticks]) == ticks


def test_windows_without_gaps_are_numbered_in_order() -> None:
    """Where each tick brought a change, the numbers are consecutive."""
    assert number_ticks([Window(60.0 * n - 10, 60.0 * n + 10) for n in range(8)]) == list(range(8))


def test_a_belief_is_put_to_the_proof() -> None:
    """Once in a while a poll goes ahead of the tick, where nothing is expected."""
    rhythm = watch(Rhythm(), [60.0 * n + 3 for n in range(30)], 25.0)
    ahead, now = 0, 60.0 * 29 + 25
    for n in range(30, 80):
        update = 60.0 * n + 3
        begin = now
        while now < update:
            assert rhythm.beat is not None
            begin, now = now, rhythm.next_poll(now, polls=2.0, spacing=1.0)
            mean, deviation = rhythm.beat.upcoming(begin)
            ahead += now < mean - 3.9 * deviation
        rhythm.see(Window(begin, now), base=-3.0, least=5.0)
    assert 1 <= ahead <= 5


def test_a_rhythm_that_tells_only_some_changes_is_not_followed() -> None:
    """When polls that go ahead keep finding changes that no tick explains, polls are even again."""
    rhythm = watch(Rhythm(), [60.0 * n + 3 for n in range(30)], 25.0)
    now, unfollowed = 60.0 * 29 + 25, 0
    updates = sorted([60.0 * n + 3 for n in range(30, 230)] + [60.0 * n + 30 for n in range(30, 230)])
    for update in updates:
        begin = now
        while now < update:
            begin = now
            now = now + 25.0 if rhythm.beat is None else rhythm.next_poll(now, polls=3.0, spacing=1.0)
        unfollowed += rhythm.beat is None or rhythm.beat.period < 45
        rhythm.see(Window(begin, now), base=-1.0, least=5.0)
    assert unfollowed > len(updates) / 2
