"""The adaptive schedule."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import count, pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushgate.schedules.adapting import Adaptive
from pushgate.schedules.scheduling import Polled, Tick

GOLDEN = (5**0.5 - 1) / 2  # its multiples are as evenly spread as numbers can be, and no two runs differ


class Upstream:
    """Updates at given times, polled by a schedule; remembers the polls and what was said about the next one."""

    def __init__(self, schedule: Adaptive, updates: list[float], *, took: float = 0.0) -> None:
        self.schedule = schedule
        self.updates = updates
        self.took = took
        self.polls: list[float] = []
        self.ticks: list[Tick] = []
        self.delays: list[float] = []
        self.stamp: Callable[[float, float], float | None] = lambda latest, now: None
        self.fresh_for: Callable[[float], float | None] = lambda now: None
        self.now = 0.0

    def run(self, until: float) -> Upstream:
        while self.now < until:
            before = bisect_right(self.updates, self.polls[-1]) if self.polls else 0
            seen = bisect_right(self.updates, self.now)
            self.delays += [self.now - update for update in self.updates[before:seen]]
            self.polls.append(self.now)
            latest = self.updates[seen - 1] if seen else 0.0
            end = self.now + self.took
            polled = Polled(self.now, end, seen > before, self.stamp(latest, self.now), self.fresh_for(self.now))
            chance = len(self.polls) * GOLDEN % 1
            self.ticks.append(self.schedule.next(polled, now=end, wall=end, chance=chance))
            self.now = self.ticks[-1].when
        return self

    @property
    def why(self) -> str:
        return self.ticks[-1].why

    def polls_since(self, begin: float) -> list[float]:
        return [poll for poll in self.polls if poll >= begin]


def periodic(period: float, until: float, *, first: float = 3.0) -> list[float]:
    return list(takewhile(lambda t: t < until, (first + period * n for n in count())))


def scattered(gap: float, number: int) -> list[float]:
    """Updates without a rhythm: exponential gaps from evenly spread quantiles in an order without a pattern."""
    now = 0.0
    return [now := now - gap * math.log(1 - (n * GOLDEN**2 * 7) % 1 * 0.9999) for n in range(1, number)]


def adaptive(minimum: float = 1.0, maximum: float = 60.0, every: float | None = None) -> Adaptive:
    return Adaptive(minimum=minimum, maximum=maximum, every=every, now=0.0)


def test_a_rhythm_is_found_and_followed() -> None:
    """An upstream that updates every 60 s at :03 is polled right then, and hardly otherwise."""
    upstream = Upstream(adaptive(), periodic(60, 7200)).run(7200)
    assert max(upstream.delays[-60:]) < 3
    assert len(upstream.polls_since(3600)) < 2 * 60
    assert upstream.why.startswith("changes about every 1m; the next is due in ")


def test_a_rhythm_that_ended_is_given_up() -> None:
    """When the upstream changes its period, the new one is found."""
    updates = periodic(60, 3600) + periodic(37, 9000, first=3600)
    upstream = Upstream(adaptive(), updates).run(9000)
    assert max(upstream.delays[-30:]) < 3
    assert "changes about every 37s" in upstream.why


def test_a_rhythm_with_silent_ticks_is_a_rhythm() -> None:
    """An upstream that looks every 40 s whether there is news, and often has none, is polled when it may have some."""
    updates = [t for n, t in enumerate(periodic(40, 20_000)) if n * GOLDEN % 1 < 0.7]
    upstream = Upstream(adaptive(every=12.0), updates).run(20_000)
    late = upstream.delays[len(upstream.delays) // 2 :]
    assert sum(late) / len(late) < 2
    assert "changes about every 40s" in upstream.why


def test_an_upstream_that_falls_silent_is_asked_once_per_tick() -> None:
    """After the last change of a rhythm, polls become fewer, not more."""
    upstream = Upstream(adaptive(maximum=120), periodic(60, 3600)).run(14_400)
    assert len(upstream.polls_since(7200)) <= 1.5 * 7200 / 60


@pytest.mark.parametrize("every", [20.0, 30.0, 40.0])
def test_without_a_rhythm_polls_are_even(every: float) -> None:
    """Changes at random are polled at equal intervals, up to a jitter of 5 % to both sides."""
    upstream = Upstream(adaptive(every=every), scattered(60, 400)).run(20_000)
    gaps = [after - before for before, after in pairwise(upstream.polls_since(10_000))]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(every, rel=0.02)
    assert sum((gap / mean - 1) ** 2 for gap in gaps) / len(gaps) < 0.05
    assert upstream.why.endswith(f"every {round(upstream.schedule.pace)}s")


def bursts(number: int) -> list[float]:
    """Ten updates a second apart, every ten minutes or so."""
    return [600 * n + 250 * (n * GOLDEN % 1) + k + 5 for n in range(number) for k in range(10)]


def test_bursts_are_polled_closely_and_quiet_is_not() -> None:
    """After a change that may begin a burst, polls come sooner; when nothing follows, they become rarer."""
    upstream = Upstream(adaptive(maximum=600, every=20.0), bursts(60)).run(36_000)
    gaps = list(pairwise(upstream.polls_since(18_000)))
    begins = [600 * n + 250 * (n * GOLDEN % 1) + 5 for n in range(30, 60)]
    within = [b - a for a, b in gaps if any(begin + 2 < a < begin + 8 for begin in begins)]
    outside = [b - a for a, b in gaps if not any(begin - 30 < a < begin + 60 for begin in begins)]
    assert within
    assert sum(within) / len(within) < 0.5 * sum(outside) / len(outside)
    reasons = {tick.why.split(":")[0].split(" for ")[0] for tick in upstream.ticks}
    assert {"a burst", "quiet"} <= reasons
    assert upstream.delays[0] >= 0


def test_the_budget_is_kept() -> None:
    """With ``every``, there are as many polls as that interval would make, or fewer, whatever the changes do."""
    for updates in (scattered(60, 400), bursts(40), periodic(61, 20_000)):
        upstream = Upstream(adaptive(maximum=600, every=25.0), updates).run(20_000)
        assert len(upstream.polls) <= 1.03 * 20_000 / 25


def test_without_a_budget_it_spends_two_polls_per_change() -> None:
    """Whoever gives only ``min`` and ``max`` gets polls as often as changes deserve."""
    upstream = Upstream(adaptive(maximum=600), scattered(60, 1000)).run(50_000)
    seen = bisect_right(upstream.updates, 50_000)
    assert len(upstream.polls) == pytest.approx(2 * seen, rel=0.1)


def test_an_upstream_that_never_changes_is_polled_at_the_longest_interval() -> None:
    """Nothing happens: the intervals grow to ``max``."""
    upstream = Upstream(adaptive(), []).run(3600)
    assert upstream.polls[-1] - upstream.polls[-2] == pytest.approx(60, rel=0.06)
    assert upstream.why == "too few changes yet to know more: every 1m"


@given(
    limits=st.tuples(st.floats(0.1, 100), st.floats(0.1, 1000)).map(sorted),
    every=st.none() | st.floats(0.05, 2000),
    script=st.lists(
        st.tuples(
            st.booleans(), st.booleans(), st.floats(0, 30), st.floats(-50, 50), st.floats(0, 400), st.floats(0, 1)
        ),
        max_size=150,
    ),
)
@settings(max_examples=150)
def test_the_limits_hold_whatever_happens(
    limits: list[float],
    every: float | None,
    script: list[tuple[bool, bool, float, float, float, float]],
) -> None:
    """Between the begins of two polls lie at least ``min`` and at most ``max``, unless an answer takes longer."""
    minimum, maximum = limits
    schedule = adaptive(minimum, maximum, every)
    now = 0.0
    for is_good, has_changed, took, stamp, fresh_for, chance in script:
        end = now + took
        polled = Polled(now, end, has_changed, now + stamp, fresh_for) if is_good else None
        when = schedule.next(polled, now=end, wall=end, chance=chance).when
        begun = now if is_good else end
        assert when >= end
        assert when >= begun + minimum - 1e-6
        assert when <= max(end, begun + maximum) + 1e-6
        assert schedule.pace > 0
        now = when


def test_a_slow_upstream_rests_for_three_quarters_of_the_time() -> None:
    """An answer that takes 4 s is asked for every 16 s, although changes would be worth more."""
    upstream = Upstream(adaptive(), scattered(5, 400), took=4.0).run(1000)
    gaps = [after - before for before, after in pairwise(upstream.polls_since(500))]
    assert min(gaps) >= 15.9
    assert upstream.why == "an answer takes 4s: every 16s"


def test_a_failed_poll_teaches_nothing() -> None:
    """After a failure the interval stays what it was; how long to wait beyond that is the topic's to say."""
    upstream = Upstream(adaptive(every=30.0), scattered(60, 300)).run(10_000)
    pace = upstream.schedule.pace
    now = upstream.now
    for _ in range(5):
        tick = upstream.schedule.next(None, now=now, wall=now, chance=0.5)
        assert tick.when == pytest.approx(now + pace)
        now = tick.when
    assert upstream.schedule.pace == pace


