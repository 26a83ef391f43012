"""The hours in which a topic is polled."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pushgate.schedules.activehours import ActiveHours


def at(text: str) -> float:
    """The moment of a time with its offset; UTC without."""
    return datetime.fromisoformat(text if text[-6] in "+-" else text + "+00:00").timestamp()


@pytest.mark.parametrize(
    ("text", "wall", "is_open"),
    [
        # 2024-07-05 is a Friday.
        ("Mon-Fri 09:30-16:00 America/New_York", "2024-07-05 09:29-04:00", False),
        ("Mon-Fri 09:30-16:00 America/New_York", "2024-07-05 09:30-04:00", True),
        ("Mon-Fri 09:30-16:00 America/New_York", "2024-07-05 15:59-04:00", True),
        ("Mon-Fri 09:30-16:00 America/New_York", "2024-07-05 16:00-04:00", False),
        ("Mon-Fri 09:30-16:00 America/New_York", "2024-07-06 12:00-04:00", False),
        ("09:30-16:00", "2024-07-06 12:00", True),  # every day, in UTC
        ("09:30-16:00 Asia/Tokyo", "2024-07-06 12:00", False),
        ("Mon,Wed-Thu 10:00-11:00", "2024-07-03 10:30", True),
        ("Mon,Wed-Thu 10:00-11:00", "2024-07-02 10:30", False),
        ("Sat-Mon 10:00-11:00", "2024-07-07 10:30", True),  # days may run past Sunday
        ("Sat-Mon 10:00-11:00", "2024-07-08 10:30", True),
        ("Sat-Mon 10:00-11:00", "2024-07-09 10:30", False),
        # Past midnight they belong to the day on which they begin.
        ("Fri 22:00-06:00", "2024-07-05 03:00", False),
        ("Fri 22:00-06:00", "2024-07-05 23:00", True),
        ("Fri 22:00-06:00", "2024-07-06 05:59", True),
        ("Fri 22:00-06:00", "2024-07-06 06:00", False),
        ("Fri 22:00-06:00", "2024-07-06 23:00", False),
        ("Fri 22:00-24:00", "2024-07-05 23:59", True),
        ("Fri 22:00-24:00", "2024-07-06 00:00", False),
        ("Fri 00:00-24:00", "2024-07-05 00:00", True),
        ("Fri 22:00-00:00", "2024-07-05 23:59", True),
        ("Fri 22:00-00:00", "2024-07-06 00:00", False),
    ],
)
def test_hours_are_open_from_their_first_minute_up_to_their_last(text: str, wall: str, is_open: bool) -> None:
    """Days, hours and zone; the minute that ends them is outside."""
    assert ActiveHours(text).is_open(at(wall)) is is_open


@pytest.mark.parametrize(
    ("wall", "opens", "closes"),
    [
        ("2024-07-05 12:00-04:00", "2024-07-05 12:00-04:00", "2024-07-05 16:00-04:00"),
        ("2024-07-05 16:00-04:00", "2024-07-08 09:30-04:00", "2024-07-08 16:00-04:00"),  # a weekend later
        ("2024-07-05 09:00-04:00", "2024-07-05 09:30-04:00", "2024-07-05 16:00-04:00"),
        ("2024-03-08 17:00-05:00", "2024-03-11 09:30-04:00", "2024-03-11 16:00-04:00"),  # and an hour earlier
    ],
)
def test_hours_tell_when_they_begin_and_end(wall: str, opens: str, closes: str) -> None:
    """Inside, they have begun right now; outside, they tell of the next ones."""
    hours = ActiveHours("Mon-Fri 09:30-16:00 America/New_York")
    assert (hours.opens_at(at(wall)), hours.closes_at(at(wall))) == (at(opens), at(closes))


@pytest.mark.parametrize(
    ("text", "wall", "opens", "closes"),
    [
        # The clocks skip 02:00 to 03:00.
        ("02:30-06:00 Europe/Paris", "2024-03-31 00:00+01:00", "2024-03-31 03:00+02:00", "2024-03-31 06:00+02:00"),
        ("00:00-02:30 Europe/Paris", "2024-03-31 00:00+01:00", "2024-03-31 00:00+01:00", "2024-03-31 03:00+02:00"),
        ("02:00-03:00 Europe/Paris", "2024-03-31 00:00+01:00", "2024-04-01 02:00+02:00", "2024-04-01 03:00+02:00"),
        ("22:00-06:00 America/New_York", "2024-03-09 12:00-05:00", "2024-03-09 22:00-05:00", "2024-03-10 06:00-04:00"),
        ("02:15-03:00 Australia/LHI", "2024-10-06 00:00+10:30", "2024-10-06 02:30+11:00", "2024-10-06 03:00+11:00"),
        # They show 02:00 to 03:00 twice.
        ("02:30-06:00 Europe/Paris", "2024-10-27 00:00+02:00", "2024-10-27 02:30+02:00", "2024-10-27 06:00+01:00"),
        ("00:00-02:30 Europe/Paris", "2024-10-27 00:00+02:00", "2024-10-27 00:00+02:00", "2024-10-27 02:30+02:00"),
        ("02:00-03:00 Europe/Paris", "2024-10-27 00:00+02:00", "2024-10-27 02:00+02:00", "2024-10-27 03:00+01:00"),
        ("22:00-06:00 America/New_York", "2024-11-02 12:00-04:00", "2024-11-02 22:00-04:00", "2024-11-03 06:00-05:00"),
        ("01:45-02:00 Australia/LHI", "2024-04-07 00:00+11:00", "2024-04-07 01:45+11:00", "2024-04-07 02:00+10:30"),
    ],
)  # fmt: skip
def test_hours_survive_a_change_of_the_clocks(text: str, wall: str, opens: str, closes: str) -> None:
    """A time that the clocks skip counts right after the gap, one that they show twice the first time."""
    hours = ActiveHours(text)
    assert (hours.opens_at(at(wall)), hours.closes_at(at(wall))) == (at(opens), at(closes))


@pytest.mark.parametrize(
    "text",
    [
        "Mon-Fri 09:30-16:00 America/New_York",
        "22:00-06:00 Europe/Paris",
        "Sat-Sun 00:00-24:00 Australia/Lord_Howe",
        "Sun 01:30-02:30 Europe/Paris",
        "00:00-00:30 America/Havana",
    ],
)
def test_hours_agree_with_themselves(text: str) -> None:
    """For two years they are open exactly from when they say that they open until they say that they close."""
    hours, start, end = ActiveHours(text), at("2024-01-01 00:00"), at("2026-01-01 00:00")
    asked = ActiveHours(text)  # another one, so that no answer follows from one before
    wall = start
    while wall < end:
        opens = hours.opens_at(wall)
        closes = hours.closes_at(wall)
        assert wall <= opens < closes
        for moment in (opens, (opens + closes) / 2, closes - 1):
            assert asked.is_open(moment)
            assert asked.opens_at(moment) == moment
            assert asked.closes_at(moment) == closes
        closed = [wall, (wall + opens) / 2, opens - 1] if opens > wall else []
        assert not any(asked.is_open(moment) for moment in closed)
        assert [asked.opens_at(moment) for moment in closed] == [opens] * len(closed)
        wall = closes


@pytest.mark.parametrize(
    ("text", "zone", "days", "start", "end"),
    [
        ("Mon-Fri 09:30-16:00 America/New_York", "America/New_York", {0, 1, 2, 3, 4}, (9, 30), (16, 0)),
        ("Sun 04:00-24:00 Europe/Paris", "Europe/Paris", {6}, (4, 0), (24, 0)),
    ],
)
def test_hours_are_what_the_clocks_show(
    text: str, zone: str, days: set[int], start: tuple[int, int], end: tuple[int, int]
) -> None:
    """Every quarter of an hour for two years, a look at a clock over there gives the same answer."""
    hours = ActiveHours(text)
    moment, stop = datetime.fromisoformat("2024-01-01T00:00+00:00"), datetime.fromisoformat("2026-01-01T00:00+00:00")
    while moment < stop:
        there = moment.astimezone(ZoneInfo(zone))
        shows_it = there.weekday() in days and start <= (there.hour, there.minute) < end
        assert hours.is_open(moment.timestamp()) is shows_it, there
        moment += timedelta(minutes=15)


def test_the_order_of_questions_does_not_matter() -> None:
    """What was asked about tomorrow says nothing about today."""
    hours = ActiveHours("09:00-17:00")
    assert hours.opens_at(at("2024-07-05 08:00")) == at("2024-07-05 09:00")
    assert hours.opens_at(at("2024-07-07 18:00")) == at("2024-07-08 09:00")
    assert hours.opens_at(at("2024-07-05 08:00")) == at("2024-07-05 09:00")
    assert hours.is_open(at("2024-07-05 16:59"))
    assert not hours.is_open(at("2024-07-05 17:00"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`` are no active hours; write them like `Mon-Fri 09:30-16:00 America/New_York`"),
        ("Mon-Fri 9-17", "`Mon-Fri 9-17` are no active hours"),
        ("mon 09:00-10:00", "`mon 09:00-10:00` are no active hours"),
        ("24:00-06:00", "`24:00-06:00` are no active hours"),
        ("09:00-24:30", "`09:00-24:30` are no active hours"),
        ("09:00-09:00", "`09:00-09:00` begins when it ends; leave `active` out to poll always"),
        ("09:00-10:00 Europe/Pari", "`Europe/Pari` is no time zone"),
    ],
)
def test_hours_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    """The message shows how they are written."""
    with pytest.raises(ValueError, match=f"^{message}"):
        ActiveHours(text)
