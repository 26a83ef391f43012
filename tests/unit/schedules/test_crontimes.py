"""A schedule of cron times."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pushgate.schedules.crontimes import MAX_PACE, CronTimes, next_cron_time
from pushgate.schedules.scheduling import Polled, Tick


def at(text: str) -> float:
    """The moment of a time with its offset; UTC without."""
    return datetime.fromisoformat(text if text[-6] in "+-" else text + "+00:00").timestamp()


def times(expression: str, zone: str, start: str, count: int) -> list[str]:
    """The first times after the start, as the clocks there show them, with the offset."""
    found, moment = [], at(start)
    for _ in range(count):
        moment = next_cron_time(expression, ZoneInfo(zone), after=moment)
        found.append(f"{datetime.fromtimestamp(moment, ZoneInfo(zone)):%m-%d %H:%M%z}")
    return found


# When it fires.


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("2-57/15 * * * *", "2024-07-05 12:20", ["07-05 12:32", "07-05 12:47", "07-05 13:02"]),
        ("0 9 * * 1-5", "2024-07-05 09:00", ["07-08 09:00", "07-09 09:00"]),
        ("59 23 31 12 *", "2024-07-05 12:00", ["12-31 23:59", "12-31 23:59"]),
        ("*/20 * * * *", "2024-12-31 23:30", ["12-31 23:40", "01-01 00:00", "01-01 00:20"]),
        ("0 0 29 2 *", "2023-03-01 00:00", ["02-29 00:00", "02-29 00:00"]),
        ("0 0 L * *", "2024-01-31 12:00", ["02-29 00:00", "03-31 00:00", "04-30 00:00"]),
    ],
)  # fmt: skip
def test_cron_fires_through_the_year(expression: str, start: str, expected: list[str]) -> None:
    """Five fields, over the ends of hours, months and years, and in leap years only where it says so."""
    assert times(expression, "UTC", start, len(expected)) == [f"{time}+0000" for time in expected]


def test_a_leap_day_is_waited_for() -> None:
    """From one 29 February to the next it is four years."""
    first = next_cron_time("0 0 29 2 *", ZoneInfo("UTC"), after=at("2023-03-01 00:00"))
    assert [first, next_cron_time("0 0 29 2 *", ZoneInfo("UTC"), after=first)] == [
        at("2024-02-29 00:00"),
        at("2028-02-29 00:00"),
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        # A time that is meant happens once: right after the gap, ...
        ("30 2 * * *", "Europe/Paris", "2024-03-30 12:00", ["03-31 03:00+0200", "04-01 02:30+0200"]),
        ("0,30 2 * * *", "Europe/Paris", "2024-03-30 12:00", ["03-31 03:00+0200", "04-01 02:00+0200"]),
        ("30 2,3 * * *", "Europe/Paris", "2024-03-30 12:00", ["03-31 03:00+0200", "03-31 03:30+0200"]),
        ("30 2 * * *", "America/New_York", "2024-03-09 12:00", ["03-10 03:00-0400", "03-11 02:30-0400"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05 06:00", ["10-06 02:30+1100", "10-07 02:15+1100"]),
        ("0 0 * * *", "America/Havana", "2024-03-09 12:00", ["03-10 01:00-0400", "03-11 00:00-0400"]),
        # ... and the first time that the clocks show it.
        ("30 2 * * *", "Europe/Paris", "2024-10-26 12:00", ["10-27 02:30+0200", "10-28 02:30+0100"]),
        ("30 1 * * *", "America/New_York", "2024-11-02 12:00", ["11-03 01:30-0400", "11-04 01:30-0500"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2024-04-06 06:00", ["04-07 01:45+1100", "04-08 01:45+1030"]),
        ("30 0 * * *", "America/Havana", "2024-11-02 12:00", ["11-03 00:30-0400", "11-04 00:30-0500"]),
        # Where minute or hour begin with a star, it follows the clocks: not in the gap, ...
        ("*/30 2 * * *", "Europe/Paris", "2024-03-30 12:00", ["04-01 02:00+0200", "04-01 02:30+0200"]),
        ("30 * * * *", "Europe/Paris", "2024-03-31 01:00+01:00", ["03-31 01:30+0100", "03-31 03:30+0200"]),
        ("30 * * * *", "America/New_York", "2024-03-10 01:00-05:00", ["03-10 01:30-0500", "03-10 03:30-0400"]),
        ("*/20 * * * *", "Australia/Lord_Howe", "2024-10-06 01:30+10:30", ["10-06 01:40+1030", "10-06 02:40+1100"]),
        ("*/10 3 * * *", "Australia/Lord_Howe", "2024-10-06 00:00+10:30", ["10-06 03:00+1100", "10-06 03:10+1100"]),
        ("*/30 0 * * *", "America/Havana", "2024-03-09 12:00", ["03-11 00:00-0400", "03-11 00:30-0400"]),
        # ... and twice where they show it twice.
        ("30 * * * *", "Europe/Paris", "2024-10-27 02:00+02:00", ["10-27 02:30+0200", "10-27 02:30+0100"]),
        ("0 * * * *", "Europe/Paris", "2024-10-27 02:40+02:00", ["10-27 02:00+0100", "10-27 03:00+0100"]),
        ("*/30 1 * * *", "America/New_York", "2024-11-03 01:10-04:00", ["11-03 01:30-0400", "11-03 01:00-0500"]),
        ("30 * * * *", "Australia/Lord_Howe", "2024-04-07 01:00+11:00", ["04-07 01:30+1100", "04-07 01:30+1030"]),
        ("*/40 * * * *", "Australia/Lord_Howe", "2024-04-07 01:10+11:00", ["04-07 01:40+1100", "04-07 01:40+1030"]),
        ("*/30 0 * * *", "America/Havana", "2024-11-03 00:30-04:00", ["11-03 00:00-0500", "11-03 00:30-0500"]),
    ],
)  # fmt: skip
def test_a_change_of_the_clocks_is_that_of_cron(expression: str, zone: str, start: str, expected: list[str]) -> None:
    """What Debian's cron does when the clocks change, also by half an hour, or at midnight."""
    assert times(expression, zone, start, len(expected)) == expected