def test_a_rhythm_survives_a_nap() -> None:
    """A topic that slept past a few ticks knows when the next one is."""
    upstream = Upstream(adaptive(), periodic(60, 10_000)).run(3600)
    upstream.now += 900
    upstream.schedule.wake(now=upstream.now)
    awake = upstream.now
    upstream.run(awake + 600)
    assert max(upstream.delays[-8:]) < 4


def test_what_nobody_saw_is_no_quiet() -> None:
    """A night without polls says nothing about how often the document changes by day."""
    upstream = Upstream(adaptive(every=20.0), scattered(60, 300)).run(10_000)
    pace = upstream.schedule.pace
    upstream.updates = []
    upstream.now += 50_000
    upstream.run(upstream.now + 1)
    assert upstream.schedule.pace == pytest.approx(pace, rel=0.3)


def test_last_modified_makes_a_rhythm_exact() -> None:
    """An upstream that says when its document changed is followed more closely, however rarely polled."""
    updates = [60.0 * n + (12 * GOLDEN * n) % 12 for n in range(1, 100)]
    told = Upstream(adaptive(every=40.0), updates)
    told.stamp = lambda latest, now: math.floor(latest)
    silent = Upstream(adaptive(every=40.0), updates)
    assert sum(told.run(3000).delays) < sum(silent.run(3000).delays)


def test_a_kept_promise_is_waited_for() -> None:
    """When changes come right after what ``Expires`` says, the next poll comes right after it, and that is said."""
    updates = periodic(60, 4000)
    upstream = Upstream(adaptive(minimum=0.5, every=25.0), updates)
    upstream.fresh_for = lambda now: next(t for t in [*updates, 5000.0] if t > now) - now
    upstream.run(2000)
    assert max(upstream.delays[-10:]) <= 0.5 + 1e-6
    assert any(tick.why == "the upstream vouches for 1m more" for tick in upstream.ticks)
