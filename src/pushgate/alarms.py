"""
Alarms for many: thousands who wait for about as long cost a place in a table each, and not a timer.

Who is to be called at about the same moment shares one timer, so a call may be late by the grain, and is never early.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Generic, Protocol, TypeVar

# By so many seconds a call may be late.
GRAIN = 0.05


class Sleeper(Protocol):
    """Somebody who can be called."""

    def time_out(self) -> None: ...


S = TypeVar("S", bound=Sleeper)


class Alarms(Generic[S]):
    """Who is to be called, and when; a place is the moment in grains of the loop's clock, and never 0."""

    __slots__ = ("_count", "_places", "_rung")

    def __init__(self) -> None:
        # With the place: one number for all who are there, and not one for each.
        self._places: dict[int, tuple[int, dict[S, None]]] = {}
        self._count = 0
        self._rung = 0  # the last place whose time has come

    def __len__(self) -> int:
        return self._count

    def everyone(self) -> list[S]:
        """Return who is to be called."""
        return [sleeper for _, sleepers in self._places.values() for sleeper in sleepers]

    def set(self, sleeper: S, after: float) -> int:
        """Call somebody who has no alarm in so many seconds; returns the place, by which it can be undone."""
        loop = asyncio.get_running_loop()
        place = max(self._rung + 1, ceil((loop.time() + after) / GRAIN))
        if place not in self._places:
            self._places[place] = place, {}
            loop.call_at(place * GRAIN, self._ring, place)
        place, sleepers = self._places[place]
        assert sleeper not in sleepers, "an alarm rings once"
        sleepers[sleeper] = None
        self._count += 1
        return place

    def drop(self, sleeper: S, place: int) -> None:
        """Do not call somebody after all; nothing if that has been done."""
        if place in self._places and sleeper in self._places[place][1]:
            del self._places[place][1][sleeper]
            self._count -= 1

    def _ring(self, place: int) -> None:
        self._rung = place
        _, sleepers = self._places[place]
        try:
            while sleepers:  # whom one call makes leave is not called any more
                sleeper = next(iter(sleepers))
                self.drop(sleeper, place)
                sleeper.time_out()
        finally:
            if sleepers:  # one has failed, for which the others need not wait for ever
                asyncio.get_running_loop().call_soon(self._ring, place)
            else:
                del self._places[place]
