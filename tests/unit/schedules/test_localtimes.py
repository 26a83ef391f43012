"""From what a clock on the wall shows to the moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pushgate.schedules.localtimes import first_moment, load_zone, moments, shown_at


def at(text: str) -> float:
    """The moment of a time with its offset."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("zone", "shown", "expected"),
    [
        ("Europe/Paris", "2024-07-01 12:00", ["2024-07-01 12:00+02:00"]),
        ("Europe/Paris", "2024-03-31 02:30", []),
        ("Europe/Paris", "2024-03-31 03:00", ["2024-03-31 03:00+02:00"]),
        ("Europe/Paris", "2024-10-27 02:30", ["2024-10-27 02:30+02:00", "2024-10-27 02:30+01:00"]),
        ("Australia/Lord_Howe", "2024-04-07 01:45", ["2024-04-07 01:45+11:00", "2024-04-07 01:45+10:30"]),
        ("Australia/Lord_Howe", "2024-10-06 02:15", []),
        ("UTC", "2024-03-31 02:30", ["2024-03-31 02:30+00:00"]),
    ],
)
def test_a_clock_shows_a_time_once_twice_or_never(zone: str, shown: str, expected: list[str]) -> None:
    """Clocks that are set forward skip some minutes, those that are set back show them again."""
    assert moments(datetime.fromisoformat(shown), ZoneInfo(zone)) == tuple(map(at, expected))


@pytest.mark.parametrize(
    ("zone", "shown", "expected"),
    [
        ("Europe/Paris", "2024-07-01 12:00", "2024-07-01 12:00+02:00"),
        ("Europe/Paris", "2024-03-31 02:00", "2024-03-31 03:00+02:00"),
        ("Europe/Paris", "2024-03-31 02:59", "2024-03-31 03:00+02:00"),
        ("Europe/Paris", "2024-10-27 02:30", "2024-10-27 02:30+02:00"),
        ("Australia/Lord_Howe", "2024-10-06 02:15", "2024-10-06 02:30+11:00"),
        ("America/Havana", "2024-03-10 00:00", "2024-03-10 01:00-04:00"),
    ],
)
def test_a_time_that_was_skipped_is_the_end_of_the_gap(zone: str, shown: str, expected: str) -> None:
    """Where one moment is needed, it is the first at which the clocks show the time, or a later one."""
    assert first_moment(datetime.fromisoformat(shown), ZoneInfo(zone)) == at(expected)


def test_what_a_clock_shows_leads_back_to_the_moment() -> None:
    """What is shown for the second time says so."""
    zone, start = load_zone("Europe/Paris"), at("2024-10-27 00:00+02:00")
    for minutes in range(0, 300, 15):
        moment = start + timedelta(minutes=minutes).total_seconds()
        shown = shown_at(moment, zone)
        assert moments(shown, zone)[shown.fold] == moment


@pytest.mark.parametrize("name", ["Europe/Pari", "", "/etc/passwd", "../UTC", "Europe"])
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    """The message says how zones are written."""
    with pytest.raises(ValueError, match="is no time zone; write it like Europe/Paris or UTC"):
        load_zone(name)