def test_an_expression_that_never_fires_says_so() -> None:
    """No fifth Monday of a February is its 1st, 9th, 17th or 25th day; the config refuses it with the same words."""
    with pytest.raises(ValueError, match="never fires; change its day or month"):
        next_cron_time("0 0 */8 2 1#5", ZoneInfo("UTC"), after=0)


# When a topic is polled.


class Life:
    """A topic with a cron schedule, and the two clocks that it lives by."""

    def __init__(self, schedule: CronTimes, start: str) -> None:
        self.schedule = schedule
        self.now = 5000.0
        self.offset = at(start) - self.now  # of the wall clock

    def poll(self, *, at: float | None = None, takes: float = 0.0, changes: bool = False) -> Tick:
        """Poll now, or at a monotonic moment, and return what follows."""
        self.now = self.now if at is None else at
        began_at, self.now = self.now, self.now + takes
        return self._next(Polled(began_at, self.now, has_changed=changes))

    def fail(self, *, at: float | None = None) -> Tick:
        self.now = self.now if at is None else at
        return self._next(None)

    def _next(self, polled: Polled | None) -> Tick:
        return self.schedule.next(polled, now=self.now, wall=self.now + self.offset, chance=0.5)

    def shows(self, tick: Tick) -> str:
        """The time of day of a tick, in UTC, as the wall clock goes now."""
        return f"{datetime.fromtimestamp(tick.when + self.offset, ZoneInfo('UTC')):%H:%M:%S}"


def test_the_first_poll_is_whenever_somebody_asks() -> None:
    """From then on it is polled at its times, and tells so."""
    life = Life(CronTimes("2-57/5 * * * *", "Europe/Paris"), "2024-07-05 12:00:30")
    tick = life.poll(changes=True)
    assert (life.shows(tick), tick.why) == ("12:02:00", "cron 2-57/5 * * * * Europe/Paris")
    assert life.shows(life.poll(at=tick.when, takes=3)) == "12:07:00"


