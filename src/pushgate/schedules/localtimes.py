"""
From what a clock on the wall shows, somewhere, to seconds since the epoch.

Twice a year most clocks skip some minutes (the gap) or show them twice. Times are whole minutes, and naive.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone of that name; raises ValueError."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"`{name}` is no time zone; write it like Europe/Paris or UTC") from None


def moments(shown: datetime, zone: ZoneInfo) -> tuple[float, ...]:
    """Return when the clocks of the zone show this: in general once, never in the gap, twice in what is repeated."""
    # PEP 495: fold=0 reckons with the offset before the change, fold=1 with the one after it.
    before = shown.replace(tzinfo=zone, fold=0).timestamp()
    after = shown.replace(tzinfo=zone, fold=1).timestamp()
    if before == after:
        return (before,)
    return (before, after) if before < after else ()


def first_moment(shown: datetime, zone: ZoneInfo) -> float:
    """Return when the clocks of the zone show this for the first time; in the gap, the end of it."""
    while not (found := moments(shown, zone)):
        shown += timedelta(minutes=1)
    return found[0]


def shown_at(moment: float, zone: ZoneInfo) -> datetime:
    """Return what the clocks of the zone show at that moment, naive; ``fold`` is 1 if it is for the second time."""
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).replace(tzinfo=None)
