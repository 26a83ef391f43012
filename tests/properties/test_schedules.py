"""Whatever happens to a topic's polls, its schedule is never late, never early and never in a hurry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pushgate.schedules.crontimes import CronTimes, next_cron_time
from pushgate.schedules.localtimes import shown_at
from pushgate.schedules.scheduling import FixedRate, Polled, Schedule

ZONES = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"]

chances = st.floats(min_value=0, max_value=1, exclude_max=True)

# How long a poll takes, whether it changed anything, and chance; None instead of the change: it failed.
polls = st.lists(st.tuples(st.floats(0, 100), st.sampled_from([True, False, None]), chances), min_size=2, max_size=30)


def live(schedule: Schedule, polls: list[tuple[float, bool | None, float]], *, now: float, wall: float) -> list[float]:
    """Poll by the schedule alone, each time that it says, and return when the polls began."""
    offset, began = wall - now, []
    for takes, has_changed, chance in polls:
        began.append(now)
        ended = now + takes
        polled = None if has_changed is None else Polled(now, ended, has_changed)
        now = schedule.next(polled, now=ended, wall=ended + offset, chance=chance).when
        assert now >= ended - 1e-6, "in the past"
    return began


@given(polls=polls, every=st.floats(0.5, 86_400), jitter=st.floats(0, 1), start=st.floats(0, 1e7))
def test_a_fixed_rate_keeps_its_distance(
    polls: list[tuple[float, bool | None, float]], every: float, jitter: float, start: float
) -> None:
    """No two polls are closer than an interval without its jitter, whatever they take and whether they fail."""
    began = live(FixedRate(every, jitter, now=start), polls, now=start, wall=1.7e9)
    slow = [takes > every * (1 - jitter) for takes, _, _ in polls]
    for (before, after), is_slow in zip(pairwise(began), slow, strict=False):
        # A poll that outlasts what is left of its interval is followed at the next point of the grid, with no pause.
        assert is_slow or after - before >= every * (1 - jitter) - 1e-6
        assert after - before <= max(every, 100) + every * (1 + jitter) + 1e-6


@given(polls=polls, every=st.sampled_from([0.1, 0.5, 7.0, 60.0]), start=st.floats(0, 1e7))
def test_an_aligned_rate_stays_on_the_grid(
    polls: list[tuple[float, bool | None, float]], every: float, start: float
) -> None:
    """After the first poll, all are at multiples of the interval, whoever was first polled when."""
    for moment in live(FixedRate(every, 0.5, now=start, aligned=True), polls, now=start, wall=1.7e9)[1:]:
        assert abs(moment / every - round(moment / every)) < 1e-3


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> str:
    """One field of a cron expression: a star, a number, a range, a list, with or without a step."""
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    others = sorted(draw(st.sets(st.integers(low, high), min_size=1, max_size=4)))
    step = draw(st.integers(1, 20))
    span, several = f"{first}-{last}", ",".join(map(str, others))
    # CronSim reads the step of a range of one as that of a number: from there on.
    stepped = f"{span}/{step}" if last > first else span
    return draw(st.sampled_from(["*", f"*/{step}", str(first), span, stepped, several]))


expressions = st.builds(
    "{} {} {} * {}".format,
    fields(0, 59),
    fields(0, 23),
    st.one_of(st.just("*"), fields(1, 28)),
    st.one_of(st.just("*"), fields(0, 7)),
)
minutes = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda moment: moment.replace(microsecond=0))


def matches(field: str, value: int, low: int, high: int) -> bool:
    """Whether one field of a cron expression allows the value, by a reading of the manual page of its own."""
    for part in field.split(","):
        term, _, step = part.partition("/")
        first, _, last = term.partition("-")
        start, end = (low, high) if term == "*" else (int(first), int(last or first))
        if start <= value <= end and (value - start) % int(step or 1) == 0:
            return True
    return False


def fires(expression: str, shown: datetime) -> bool:
    """Whether the expression names this minute; days match as in Debian: both fields where one begins with a star."""
    minute, hour, day, month, weekday = expression.split()
    if not matches(minute, shown.minute, 0, 59) or not matches(hour, shown.hour, 0, 23):
        return False
    is_day = matches(day, shown.day, 1, 31)
    # Sunday is 0 and 7.
    is_weekday = any(matches(weekday, number, 0, 7) for number in {shown.isoweekday(), shown.isoweekday() % 7})
    both = day.startswith("*") or weekday.startswith("*")
    return matches(month, shown.month, 1, 12) and (is_day and is_weekday if both else is_day or is_weekday)


@lru_cache
def changes_clocks(zone: ZoneInfo, day: datetime) -> bool:
    return len({(day + timedelta(hours=hours)).replace(tzinfo=zone).utcoffset() for hours in range(-24, 49)}) > 1


@given(expression=expressions, zone=st.sampled_from(ZONES).map(ZoneInfo), start=minutes)
@example(expression="0 0 29 2 *", zone=ZoneInfo("UTC"), start=datetime(2024, 2, 28, 23, 59, 59))
@example(expression="*/7 23 31 12 *", zone=ZoneInfo("Asia/Kathmandu"), start=datetime(2024, 12, 31, 23, 59, 59))
@example(expression="59 23 * * 7", zone=ZoneInfo("America/New_York"), start=datetime(2024, 12, 29, 23, 59, 0))
def test_cron_is_what_a_look_at_every_minute_says(expression: str, zone: ZoneInfo, start: datetime) -> None:
    """The next time is the first minute that the five fields name, wherever the clocks are; changes are in a table."""
    after = start.replace(tzinfo=zone).timestamp()
    found = next_cron_time(expression, zone, after=after)
    minute = after - after % 60 + 60
    stop = min(found, after + 3 * 86_400)
    while minute < stop:
        shown = shown_at(minute, zone)
        assert changes_clocks(zone, shown.replace(hour=0, minute=0, fold=0)) or not fires(expression, shown), shown
        minute += 60
    shown = shown_at(found, zone)
    assert found > after and found % 60 == 0
    assert fires(expression, shown) or changes_clocks(zone, shown.replace(hour=0, minute=0, fold=0)), shown


@given(expression=expressions, zone=st.sampled_from(ZONES[1:]).map(ZoneInfo), data=st.data())
def test_cron_that_follows_the_clocks_is_right_through_their_changes(
    expression: str, zone: ZoneInfo, data: st.DataObject
) -> None:
    """Where minute or hour begin with a star, each minute that the clocks show counts, however often they show it."""
    minute, hour, *_ = expression.split()
    assume(minute.startswith("*") or hour.startswith("*"))
    start = data.draw(st.sampled_from(clock_changes(zone))) + data.draw(st.integers(-7200, 7200))
    expected = [
        at for at in range(start - start % 60 + 60, start + 4 * 3600, 60) if fires(expression, shown_at(at, zone))
    ]
    found, moment = [], float(start)
    while (moment := next_cron_time(expression, zone, after=moment)) < start + 4 * 3600:
        found.append(moment)
    assert found == expected


@lru_cache
def clock_changes(zone: ZoneInfo) -> list[int]:
    """The moments of 2024 at which the clocks of the zone are changed, to the half hour."""
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    halves = range(start, start + 366 * 86_400, 1800)
    offsets = [datetime.fromtimestamp(moment, zone).utcoffset() for moment in halves]
    changes = [at for at, (before, after) in zip(halves[1:], pairwise(offsets), strict=True) if before != after]
    return changes or [start]


@given(
    polls=polls,
    start=minutes,
    steps=st.lists(st.floats(-5, 5), min_size=30, max_size=30),
    retry=st.sampled_from([{}, {"retry_every": 10.0, "retry_for": 120.0}]),
)
def test_no_cron_time_is_polled_twice(
    polls: list[tuple[float, bool | None, float]], start: datetime, steps: list[float], retry: dict[str, float]
) -> None:
    """Whatever the clock on the wall does by a few seconds at each poll, and however long polls take."""
    schedule, now, offset = CronTimes("*/10 * * * *", **retry), 0.0, start.replace(tzinfo=UTC).timestamp()
    on_time = []
    for (takes, has_changed, chance), step in zip(polls, steps, strict=False):
        offset += step
        ended = now + takes
        polled = None if has_changed is None else Polled(now, ended, has_changed)
        tick = schedule.next(polled, now=ended, wall=ended + offset, chance=chance)
        assert tick.when >= ended
        now = tick.when
        cron_time = round((now + offset) / 600) * 600
        if tick.why.startswith("cron") and abs(now + offset - cron_time) < 1e-3:
            on_time.append(cron_time)
    assert len(set(on_time)) == len(on_time)


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_cron_is_a_year_of_polls(zone: str) -> None:
    """A daily time is polled 366 times in 2024, once on each day, wherever the clocks are."""
    place, days = ZoneInfo(zone), []
    moment = datetime(2023, 12, 31, 23, 59, tzinfo=place).timestamp()
    end = datetime(2024, 12, 31, 23, 59, tzinfo=place).timestamp()
    while (moment := next_cron_time("30 0 * * *", place, after=moment)) < end:
        days.append(shown_at(moment, place).date())
    assert len(days) == len(set(days)) == 366