def test_jitter_is_a_part_of_the_minute() -> None:
    """Topics with the same times need not ask in the same second, but none asks early, or minutes late."""
    life = Life(CronTimes("0 * * * *", jitter=0.1), "2024-07-05 12:00:30")
    tick = life.poll()
    assert life.shows(tick) == "13:00:03"
    assert life.shows(life.poll(at=tick.when)) == "14:00:03"


@pytest.mark.parametrize("step", [-59, -2, -0.003, 0, 0.003, 2, 59])
def test_a_cron_time_is_polled_once(step: float) -> None:
    """Whether the timer was a little early or the clock was set in between: a cron time that was polled is over."""
    life = Life(CronTimes("0 * * * *"), "2024-07-05 12:30")
    tick = life.poll()
    life.offset += step
    following = life.poll(at=tick.when, takes=0.5)
    assert life.shows(following) == "14:00:00"


@pytest.mark.parametrize("step", [-59, -2, 2])
def test_a_clock_that_is_set_back_after_the_poll_brings_no_time_back(step: float) -> None:
    """Also a poke a moment later, when the clock shows the minute before once more, leaves it at that."""
    life = Life(CronTimes("0 * * * *"), "2024-07-05 12:30")
    life.poll(at=life.poll().when, takes=0.5)
    life.offset += step
    assert life.shows(life.poll()) == "14:00:00"


def test_a_clock_that_was_wrong_is_believed_once_it_is_right() -> None:
    """A machine that came up an hour fast polls by the right time as soon as it has that."""
    life = Life(CronTimes("0 * * * *"), "2024-07-05 13:30")
    tick = life.poll()
    life.offset -= 3600
    assert life.shows(life.poll(at=tick.when - 60)) == "13:00:00"


def test_a_time_that_passes_during_a_poll_is_polled_right_after_it() -> None:
    """An answer that was asked for before the time may be of before; of several that passed, one is made up for."""
    life = Life(CronTimes("*/5 * * * *"), "2024-07-05 12:04:58")
    assert life.shows(life.poll(takes=4)) == "12:05:02"
    assert life.shows(life.poll(takes=1)) == "12:10:00"
    assert life.shows(life.poll(takes=700)) == "12:16:43"
    assert life.shows(life.poll()) == "12:20:00"


def test_a_poke_between_the_times_changes_none() -> None:
    """Not even one in the second before."""
    life = Life(CronTimes("0 * * * *"), "2024-07-05 12:30")
    tick = life.poll()
    assert life.shows(life.poll(at=tick.when - 1, takes=0.1)) == "13:00:00"
    assert life.shows(life.poll(at=tick.when)) == "14:00:00"


# What is tried again.


def reports(start: str, *, every: float = 10, for_: float = 120, expression: str = "2 * * * *") -> Life:
    """A topic whose report of two minutes past each hour may be late."""
    return Life(CronTimes(expression, retry_every=every, retry_for=for_), start)


def attentive(life: Life) -> Tick:
    """Poll at the first cron time, with its report, and return the tick of the second one."""
    tick = life.poll(at=life.poll(changes=True).when, changes=True)
    assert life.shows(tick).endswith(":02:00")
    return tick


def test_a_late_report_is_tried_again_until_it_has_come() -> None:
    """No change at the cron time: it is polled every ten seconds until there is one, then at the next cron time."""
    life = reports("2024-07-05 12:30")
    due = attentive(life)
    tick = life.poll(at=due.when, takes=3)
    assert (tick.when - due.when, tick.why) == (10, "the report of 14:02 has not come yet")
    tick = life.poll(at=tick.when)
    assert tick.when - due.when == 20
    tick = life.poll(at=tick.when, changes=True)
    assert (life.shows(tick), tick.why) == ("15:02:00", "cron 2 * * * * UTC")


def test_a_late_report_is_given_up_after_a_while() -> None:
    """Two minutes after the cron time the next one is waited for: thirteen polls in all."""
    life = reports("2024-07-05 12:30")
    tick, polls = attentive(life), 0
    while life.shows(tick) < "15:00":
        tick, polls = life.poll(at=tick.when), polls + 1
    assert (life.shows(tick), polls) == ("15:02:00", 13)
    assert life.shows(life.poll(at=life.now + 600)) == "15:02:00"


