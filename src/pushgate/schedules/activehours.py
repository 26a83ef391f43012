"""
The hours in which a topic is polled: `Mon-Fri 09:30-16:00 America/New_York`.

They begin when the clocks there show the first time and end when they show the second one, each for the first time on
that day if they show it twice, and right after the gap if they skip it. Hours that run past midnight belong to the day
on which they begin. All moments are seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from .localtimes import first_moment, load_zone, shown_at

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = f"(?:{'|'.join(_DAYS)})"
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_HOURS = re.compile(
    rf"(?:(?P<days>{_DAY}(?:-{_DAY})?(?:,{_DAY}(?:-{_DAY})?)*)\s+)?"
    rf"(?P<start>{_TIME})-(?P<end>{_TIME}|24:00)(?:\s+(?P<zone>\S+))?"
)
_DAY_LENGTH = timedelta(days=1)


class _Opening(NamedTuple):
    begins: float
    ends: float


class ActiveHours:
    """Days, hours and a time zone; without days every day, without a zone UTC."""

    __slots__ = ("_days", "_end", "_known", "_start", "_text", "_zone")

    def __init__(self, text: str) -> None:
        """Read the hours; raises ValueError with a message that shows how to write them."""
        match = _HOURS.fullmatch(text)
        if match is None:
            raise ValueError(f"`{text}` are no active hours; write them like `Mon-Fri 09:30-16:00 America/New_York`")
        if match["start"] == match["end"]:
            raise ValueError(f"`{text}` begins when it ends; leave `active` out to poll always")
        self._text = text
        self._days = _weekdays(match["days"] or "Mon-Sun")
        self._start, end = _since_midnight(match["start"]), _since_midnight(match["end"])
        self._end = end if end > self._start else end + _DAY_LENGTH
        self._zone = load_zone(match["zone"] or "UTC")
        # The latest search: since then, and until that opening ends, it is the one that was found.
        self._known: tuple[float, _Opening] = (0.0, _Opening(0.0, 0.0))

    def __repr__(self) -> str:
        return f"<ActiveHours {self._text}>"

    def is_open(self, wall: float) -> bool:
        """Whether this moment is inside the hours; the one at which they end is not."""
        return self._opening(wall).begins <= wall

    def opens_at(self, wall: float) -> float:
        """Return when the hours begin next: right now if they have begun."""
        return max(self._opening(wall).begins, wall)

    def closes_at(self, wall: float) -> float:
        """Return when the hours that have begun, or else the next ones, end; others may begin at that moment."""
        return self._opening(wall).ends

    def _opening(self, wall: float) -> _Opening:
        """Return the first opening that is not over."""
        since, known = self._known
        if not since <= wall < known.ends:
            # Hours that the clocks skip as a whole have no length.
            known = next(opening for opening in self._openings(wall) if opening.ends > max(wall, opening.begins))
            self._known = (wall, known)
        return known

    def _openings(self, wall: float) -> Iterator[_Opening]:
        # Yesterday's may still run.
        day = shown_at(wall, self._zone).date() - _DAY_LENGTH
        while True:
            if day.weekday() in self._days:
                yield _Opening(self._moment(day, self._start), self._moment(day, self._end))
            day += _DAY_LENGTH

    def _moment(self, day: date, offset: timedelta) -> float:
        return first_moment(datetime.combine(day, time()) + offset, self._zone)


def _weekdays(text: str) -> frozenset[int]:
    """Return the days of ``Mon-Fri,Sun`` as numbers from Monday = 0 on; a range may run past Sunday."""
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start = _DAYS.index(first)
        length = (_DAYS.index(last or first) - start) % 7
        days.update((start + step) % 7 for step in range(length + 1))
    return frozenset(days)


def _since_midnight(text: str) -> timedelta:
    hours, _, minutes = text.partition(":")
    return timedelta(hours=int(hours), minutes=int(minutes))