def test_the_next_cron_time_ends_the_tries() -> None:
    """However long a report may be late, at the next cron time its own is asked for."""
    life = reports("2024-07-05 12:01:30", every=40, for_=600, expression="*/2 * * * *")
    tick = life.poll(at=life.poll(changes=True).when, changes=True)
    shown = []
    for _ in range(6):
        tick = life.poll(at=tick.when)
        shown.append(life.shows(tick))
    assert shown == ["12:04:40", "12:05:20", "12:06:00", "12:06:40", "12:07:20", "12:08:00"]
    assert tick.why == "cron */2 * * * * UTC"


def test_a_poll_that_takes_longer_than_a_try_skips_some() -> None:
    """Tries keep their distance from each other as all polls do."""
    life = reports("2024-07-05 12:30")
    due = attentive(life)
    assert life.poll(at=due.when, takes=17).when - due.when == 20


def test_a_failed_poll_at_the_cron_time_is_tried_again() -> None:
    """A report that could not be fetched has not come; backing off is not for cron to say."""
    life = reports("2024-07-05 12:30")
    due = attentive(life)
    assert life.fail(at=due.when + 2).when - due.when == 12
    assert life.schedule.pace == 10
    tick = life.fail(at=due.when + 119)
    assert (life.shows(tick), tick.why) == ("15:02:00", "cron 2 * * * * UTC")


def test_a_poll_before_the_cron_time_is_no_try() -> None:
    """What changes between the times is no report, and what does not is not waited for."""
    life = reports("2024-07-05 12:30")
    due = attentive(life)
    assert life.shows(life.poll(at=due.when - 600, changes=True)) == "14:02:00"
    assert life.shows(life.poll(at=due.when - 500)) == "14:02:00"
    assert life.shows(life.poll(at=due.when)) == "14:02:10"


def test_a_first_document_may_be_the_report_before() -> None:
    """A subscriber who comes while the report may be late gets the old one, and the new one as soon as it is there."""
    life = reports("2024-07-05 14:02:30")
    tick = life.poll(changes=True)
    assert (life.shows(tick), tick.why) == ("14:02:40", "the report of 14:02 has not come yet")
    assert life.shows(life.poll(at=tick.when, changes=True)) == "15:02:00"


def test_after_a_sleep_a_change_may_be_the_report_before() -> None:
    """A topic that nobody listened to for hours cannot tell which of the reports it missed has come."""
    life = reports("2024-07-05 12:30")
    due = attentive(life)
    woken = due.when + 3600 + 30  # at 15:02:30
    life.schedule.wake(now=woken)
    tick = life.poll(at=woken, changes=True)
    assert (life.shows(tick), tick.why) == ("15:02:40", "the report of 15:02 has not come yet")
    assert life.shows(life.poll(at=tick.when, changes=True)) == "16:02:00"


def test_between_the_reports_nothing_is_late() -> None:
    """A first subscriber in the middle of the hour waits for the next report."""
    assert (life := reports("2024-07-05 14:30")).shows(life.poll(changes=True)) == "15:02:00"


def test_the_time_of_a_report_is_that_of_its_zone() -> None:
    """What is told to people is what their clocks show."""
    schedule = CronTimes("2 14 * * *", "Europe/Paris", retry_every=10, retry_for=60)
    life = Life(schedule, "2024-07-05 14:02:05+02:00")
    assert life.poll(changes=True).why == "the report of 14:02 has not come yet"


@pytest.mark.parametrize(
    ("expression", "pace"),
    [("* * * * *", 6), ("*/5 * * * *", 30), ("0 * * * *", MAX_PACE), ("0 6 * * 1", MAX_PACE)],
)
def test_a_failure_between_the_times_is_tried_after_a_part_of_the_gap(expression: str, pace: float) -> None:
    """Backing off starts from a tenth of the time between two cron times, or from a minute if that is shorter."""
    schedule = CronTimes(expression)
    assert schedule.pace == MAX_PACE
    Life(schedule, "2024-07-05 12:30:10").fail()
    assert schedule.pace == pace
